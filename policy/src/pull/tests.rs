use super::*;

const TERMS: Terms = Terms { margin: 1.5, limit: Duration::from_secs(1), bandwidth: 64e6, least: Tokens(64) };

/// 1,000 tokens of 24 KB at 120 MB/s are 200 ms; at 2,000 tokens a second they are computed in 500 ms.
fn offer() -> Offer {
    Offer {
        missing: Tokens(1000),
        bytes_per_token: 24_000.0,
        bandwidth: Some(120e6),
        latency: Duration::ZERO,
        prefill: Some(2000.0),
        queue: Tokens::ZERO,
    }
}

#[test]
fn a_pull_must_be_cheaper_by_the_margin_and_has_the_time_that_it_saves() {
    let (cost, limit) = (Duration::from_millis(200), Duration::from_millis(500));
    assert_eq!(decide(&offer(), &TERMS), Verdict::Pull { cost, limit });
    // 1.5 times 338 ms is more than 500 ms.
    let slower = Offer { bandwidth: Some(71e6), ..offer() };
    assert_eq!(decide(&slower, &TERMS), Verdict::Compute);
    let far = Offer { latency: Duration::from_millis(140), ..offer() };
    assert_eq!(decide(&far, &TERMS), Verdict::Compute);
    let fast = Offer { prefill: Some(20_000.0), ..offer() };
    assert_eq!(decide(&fast, &TERMS), Verdict::Compute);
}

#[test]
fn little_is_computed_and_nothing_takes_longer_than_the_limit() {
    assert_eq!(decide(&Offer { missing: Tokens(63), ..offer() }, &TERMS), Verdict::Compute);
    assert_eq!(
        decide(&Offer { missing: Tokens(0), ..offer() }, &Terms { least: Tokens(0), ..TERMS }),
        Verdict::Compute
    );
    let long = Offer { missing: Tokens(4500), ..offer() };
    let (cost, limit) = (Duration::from_millis(900), Duration::from_secs(1));
    assert_eq!(decide(&long, &TERMS), Verdict::Pull { cost, limit });
    assert_eq!(decide(&Offer { missing: Tokens(6000), ..offer() }, &TERMS), Verdict::Compute);
}

#[test]
fn what_was_never_measured_is_as_configured() {
    let unknown = Offer { bandwidth: None, ..offer() };
    assert_eq!(transfer(&unknown, &TERMS), Duration::from_millis(375));
    assert_eq!(decide(&unknown, &TERMS), Verdict::Compute);
    let cold = Offer { prefill: None, ..offer() };
    assert!(matches!(decide(&cold, &TERMS), Verdict::Pull { limit, .. } if limit == TERMS.limit));
}

#[test]
fn a_queue_gives_a_pull_more_time_and_no_other_reason() {
    let queued = Offer { queue: Tokens(600), ..offer() };
    let (cost, limit) = (Duration::from_millis(200), Duration::from_millis(800));
    assert_eq!(decide(&queued, &TERMS), Verdict::Pull { cost, limit });
    let poor = Offer { bandwidth: Some(50e6), queue: Tokens(100_000), ..offer() };
    assert_eq!(decide(&poor, &TERMS), Verdict::Compute);
}

#[test]
fn only_long_prompts_go_elsewhere_and_only_if_that_is_sooner() {
    let millis = Duration::from_millis;
    assert!(elsewhere(Tokens(512), millis(1000), millis(400), &offer(), &TERMS));
    assert!(!elsewhere(Tokens(2048), millis(1000), millis(400), &offer(), &TERMS));
    assert!(!elsewhere(Tokens(512), millis(800), millis(400), &offer(), &TERMS));
}

#[test]
fn numbers_that_are_none_panic_nowhere() {
    for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let offer = Offer { bandwidth: Some(odd), bytes_per_token: odd, prefill: Some(odd), ..offer() };
        let _ = decide(&offer, &Terms { margin: odd, bandwidth: odd, ..TERMS });
    }
}

#[test]
fn newer_measures_count_more_and_small_ones_tell_no_bandwidth() {
    let mut way = Way::default();
    way.measured(100, Duration::from_secs(1), Duration::from_millis(2));
    assert_eq!((way.bandwidth(), way.latency()), (None, Duration::from_millis(2)));
    way.measured(1_000_000, Duration::from_secs(1), Duration::from_millis(2));
    way.measured(2_000_000, Duration::from_secs(1), Duration::from_millis(2));
    assert_eq!(way.bandwidth(), Some(1.3e6));
}

#[test]
fn a_peer_that_fails_rests_longer_each_time() {
    let mut way = Way::default();
    let second = Duration::from_secs(1);
    assert!(way.is_open(Duration::ZERO));
    way.failed(second);
    assert!(!way.is_open(second) && way.is_open(2 * second));
    way.failed(2 * second);
    assert!(!way.is_open(3 * second) && way.is_open(4 * second));
    way.measured(0, second, second);
    way.failed(4 * second);
    assert!(way.is_open(5 * second));
}
