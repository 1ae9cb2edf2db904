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

#[test]
fn a_slow_way_gets_longer_tries_by_and_by() {
    let longest = Duration::from_secs(5);
    assert_eq!(dial_limit(0, longest), DIAL);
    assert_eq!(dial_limit(TRIES - 1, longest), DIAL, "one that was lost is noticed soon");
    assert_eq!(dial_limit(TRIES, longest), DIAL * 2);
    assert_eq!(dial_limit(u32::MAX, longest), longest);
    assert_eq!(dial_limit(0, Duration::from_millis(300)), Duration::from_millis(300));
}
