use super::*;
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn intensity(max_restarts: u32) -> Intensity {
    Intensity { max_restarts, within: ms(1_000), backoff: Backoff { first: ms(10), longest: ms(100) } }
}

#[test]
fn one_failure_too_many_within_the_time_is_the_end() {
    let mut restarts = Restarts::new(intensity(3));
    for now in [0, 100, 200] {
        assert!(matches!(restarts.on_failure(ms(now), 0.5), Decision::Restart { .. }), "at {now}");
    }
    assert_eq!(restarts.on_failure(ms(300), 0.5), Decision::GiveUp { failures: 4 });
}

#[test]
fn old_failures_are_forgotten_and_the_wait_starts_afresh() {
    let mut restarts = Restarts::new(intensity(2));
    assert_eq!(restarts.on_failure(ms(0), 1.0), Decision::Restart { after: ms(10) });
    assert_eq!(restarts.on_failure(ms(1), 1.0), Decision::Restart { after: ms(20) });
    assert_eq!(restarts.on_failure(ms(1_001), 1.0), Decision::Restart { after: ms(10) });
}

#[test]
fn the_wait_doubles_up_to_its_bound() {
    let backoff = intensity(1).backoff;
    let bounds: Vec<Duration> = (0..6).map(|attempt| backoff.bound(attempt)).collect();
    assert_eq!(bounds, [ms(10), ms(20), ms(40), ms(80), ms(100), ms(100)]);
    assert_eq!(backoff.bound(u32::MAX), ms(100));
}

proptest! {
    #[test]
    fn never_more_restarts_than_tolerated_in_any_window(max in 0_u32..6, gaps in prop::collection::vec(0_u64..400, 1..60)) {
        let mut restarts = Restarts::new(intensity(max));
        let (mut now, mut granted) = (ms(0), Vec::new());
        for gap in gaps {
            now += ms(gap);
            match restarts.on_failure(now, 0.3) {
                Decision::Restart { .. } => granted.push(now),
                // Given up only when the tolerance is truly used up.
                Decision::GiveUp { .. } => {
                    let recent = granted.iter().filter(|at| now - **at < ms(1_000)).count();
                    prop_assert_eq!(recent, max as usize);
                }
            }
            let recent = granted.iter().filter(|at| now - **at < ms(1_000)).count();
            prop_assert!(recent <= max as usize);
        }
    }

    #[test]
    fn waits_stay_within_their_bounds(attempt in any::<u32>(), seed in any::<u64>()) {
        let backoff = intensity(1).backoff;
        let random = Jitter::new(seed).draw();
        prop_assert!((0.0..1.0).contains(&random));
        prop_assert!(backoff.full_jitter(attempt, random) <= backoff.bound(attempt));
        let half = backoff.half_jitter(attempt, random);
        prop_assert!(half >= backoff.bound(attempt) / 2 && half <= backoff.bound(attempt));
    }
}
