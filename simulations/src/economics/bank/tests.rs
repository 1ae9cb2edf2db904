use proptest::prelude::*;
use protocol::account::{Period, Window};

use super::*;

fn bank(limit: u64, coordinators: u8) -> Bank {
    let window = Window { every: Period::Total, zone: None };
    let budget = Budget { id: "all".into(), limit: Nanos(limit), window, alerts: vec![50, 100], ..Budget::default() };
    Bank::new(vec![budget], coordinators).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However many spend of it and whatever they ask for: never more than the budget, and all that was settled is
    /// booked.
    #[test]
    fn several_coordinators_spend_no_more_than_the_budget(
        coordinators in 1..6_u8,
        asked in prop::collection::vec((0..6_u64, 1..4_000_000_u64, 0..3000_u64), 1..200),
    ) {
        let limit = 100_000_000;
        let mut bank = bank(limit, coordinators);
        let (mut now, mut sum) = (BEGIN, 0);
        let mut open: Vec<(u64, ReservationId, u64)> = Vec::new();
        for (number, (coordinator, amount, pause)) in asked.into_iter().enumerate() {
            now = now.after(Duration::from_millis(pause));
            bank.advance(now).unwrap();
            let (coordinator, id) = (coordinator % bank.coordinators(), ReservationId(number as u128));
            if bank.reserve(now, coordinator, id, &Subject::default(), Nanos(amount)).unwrap().is_none() {
                open.push((coordinator, id, amount));
            }
            if open.len() > 5 {
                let (coordinator, id, amount) = open.remove(0);
                sum += bank.settle(now, coordinator, id, Nanos(amount / 2)).unwrap().0;
            }
        }
        prop_assert_eq!(bank.open(), open.len());
        for (coordinator, id, amount) in open {
            sum += bank.settle(now, coordinator, id, Nanos(amount)).unwrap().0;
        }
        bank.close(now).unwrap();
        prop_assert!(bank.open() == 0 && sum <= limit);
        prop_assert_eq!(bank.booked("all"), Nanos(sum));
    }
}

#[test]
fn a_budget_is_used_up_wherever_requests_come() {
    for coordinators in [1, 4] {
        let mut bank = bank(100_000_000, coordinators);
        let (mut refused, mut sum) = (0, 0);
        for number in 0..200_u64 {
            let now = BEGIN.after(Duration::from_millis(100 * number));
            bank.advance(now).unwrap();
            let (at, id) = (number % bank.coordinators(), ReservationId(number.into()));
            match bank.reserve(now, at, id, &Subject::default(), Nanos(1_000_000)).unwrap() {
                None => sum += bank.settle(now, at, id, Nanos(1_000_000)).unwrap().0,
                Some(spent) => {
                    assert_eq!(spent.budget, "all");
                    refused += 1;
                }
            }
        }
        bank.close(BEGIN.after(Duration::from_secs(60))).unwrap();
        assert_eq!((sum, refused), (100_000_000, 100), "{coordinators}");
        let shares: Vec<u8> = bank.told().iter().map(|alert| alert.share).collect();
        assert_eq!(shares, [50, 100], "{coordinators}");
    }
}
