use super::*;
use proptest::prelude::*;

const SETTINGS: Settings = Settings { faults: 3, cooldown: Duration::from_secs(1), longest: Duration::from_secs(8) };

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Open since moment zero.
fn open() -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        let permit = breaker.permit(at(0)).unwrap();
        breaker.fault(at(0), permit, &SETTINGS, 0.0);
    }
    breaker
}

#[test]
fn it_opens_after_faults_in_a_row_and_a_success_breaks_the_row() {
    let mut breaker = Breaker::default();
    for fault in [true, true, false, true, true] {
        let permit = breaker.permit(at(0)).unwrap();
        if fault { breaker.fault(at(0), permit, &SETTINGS, 0.0) } else { breaker.good(permit) }
    }
    assert_eq!(breaker.state(at(0)), State::Closed);
    let permit = breaker.permit(at(0)).unwrap();
    breaker.fault(at(0), permit, &SETTINGS, 0.0);
    assert_eq!(breaker.state(at(999)), State::Open);
    assert_eq!(breaker.permit(at(999)), None);
    assert_eq!([0, 999, 1000].map(|millis| breaker.wait(at(millis))), [at(1000), at(1), at(0)]);
}

#[test]
fn back_pressure_never_opens_it_and_never_ends_a_row() {
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        let permit = breaker.permit(at(0)).unwrap();
        breaker.busy(permit);
    }
    assert_eq!(breaker.state(at(0)), State::Closed);
    for fault in [true, false, true, false, true] {
        let permit = breaker.permit(at(0)).unwrap();
        if fault { breaker.fault(at(0), permit, &SETTINGS, 0.0) } else { breaker.busy(permit) }
    }
    assert_eq!(breaker.state(at(0)), State::Open);
}

#[test]
fn half_open_it_lets_exactly_one_try_and_that_one_decides() {
    for (busy, good) in [(false, true), (true, false)] {
        let mut breaker = open();
        let probe = breaker.permit(at(1000)).unwrap();
        assert_eq!(breaker.permit(at(1000)), None);
        if good {
            breaker.good(probe);
        }
        if busy {
            breaker.busy(probe);
        }
        assert_eq!(breaker.state(at(1000)), State::Closed);
    }
    let mut breaker = open();
    let probe = breaker.permit(at(1000)).unwrap();
    breaker.fault(at(1000), probe, &SETTINGS, 0.0);
    assert_eq!(breaker.state(at(2999)), State::Open, "twice as long");
    assert_eq!(breaker.state(at(3000)), State::HalfOpen);
}

#[test]
fn a_probe_that_is_dropped_lets_the_next_one_try() {
    let mut breaker = open();
    let probe = breaker.permit(at(1000)).unwrap();
    breaker.forget(probe);
    assert!(breaker.permit(at(1000)).is_some());
}

#[test]
fn what_began_before_it_opened_says_nothing_of_now() {
    let mut breaker = Breaker::default();
    let old = breaker.permit(at(0)).unwrap();
    for _ in 0..3 {
        let permit = breaker.permit(at(0)).unwrap();
        breaker.fault(at(0), permit, &SETTINGS, 0.0);
    }
    breaker.good(old);
    breaker.busy(old);
    assert_eq!(breaker.state(at(0)), State::Open);
    let until = breaker.clone();
    breaker.fault(at(500), old, &SETTINGS, 0.0);
    assert_eq!(breaker, until);
}

#[test]
fn it_is_never_open_for_longer_than_allowed() {
    let mut breaker = open();
    let mut now = at(0);
    for _ in 0..40 {
        now += at(9700);
        let probe = breaker.permit(now).unwrap();
        breaker.fault(now, probe, &SETTINGS, 0.999);
    }
    assert_eq!(breaker.state(now + at(9600)), State::HalfOpen);
}

proptest! {
    #[test]
    fn never_more_than_half_are_left_out(open in proptest::collection::vec(any::<bool>(), 0..20)) {
        let out = excluded(&open);
        prop_assert_eq!(out.len(), open.len());
        prop_assert!(out.iter().filter(|out| **out).count() <= open.len() / 2);
        // Nobody is left out whose breaker is closed, and nobody let in without need.
        let count = open.iter().filter(|open| **open).count();
        prop_assert!(out.iter().zip(&open).all(|(out, open)| *open || !out));
        if count <= open.len() / 2 {
            prop_assert_eq!(out, open);
        }
    }

    #[test]
    fn however_it_is_used_one_probe_at_most_is_under_way(
        steps in proptest::collection::vec((0u8..5, 0u64..3000), 0..200),
    ) {
        let (mut breaker, mut now) = (Breaker::default(), at(0));
        let mut permits: Vec<Permit> = Vec::new();
        for (step, wait) in steps {
            now += at(wait);
            match (step, permits.pop()) {
                (0, last) => {
                    permits.extend(last);
                    let half = breaker.state(now) == State::HalfOpen;
                    let new = breaker.permit(now);
                    if half && new.is_some() {
                        prop_assert!(!breaker.admits(now), "a second probe");
                    }
                    permits.extend(new);
                }
                (1, Some(permit)) => breaker.good(permit),
                (2, Some(permit)) => breaker.busy(permit),
                (3, Some(permit)) => breaker.fault(now, permit, &SETTINGS, 0.5),
                (4, Some(permit)) => breaker.forget(permit),
                _ => {}
            }
        }
        // Whatever was, when all permits are back it lets somebody pass again after its longest time.
        for permit in permits {
            breaker.forget(permit);
        }
        prop_assert!(breaker.admits(now + at(9700)));
    }
}
