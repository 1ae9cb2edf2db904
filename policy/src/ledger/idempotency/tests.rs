use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn seen(most: usize) -> Seen {
    Seen::new(Settings { keep: 10 * SECOND, most })
}

fn request(id: u128) -> RequestId {
    RequestId(id)
}

#[test]
fn a_repeated_submission_finds_the_first_and_costs_nothing() {
    let mut seen = seen(10);
    let key = ("key-1", "again");
    assert_eq!(seen.begin(SECOND, key, request(1), [1; 32]), Ok(Begun::First));
    assert_eq!(seen.begin(SECOND, key, request(2), [1; 32]), Ok(Begun::Running(request(1))));
    assert!(!seen.finish(SECOND, key, request(2), Nanos(9)), "only the first finishes it");
    assert!(seen.finish(SECOND, key, request(1), Nanos(7)));
    assert!(!seen.finish(SECOND, key, request(1), Nanos(8)), "and once");
    let done = Begun::Done(Done { request: request(1), cost: Nanos(7) });
    assert_eq!(seen.begin(SECOND * 10, key, request(3), [1; 32]), Ok(done));
    // From when it was done, it is kept for so long and no longer.
    assert_eq!(seen.begin(SECOND * 11, key, request(4), [1; 32]), Ok(Begun::First));
}

#[test]
fn keys_of_others_and_other_requests_are_told_apart() {
    let mut seen = seen(10);
    seen.begin(SECOND, ("key-1", "again"), request(1), [1; 32]).unwrap();
    assert_eq!(seen.begin(SECOND, ("key-2", "again"), request(2), [1; 32]), Ok(Begun::First));
    assert_eq!(seen.begin(SECOND, ("key-1", "again"), request(3), [2; 32]), Err(Refused::Reused(request(1))));
    assert_eq!(seen.begin(SECOND, ("key-1", ""), request(3), [2; 32]), Err(Refused::Key { bytes: 0 }));
    let long = "x".repeat(256);
    assert_eq!(seen.begin(SECOND, ("key-1", &long), request(3), [2; 32]), Err(Refused::Key { bytes: 256 }));
}

#[test]
fn one_that_comes_to_nothing_can_be_sent_again() {
    let mut seen = seen(10);
    let key = ("key-1", "again");
    seen.begin(SECOND, key, request(1), [1; 32]).unwrap();
    assert!(!seen.abandon(key, request(2)));
    assert!(seen.abandon(key, request(1)));
    assert_eq!(seen.begin(SECOND, key, request(2), [1; 32]), Ok(Begun::First));
    seen.finish(SECOND, key, request(2), Nanos(1));
    assert!(!seen.abandon(key, request(2)), "what is done stays so");
}

#[test]
fn the_oldest_that_is_done_goes_first_and_one_that_runs_never() {
    let mut seen = seen(3);
    for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
        seen.begin(SECOND, ("k", key), request(n as u128), [0; 32]).unwrap();
    }
    assert_eq!(seen.begin(SECOND, ("k", "d"), request(3), [0; 32]), Err(Refused::Full(3)));
    seen.finish(SECOND * 3, ("k", "b"), request(1), Nanos(1));
    seen.finish(SECOND * 2, ("k", "c"), request(2), Nanos(1));
    assert_eq!(seen.begin(SECOND * 4, ("k", "d"), request(3), [0; 32]), Ok(Begun::First));
    let done = Begun::Done(Done { request: request(1), cost: Nanos(1) });
    assert_eq!(seen.begin(SECOND * 4, ("k", "b"), request(9), [0; 32]), Ok(done));
    assert_eq!(seen.begin(SECOND * 4, ("k", "a"), request(9), [0; 32]), Ok(Begun::Running(request(0))));
    assert_eq!(seen.len(), 3);
}

proptest! {
    /// Of those with one key that come while one of them runs or is kept, one is charged.
    #[test]
    fn a_key_is_charged_once_while_it_is_kept(
        steps in prop::collection::vec((0..4_u8, 0..6_u8, 0..4_u64), 1..300), most in 1..5_usize,
    ) {
        let mut seen = seen(most);
        let mut running = BTreeMap::new();
        let mut now = Duration::ZERO;
        for (n, (step, key, turn)) in steps.into_iter().enumerate() {
            now += SECOND * u32::try_from(turn).unwrap();
            let key = key.to_string();
            match (step, running.get(&key).copied()) {
                (0 | 1, ran) => match seen.begin(now, ("k", &key), request(n as u128), [0; 32]) {
                    Ok(Begun::First) => {
                        prop_assert_eq!(ran, None);
                        running.insert(key, request(n as u128));
                    }
                    Ok(Begun::Running(first)) => prop_assert_eq!(ran, Some(first)),
                    Ok(Begun::Done(_)) => prop_assert_eq!(ran, None),
                    Err(Refused::Full(_)) => prop_assert_eq!(running.len(), most),
                    Err(other) => prop_assert!(false, "{}", other),
                },
                (2, Some(first)) => {
                    prop_assert!(seen.finish(now, ("k", &key), first, Nanos(1)));
                    running.remove(&key);
                }
                (3, Some(first)) => {
                    prop_assert!(seen.abandon(("k", &key), first));
                    running.remove(&key);
                }
                _ => {}
            }
            prop_assert!(seen.len() <= most && seen.len() >= running.len());
            prop_assert_eq!(seen.done.len(), seen.len() - running.len());
        }
    }
}
