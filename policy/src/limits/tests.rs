use super::*;

mod model;
mod traffic;

const ALL: KeyLimits = KeyLimits { requests_per_minute: Some(60), tokens_per_minute: Some(10_000), parallel: Some(20) };

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn only_tokens(limit: u64) -> KeyLimits {
    KeyLimits { tokens_per_minute: Some(limit), ..KeyLimits::default() }
}

fn only_requests(limit: u32) -> KeyLimits {
    KeyLimits { requests_per_minute: Some(limit), ..KeyLimits::default() }
}

#[test]
fn tokens_are_reserved_then_corrected_and_count_for_a_minute_from_the_end() {
    let (mut limits, key) = (Limits::new(8), only_tokens(1_000));
    let ticket = limits.admit(at(0), "a", &key, Tokens(800)).unwrap();
    let refused = limits.admit(at(1), "a", &key, Tokens(300)).unwrap_err();
    assert_eq!(
        refused,
        Limited::Used { which: Which::Tokens, limit: 1_000, used: 800, retry_after: at(1_000), sure: false }
    );
    limits.settle(at(30_000), ticket, Tokens(250));
    assert_eq!(limits.state(at(30_000), "a", &key).tokens.unwrap().remaining, 750);
    let refused = limits.admit(at(31_000), "a", &key, Tokens(800)).unwrap_err();
    let Limited::Used { used: 250, retry_after, sure: true, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(retry_after, at(90_100 - 31_000), "a minute after it has ended, and its bucket");
    assert!(limits.admit(at(90_099), "a", &key, Tokens(800)).is_err());
    assert!(limits.admit(at(90_100), "a", &key, Tokens(800)).is_ok());
}

#[test]
fn a_request_that_used_more_than_it_reserved_counts_in_full() {
    let (mut limits, key) = (Limits::new(8), only_tokens(1_000));
    let ticket = limits.admit(at(0), "a", &key, Tokens(100)).unwrap();
    limits.settle(at(10), ticket, Tokens(5_000));
    let Limited::Used { used: 5_000, .. } = limits.admit(at(20), "a", &key, Tokens(1)).unwrap_err() else { panic!() };
    assert!(limits.admit(at(60_100), "a", &key, Tokens(1)).is_ok());
}

#[test]
fn a_request_that_never_ran_counts_as_a_request_and_for_no_tokens() {
    let (mut limits, key) =
        (Limits::new(8), KeyLimits { requests_per_minute: Some(2), tokens_per_minute: Some(100), parallel: None });
    for _ in 0..2 {
        let ticket = limits.admit(at(0), "a", &key, Tokens(100)).unwrap();
        limits.release(at(0), ticket);
    }
    let state = limits.state(at(0), "a", &key);
    assert_eq!(state.tokens.unwrap().remaining, 100);
    assert_eq!(state.requests.unwrap(), Gauge { limit: 2, remaining: 0, reset: at(60_100) });
    assert!(matches!(
        limits.admit(at(0), "a", &key, Tokens(1)),
        Err(Limited::Used { which: Which::Requests, sure: true, .. })
    ));
}

#[test]
fn what_no_minute_can_hold_is_refused_with_the_field_and_the_remedy() {
    let mut limits = Limits::new(8);
    let refused = limits.admit(at(0), "a", &only_tokens(1_000), Tokens(1_001)).unwrap_err();
    assert_eq!(refused, Limited::TooLarge { asked: Tokens(1_001), limit: Tokens(1_000) });
    assert_eq!(refused.retry_after(), None);
    let text = refused.to_string();
    assert!(text.contains("max_tokens") && text.contains("1001") && text.contains("lower"), "{text}");
    for (key, field) in [
        (only_requests(0), "requests_per_minute"),
        (only_tokens(0), "tokens_per_minute"),
        (KeyLimits { parallel: Some(0), ..KeyLimits::default() }, "parallel"),
    ] {
        let refused = limits.admit(at(0), "a", &key, Tokens(0)).unwrap_err();
        assert!(refused.to_string().contains(field), "{refused}");
    }
    assert!(limits.is_empty(), "nothing is kept of them");
}

#[test]
fn requests_at_once_are_bounded_until_they_end() {
    let (mut limits, key) = (Limits::new(8), KeyLimits { parallel: Some(2), ..KeyLimits::default() });
    let first = limits.admit(at(0), "a", &key, Tokens(1)).unwrap();
    let second = limits.admit(at(0), "a", &key, Tokens(1)).unwrap();
    let refused = limits.admit(at(0), "a", &key, Tokens(1)).unwrap_err();
    assert!(matches!(refused, Limited::Used { which: Which::Parallel, limit: 2, used: 2, sure: false, .. }));
    limits.settle(at(8_000), first, Tokens(1));
    let third = limits.admit(at(8_000), "a", &key, Tokens(1)).unwrap();
    // They usually take 8 s, and the second is half through another 8 s.
    let refused = limits.admit(at(12_000), "a", &key, Tokens(1)).unwrap_err();
    assert_eq!(refused.retry_after(), Some(at(1_000)), "the second is late");
    limits.release(at(12_000), second);
    let _fourth = limits.admit(at(12_000), "a", &key, Tokens(1)).unwrap();
    let refused = limits.admit(at(13_000), "a", &key, Tokens(1)).unwrap_err();
    assert_eq!(refused.retry_after(), Some(at(3_000)), "the third is through in 3 s");
    limits.release(at(13_000), third);
}

#[test]
fn limits_that_change_apply_at_once_with_what_was_used_before() {
    let mut limits = Limits::new(8);
    for n in 0..10 {
        let ticket = limits.admit(at(n), "a", &KeyLimits::default(), Tokens(100)).unwrap();
        limits.settle(at(n), ticket, Tokens(100));
    }
    assert!(limits.admit(at(20), "a", &only_requests(10), Tokens(1)).is_err());
    assert!(limits.admit(at(20), "a", &only_tokens(1_000), Tokens(1)).is_err());
    assert!(limits.admit(at(20), "a", &only_tokens(1_001), Tokens(1)).is_ok());
    assert!(limits.admit(at(20), "a", &only_requests(12), Tokens(1)).is_ok());
}

#[test]
fn keys_do_not_see_each_other_and_idle_ones_are_forgotten() {
    let (mut limits, key) = (Limits::new(100), only_requests(1));
    for n in 0..100_u32 {
        let ticket = limits.admit(at(0), &n.to_string(), &key, Tokens(1)).unwrap();
        limits.settle(at(0), ticket, Tokens(1));
    }
    assert_eq!(limits.admit(at(0), "one more", &key, Tokens(1)), Err(Limited::Crowded(100)));
    let ticket = limits.admit(at(60_100), "one more", &key, Tokens(1)).unwrap();
    for n in 0..200 {
        _ = limits.admit(at(60_200 + n), "one more", &key, Tokens(1));
    }
    assert_eq!(limits.len(), 1, "only the one that was not idle is left");
    limits.release(at(70_000), ticket);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let (mut limits, key) = (Limits::new(8), only_requests(1));
    let ticket = limits.admit(at(100_000), "a", &key, Tokens(1)).unwrap();
    assert!(limits.admit(at(0), "a", &key, Tokens(1)).is_err());
    limits.settle(at(0), ticket, Tokens(1));
    assert!(limits.admit(at(160_099), "a", &key, Tokens(1)).is_err());
    assert!(limits.admit(at(160_100), "a", &key, Tokens(1)).is_ok());
    let ticket = limits.admit(Duration::MAX, "a", &KeyLimits::default(), Tokens(u64::MAX)).unwrap();
    limits.settle(Duration::MAX, ticket, Tokens(u64::MAX));
    assert_eq!(limits.state(Duration::MAX, "a", &only_tokens(9)).tokens.unwrap().remaining, 0);
}

#[test]
fn an_answer_without_a_length_gets_what_the_limit_leaves() {
    let key = only_tokens(1_000);
    assert_eq!(answer(&key, Tokens(300), Some(Tokens(700)), Tokens(4_096)), Ok(Tokens(700)));
    assert_eq!(answer(&key, Tokens(300), None, Tokens(4_096)), Ok(Tokens(700)));
    assert_eq!(answer(&key, Tokens(300), None, Tokens(128)), Ok(Tokens(128)));
    assert!(answer(&key, Tokens(300), Some(Tokens(701)), Tokens(4_096)).is_err());
    assert!(answer(&key, Tokens(1_000), None, Tokens(4_096)).is_err());
    assert_eq!(answer(&KeyLimits::default(), Tokens(9), None, Tokens(4_096)), Ok(Tokens(4_096)));
}

#[test]
fn spans_are_written_as_openai_does() {
    for (millis, text) in [
        (0, "0s"),
        (120, "120ms"),
        (1_000, "1s"),
        (8_640, "8.64s"),
        (60_000, "1m0s"),
        (86_400, "1m26.4s"),
        (360_000, "6m0s"),
        (3_600_000, "1h0m0s"),
        (90_061_005, "25h1m1.005s"),
    ] {
        assert_eq!(span(at(millis)), text);
    }
    assert_eq!(span(Duration::from_nanos(1)), "1ms", "never too early");
    assert_eq!(span(Duration::from_nanos(999_000_001)), "1s");
}

#[test]
fn headers_stand_for_limits_that_are_there() {
    let (mut limits, key) = (Limits::new(8), ALL);
    let ticket = limits.admit(at(50), "a", &key, Tokens(400)).unwrap();
    limits.settle(at(50), ticket, Tokens(150));
    let headers = limits.state(at(1_000), "a", &key).headers();
    let expected = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "59.1s"),
        ("x-ratelimit-limit-tokens", "10000"),
        ("x-ratelimit-remaining-tokens", "9850"),
        ("x-ratelimit-reset-tokens", "59.1s"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
    assert!(limits.state(at(1_000), "a", &KeyLimits::default()).headers().is_empty());
    assert_eq!(limits.state(at(1_000), "unknown", &only_requests(5)).requests.unwrap().remaining, 5);
}
