use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn time_in_which_nobody_waits_does_not_lower_it() {
    let mut rate = Rate::default();
    rate.advance(secs(1), true);
    rate.left(Tokens(20_000));
    let measured = rate.per_second();
    assert!(measured > ASSUMED);
    rate.advance(secs(60), false);
    assert_eq!(rate.per_second(), measured);
}

#[test]
fn regression_the_rate_of_an_outage_is_forgotten_when_nobody_waits() {
    let mut rate = Rate::default();
    rate.advance(secs(60), true);
    assert!(rate.per_second() < 10.0, "{}", rate.per_second());
    let mut before = rate.per_second();
    for second in 61..100 {
        rate.advance(secs(second), false);
        assert!(rate.per_second() > before && rate.per_second() < ASSUMED);
        before = rate.per_second();
    }
    assert!(before > ASSUMED * 0.8, "{before}");
}
