use super::*;

#[test]
fn a_node_never_waits_long_before_it_dials_again() {
    let mut config = Config::default();
    assert_eq!(redial(&config).longest, Duration::from_millis(500));
    config.wire.redial = protocol::units::Span(Duration::from_millis(20));
    let short = redial(&config);
    assert_eq!((short.first, short.longest), (short.longest, Duration::from_millis(20)));
    assert!((0..64).all(|attempt| short.full_jitter(attempt, 0.999) <= short.longest));
}
