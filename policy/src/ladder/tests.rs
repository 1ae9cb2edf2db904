use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    delay: Band { high: 2.0, low: 0.5 },
    cache: Band { high: 0.95, low: 0.8 },
    errors: Band { high: 0.5, low: 0.1 },
    climb: Duration::from_secs(1),
    rest: Duration::from_secs(5),
};

fn seconds(seconds: f64) -> Signals {
    Signals { delay: Duration::from_secs_f64(seconds), ..Signals::default() }
}

/// Observes a delay every 100 ms for so long; the rungs it came to.
fn hold(ladder: &mut Ladder, from: f64, time: f64, signals: Signals) -> Vec<u8> {
    let steps = (time * 10.0) as u32;
    let at = |step: u32| Duration::from_secs_f64(from) + Duration::from_millis(100) * step;
    (0..steps).filter_map(|step| ladder.observe(at(step), signals, &RULES)).map(|change| change.to).collect()
}

#[test]
fn it_climbs_in_order_and_comes_down_later_in_order() {
    let mut ladder = Ladder::default();
    assert_eq!(hold(&mut ladder, 0.0, 0.9, seconds(9.0)), [], "a moment is no reason");
    assert_eq!(hold(&mut ladder, 0.9, 9.0, seconds(9.0)), [1, 2, 3, 4, 5]);
    assert_eq!(hold(&mut ladder, 10.0, 4.9, seconds(0.0)), []);
    assert_eq!(hold(&mut ladder, 14.9, 30.0, seconds(0.0)), [4, 3, 2, 1, 0]);
}

#[test]
fn any_signal_climbs_and_all_must_rest() {
    for signals in
        [Signals { cache: 0.97, ..Signals::default() }, Signals { errors: 0.6, ..Signals::default() }, seconds(2.0)]
    {
        let mut ladder = Ladder::default();
        assert_eq!(hold(&mut ladder, 0.0, 1.2, signals), [1]);
        let half = Signals { cache: 0.9, ..Signals::default() };
        assert_eq!(hold(&mut ladder, 2.0, 60.0, half), [], "one signal is still inside its band");
    }
}

proptest! {
    #[test]
    fn it_never_skips_a_rung_and_never_leaves_the_ladder(
        steps in prop::collection::vec((0_u64..3000, 0.0..4.0_f64, 0.0..1.0_f64, 0.0..1.0_f64), 1..200),
    ) {
        let (mut ladder, mut now) = (Ladder::default(), Duration::ZERO);
        for (wait, delay, cache, errors) in steps {
            now += Duration::from_millis(wait);
            let before = ladder.level();
            let change = ladder.observe(now, Signals { delay: Duration::from_secs_f64(delay), cache, errors }, &RULES);
            prop_assert!(ladder.level().abs_diff(before) <= 1 && ladder.level() <= TOP);
            prop_assert_eq!(change, (ladder.level() != before).then_some(Change { from: before, to: ladder.level() }));
        }
    }

    #[test]
    fn a_signal_inside_the_band_moves_nothing(
        delays in prop::collection::vec(0.5..2.0_f64, 1..300),
        climbs in 0_u32..5,
    ) {
        let mut ladder = Ladder::default();
        hold(&mut ladder, 0.0, f64::from(climbs) * 1.0 + 0.5, seconds(3.0));
        let level = ladder.level();
        for (step, delay) in (0_u32..).zip(delays) {
            let now = Duration::from_secs(20) + Duration::from_millis(500) * step;
            prop_assert_eq!(ladder.observe(now, seconds(delay), &RULES), None);
        }
        prop_assert_eq!(ladder.level(), level);
    }
}
