use proptest::prelude::*;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn told(limit: u64, remaining: u64, reset: Duration) -> Told {
    Told { limit: Some(limit), remaining: Some(remaining), reset: Some(reset) }
}

fn wait(state: &LimitState, now: Duration, tokens: u64) -> Duration {
    match state.may_start(now, Tokens(tokens)) {
        May::Ok => Duration::ZERO,
        May::Wait(wait, _) => wait,
    }
}

#[test]
fn nothing_is_known_at_first() {
    assert_eq!(LimitState::default().may_start(s(0), Tokens(u64::MAX)), May::Ok);
}

#[test]
fn who_has_no_requests_left_is_not_asked_until_one_is() {
    let mut state = LimitState::default();
    state.on_headers(s(100), &Headers { requests: told(60, 0, s(60)), ..Headers::default() });
    let first = wait(&state, s(100), 1);
    assert!(first > Duration::from_millis(990) && first < Duration::from_millis(1010), "one of sixty: {first:?}");
    assert_eq!(state.may_start(s(102), Tokens(1)), May::Ok);
}

#[test]
fn tokens_are_waited_for_in_proportion() {
    let mut state = LimitState::default();
    state.on_headers(s(0), &Headers { tokens: told(10_000, 4000, s(6)), ..Headers::default() });
    assert_eq!(wait(&state, s(0), 4000), Duration::ZERO);
    let half = wait(&state, s(0), 7000);
    assert!(half > s(3) && half < s(3) + Duration::from_millis(10), "{half:?}");
    assert_eq!(wait(&state, s(4), 7000), Duration::ZERO);
    // More than the whole limit never fits: the provider shall say it.
    assert_eq!(wait(&state, s(0), 10_001), Duration::ZERO);
}

#[test]
fn what_is_sent_counts_before_the_next_headers() {
    let mut state = LimitState::default();
    state.on_headers(s(0), &Headers { requests: told(10, 2, s(60)), ..Headers::default() });
    for _ in 0..2 {
        assert_eq!(state.may_start(s(0), Tokens(1)), May::Ok);
        state.on_start(s(0), Tokens(1));
    }
    assert!(wait(&state, s(0), 1) > s(1));
    state.on_headers(s(1), &Headers { requests: told(10, 5, s(60)), ..Headers::default() });
    assert_eq!(state.may_start(s(1), Tokens(1)), May::Ok);
}

#[test]
fn output_that_is_spent_holds_back() {
    let mut state = LimitState::default();
    state.on_headers(s(0), &Headers { output: told(8000, 0, s(60)), ..Headers::default() });
    assert!(!wait(&state, s(0), 1).is_zero());
}

#[test]
fn a_refusal_holds_all_back_until_its_time() {
    let mut state = LimitState::default();
    state.on_refusal(s(10), FailureKind::RateLimited, Some(s(7)));
    assert_eq!(state.may_start(s(10), Tokens(1)), May::Wait(s(7), FailureKind::RateLimited));
    // A shorter one does not shorten it.
    state.on_refusal(s(11), FailureKind::RateLimited, Some(s(1)));
    assert_eq!(state.may_start(s(12), Tokens(1)), May::Wait(s(5), FailureKind::RateLimited));
    assert_eq!(state.may_start(s(17), Tokens(1)), May::Ok);
}

#[test]
fn refusals_without_a_time_hold_back_longer_each_time() {
    let mut state = LimitState::default();
    let mut now = s(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        state.on_refusal(now, FailureKind::RateLimited, None);
        let wait = wait(&state, now, 1);
        waits.push(wait.as_secs());
        now += wait;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    state.on_success();
    state.on_refusal(now, FailureKind::RateLimited, None);
    assert_eq!(wait(&state, now, 1), s(1));
}

#[test]
fn an_empty_account_is_not_asked_for_a_minute_and_faults_do_not_hold_back() {
    let mut state = LimitState::default();
    for kind in FailureKind::ALL.into_iter().filter(|kind| kind.is_fault()) {
        state.on_refusal(s(0), kind, None);
    }
    assert_eq!(state.may_start(s(0), Tokens(1)), May::Ok);
    state.on_refusal(s(0), FailureKind::Budget, None);
    assert_eq!(state.may_start(s(0), Tokens(1)), May::Wait(s(60), FailureKind::Budget));
}

#[test]
fn absurd_headers_lock_nobody_out() {
    let mut state = LimitState::default();
    state.on_refusal(s(0), FailureKind::RateLimited, Some(Duration::MAX));
    state.on_headers(s(0), &Headers { tokens: told(u64::MAX, 0, Duration::MAX), ..Headers::default() });
    assert!(wait(&state, s(0), u64::MAX) <= LONGEST);
    assert_eq!(state.may_start(LONGEST, Tokens(u64::MAX)), May::Ok);
    // Remaining above the limit, and a limit of nothing.
    state = LimitState::default();
    state.on_headers(s(0), &Headers { requests: told(5, 50, s(9)), tokens: told(0, 0, s(9)), ..Headers::default() });
    assert_eq!(state.may_start(s(0), Tokens(10)), May::Ok);
}

proptest! {
    #[test]
    fn after_the_wait_it_may_start(
        limit in 0u64..u64::MAX, remaining in any::<u64>(), reset in 0u64..10_000_000, wanted in any::<u64>(),
        at in 0u64..1_000_000, later in 0u64..10_000,
    ) {
        let now = Duration::from_millis(at);
        let mut state = LimitState::default();
        let reset = Duration::from_millis(reset);
        state.on_headers(now, &Headers { tokens: told(limit, remaining, reset), ..Headers::default() });
        let now = now + Duration::from_millis(later);
        let wait = wait(&state, now, wanted);
        prop_assert!(wait <= LONGEST);
        prop_assert_eq!(state.may_start(now + wait, Tokens(wanted)), May::Ok);
    }
}
