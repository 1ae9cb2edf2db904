//! Requests that run at once, as one thread sees them: in any order.

use super::random::Random;
use super::*;
use proptest::prelude::*;

/// What a request does, in order.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Comes,
    Extends(u64),
    Settles(u64),
    Cancels,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// 1,000 requests at once against $5.00, with cancellations, retries and requests that go on.
    #[test]
    fn a_thousand_requests_at_once_never_exceed_five_dollars(seed in any::<u64>()) {
        let mut random = Random(seed);
        let limit = 5 * DOLLAR;
        let mut ledger = ledger([of_all("all", limit), scoped("key", limit, |s| s.key = Some("k3".into()))]);
        let mut live: Vec<(u128, Vec<Phase>)> = (0..1000).map(|n| (n, phases(&mut random))).collect();
        let mut records = 0;
        while !live.is_empty() {
            let place = random.below(live.len() as u64) as usize;
            let (n, phases) = &mut live[place];
            let subject = subject(&format!("k{}", *n % 7));
            let refused = match phases.remove(0) {
                Phase::Comes => ledger.reserve(NOON, id(*n), &subject, Nanos(10_000_000 + seed % 1000)).is_err(),
                Phase::Extends(more) => ledger.extend(NOON, id(*n), Nanos(more)).is_err() && more % 2 == 0,
                Phase::Settles(actual) => {
                    records += ledger.settle(NOON, id(*n), Nanos(actual)).unwrap().booked.0;
                    false
                }
                Phase::Cancels => ledger.release(id(*n)).is_err(),
            };
            if refused || phases.is_empty() {
                let (n, _) = live.swap_remove(place);
                // A guard that goes: whatever is open is given back.
                let _ = ledger.release(id(n));
            }
            let state = ledger.state(NOON, "all").unwrap();
            prop_assert!(state.settled.0 + state.reserved.0 <= limit);
        }
        prop_assert_eq!(stands(&ledger, NOON, "all"), (records, 0));
        prop_assert!(records > limit / 2, "the budget is put to use: {}", records);
    }
}

fn phases(random: &mut Random) -> Vec<Phase> {
    let mut phases = vec![Phase::Comes];
    for _ in 0..random.below(3) {
        phases.push(Phase::Extends(random.below(2_000_000)));
    }
    phases.push(match random.below(5) {
        0 => Phase::Cancels,
        _ => Phase::Settles(random.below(14_000_000)),
    });
    phases
}

/// litellm #34732: calls at once all passed, since the budget was looked at first and counted later.
#[test]
fn regression_looking_at_a_budget_counts_in_it() {
    let mut ledger = ledger([of_all("all", 10)]);
    let passed = (0..1000).filter(|n| ledger.reserve(NOON, id(*n), &subject("k"), Nanos(1)).is_ok()).count();
    assert_eq!(passed, 10);
}

/// litellm #26672: the first requests of a key went past its budget.
#[test]
fn regression_the_very_first_request_is_held_to_its_budget() {
    let mut ledger = ledger([scoped("k", 10, |s| s.key = Some("k".into()))]);
    over(ledger.reserve(NOON, id(1), &subject("k"), Nanos(11)).unwrap_err());
}

/// bifrost: a request of $2 passed with $1 left.
#[test]
fn regression_a_request_that_may_cost_more_than_is_left_does_not_pass() {
    let mut ledger = ledger([of_all("all", 5 * DOLLAR)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(4 * DOLLAR)).unwrap();
    ledger.settle(NOON, id(1), Nanos(4 * DOLLAR)).unwrap();
    over(ledger.reserve(NOON, id(2), &subject("k"), Nanos(2 * DOLLAR)).unwrap_err());
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(DOLLAR)).unwrap();
}

/// langwatch #6141: what was spent was seen late, so the next request passed.
#[test]
fn regression_what_was_settled_counts_for_the_next_request() {
    let mut ledger = ledger([of_all("all", 10)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(10)).unwrap();
    ledger.settle(NOON, id(1), Nanos(10)).unwrap();
    over(ledger.reserve(NOON, id(2), &subject("k"), Nanos(1)).unwrap_err());
}

/// bifrost #2873: requests on a side road were counted in no budget.
#[test]
fn regression_a_request_to_a_provider_counts_in_budgets_that_name_none() {
    let mut ledger = ledger([of_all("all", 10), scoped("openai", 5, |s| s.provider = Some("openai".into()))]);
    let hosted = Subject { provider: Some("openai".into()), ..subject("k") };
    ledger.reserve(NOON, id(1), &hosted, Nanos(5)).unwrap();
    assert_eq!(stands(&ledger, NOON, "all"), (0, 5));
    over(ledger.reserve(NOON, id(2), &hosted, Nanos(1)).unwrap_err());
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(5)).unwrap();
}
