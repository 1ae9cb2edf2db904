use super::*;
use proptest::prelude::*;

const SETTINGS: Settings =
    Settings { share: 0.1, floor: 5, first: Duration::from_millis(50), longest: Duration::from_secs(2) };

#[test]
fn waits_double_up_to_the_longest_and_are_drawn_from_the_whole() {
    assert_eq!(SETTINGS.wait(0, 0.5, None), Duration::from_millis(25));
    assert_eq!(SETTINGS.wait(3, 0.5, None), Duration::from_millis(200));
    assert_eq!(SETTINGS.wait(40, 0.5, None), Duration::from_secs(1));
    assert_eq!(SETTINGS.wait(0, 0.0, None), Duration::ZERO);
}

#[test]
fn whoever_says_when_to_come_back_is_obeyed() {
    assert_eq!(SETTINGS.wait(0, 0.5, Some(Duration::from_secs(7))), Duration::from_secs(7));
}

#[test]
fn a_quiet_cluster_may_retry() {
    let mut budget = Budget::new(SETTINGS);
    assert_eq!((0..20).filter(|_| budget.retry()).count(), 5);
}

proptest! {
    #[test]
    fn retries_are_at_most_their_share(requests in 0u32..5000, pattern in proptest::collection::vec(0u8..4, 1..50)) {
        let (mut budget, mut retries) = (Budget::new(SETTINGS), 0);
        for n in 0..requests {
            budget.on_request();
            let tries = pattern[n as usize % pattern.len()];
            retries += (0..tries).filter(|_| budget.retry()).count();
        }
        prop_assert!(retries as f64 <= 5.0 + 0.1 * f64::from(requests) + 1e-6);
    }
}
