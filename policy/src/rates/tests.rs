use super::*;
use crate::restart::Jitter;

/// An engine whose steps take what they should, give or take a tenth.
struct Engine {
    rate: f64,
    base: f64,
    sequence: f64,
    noise: Jitter,
}

impl Engine {
    fn new() -> Self {
        Self { rate: 5_000.0, base: 8e-3, sequence: 1e-4, noise: Jitter::new(3) }
    }

    fn step(&mut self, prefill: u64, decoded: u32) -> Step {
        let decode = if decoded > 0 { self.base + self.sequence * f64::from(decoded) } else { 0.0 };
        let took = (prefill as f64 / self.rate + decode) * (0.9 + 0.2 * self.noise.draw());
        Step { prefill: Tokens(prefill), decoded, took: Duration::from_secs_f64(took) }
    }
}

fn near(value: f64, wanted: f64, share: f64) -> bool {
    (value - wanted).abs() <= wanted * share
}

#[track_caller]
fn check(rates: Rates, engine: &Engine, share: f64) {
    assert!(near(rates.prefill.into(), engine.rate, share), "{rates:?}");
    let one = (rates.step + rates.sequence).as_secs_f64();
    assert!(near(one, engine.base + engine.sequence, share), "{rates:?}");
}

#[test]
fn nothing_is_said_before_a_few_steps_were_seen() {
    let (mut estimator, mut engine) = (Estimator::default(), Engine::new());
    assert_eq!(estimator.rates(), Rates::default());
    for _ in 0..2 {
        estimator.observe(engine.step(200, 0));
        estimator.observe(engine.step(0, 4));
    }
    assert_eq!(estimator.rates(), Rates::default());
    estimator.observe(engine.step(200, 0));
    estimator.observe(engine.step(0, 4));
    check(estimator.rates(), &engine, 0.15);
}

#[test]
fn the_parts_are_told_apart_where_the_batch_changes() {
    let (mut estimator, mut engine) = (Estimator::default(), Engine::new());
    for round in 0..200 {
        estimator.observe(engine.step(256, round % 60));
        estimator.observe(engine.step(0, 1 + round % 60));
    }
    let rates = estimator.rates();
    check(rates, &engine, 0.1);
    assert!(near(rates.sequence.as_secs_f64(), engine.sequence, 0.35), "{rates:?}");
}

#[test]
fn steps_that_do_both_tell_the_rate_once_decoding_is_known() {
    let (mut estimator, mut engine) = (Estimator::default(), Engine::new());
    (0..20).for_each(|round| estimator.observe(engine.step(0, 1 + round % 30)));
    (0..100).for_each(|round| estimator.observe(engine.step(64, 1 + round % 30)));
    check(estimator.rates(), &engine, 0.2);
}

#[test]
fn slow_first_steps_do_not_last() {
    let (mut estimator, mut engine) = (Estimator::default(), Engine::new());
    for prefill in [256, 0] {
        let decoded = u32::from(prefill == 0);
        estimator.observe(Step { took: Duration::from_secs(3), ..engine.step(prefill, decoded) });
        (0..2).for_each(|_| estimator.observe(engine.step(prefill, decoded)));
    }
    check(estimator.rates(), &engine, 0.15);
}

#[test]
fn one_outlier_moves_little_and_a_change_is_followed() {
    let (mut estimator, mut engine) = (Estimator::default(), Engine::new());
    (0..100).for_each(|round| {
        estimator.observe(engine.step(256, 0));
        estimator.observe(engine.step(0, 1 + round % 20));
    });
    for (prefill, decoded) in [(256, 0), (0, 10)] {
        estimator.observe(Step { took: Duration::from_secs(5), ..engine.step(prefill, decoded) });
        estimator.observe(Step { took: Duration::ZERO, ..engine.step(prefill, decoded) });
    }
    check(estimator.rates(), &engine, 0.15);
    // The machine is four times slower from now on.
    engine = Engine { rate: engine.rate / 4.0, base: engine.base * 4.0, sequence: engine.sequence * 4.0, ..engine };
    (0..250).for_each(|round| {
        estimator.observe(engine.step(256, 0));
        estimator.observe(engine.step(0, 1 + round % 20));
    });
    check(estimator.rates(), &engine, 0.15);
}

#[test]
fn what_takes_no_time_is_as_fast_as_anything_can_be() {
    let mut estimator = Estimator::default();
    for _ in 0..10 {
        estimator.observe(Step { prefill: Tokens(u64::MAX), decoded: 0, took: Duration::ZERO });
        estimator.observe(Step { prefill: Tokens(0), decoded: u32::MAX, took: Duration::ZERO });
        estimator.observe(Step { prefill: Tokens(100), decoded: 1, took: Duration::MAX });
        estimator.observe(Step { prefill: Tokens(0), decoded: 0, took: Duration::MAX });
    }
    let rates = estimator.rates();
    assert!(rates.prefill <= FASTEST && rates.step + rates.sequence < Duration::from_secs(1), "{rates:?}");
}

proptest::proptest! {
    #[test]
    fn whatever_is_seen_the_figures_can_be(steps in proptest::collection::vec((0u64..3_000, 0u32..300, 0u64..10_000_000_000), 0..60)) {
        let mut estimator = Estimator::default();
        for (prefill, decoded, nanos) in steps {
            estimator.observe(Step { prefill: Tokens(prefill), decoded, took: Duration::from_nanos(nanos) });
        }
        let rates = estimator.rates();
        proptest::prop_assert!(rates.prefill <= FASTEST);
        proptest::prop_assert!(rates.step <= Duration::from_secs(10) && rates.sequence <= Duration::from_secs(10));
    }
}
