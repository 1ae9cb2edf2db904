//! 429 with each kind of header, and what is learned of headers.

use std::time::Duration;

use policy::upstream::limits::May;
use protocol::config::ProviderKind;
use protocol::units::Tokens;
use providers::FailureKind;
use providers::mock::{Mock, Reply};

use crate::support::*;

const BODY: &str = r#"{"error": {"message": "Slow down.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}"#;

/// Whose, the body, the headers, and the wait in milliseconds.
type Case = (ProviderKind, &'static str, &'static [(&'static str, &'static str)], Option<u64>);

#[tokio::test]
async fn each_way_to_say_when_to_come_again() {
    const RETRY_INFO: &str = r#"{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}]}}"#;
    let cases: [Case; 11] = [
        (ProviderKind::OpenAi, BODY, &[("retry-after", "7")], Some(7000)),
        (ProviderKind::OpenAi, BODY, &[("retry-after", "Sat, 28 Nov 2126 02:30:09 GMT")], Some(3_600_000)),
        (ProviderKind::OpenAi, BODY, &[("retry-after-ms", "250"), ("retry-after", "1")], Some(250)),
        (ProviderKind::OpenAi, BODY, &[("x-ms-retry-after-ms", "1500")], Some(1500)),
        (
            ProviderKind::OpenAi,
            BODY,
            &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m30s")],
            Some(90_000),
        ),
        (
            ProviderKind::OpenAi,
            BODY,
            &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "600ms")],
            Some(600),
        ),
        (ProviderKind::Anthropic, BODY, &[("retry-after", "3")], Some(3000)),
        (
            ProviderKind::Anthropic,
            BODY,
            &[
                ("date", "Sat, 28 Nov 2026 02:30:00 GMT"),
                ("anthropic-ratelimit-output-tokens-remaining", "0"),
                ("anthropic-ratelimit-output-tokens-reset", "2026-11-28T02:30:12Z"),
            ],
            Some(12_000),
        ),
        (ProviderKind::Gemini, RETRY_INFO, &[], Some(13_000)),
        (ProviderKind::Gemini, BODY, &[], None),
        (ProviderKind::OpenAi, BODY, &[("retry-after", "whenever")], None),
    ];
    for (api, body, headers, wait) in cases {
        let mock = Mock::start().await.unwrap();
        mock.push(headers.iter().fold(Reply::status(429, body), |reply, (name, value)| reply.header(name, value)));
        let provider = provider(&mock, api);
        let failure = fail(&provider, hello()).await;
        let kind = FailureKind::RateLimited;
        assert_eq!((failure.kind, failure.status), (kind, Some(429)), "{headers:?}");
        assert_eq!(failure.retry_after, wait.map(Duration::from_millis), "{headers:?}");
        // It is not asked again before, and says so with the rest of the time.
        let second = fail(&provider, hello()).await;
        assert_eq!((second.kind, second.asked, mock.asked().len()), (kind, false, 1), "{headers:?}");
        let rest = second.retry_after.unwrap();
        assert!(rest <= wait.map_or(Duration::from_secs(1), Duration::from_millis), "{headers:?}: {rest:?}");
    }
}

#[tokio::test]
async fn the_date_is_compared_with_the_servers_own_clock() {
    let mock = Mock::start().await.unwrap();
    let date = |second| format!("Sat, 28 Nov 2020 02:30:{second:02} GMT");
    mock.push(Reply::status(429, BODY).header("date", &date(0)).header("retry-after", &date(9)));
    let failure = fail(&provider(&mock, ProviderKind::OpenAi), hello()).await;
    assert_eq!(failure.retry_after, Some(Duration::from_secs(9)));
}

#[tokio::test]
async fn headers_of_good_answers_hold_back_what_would_be_refused() {
    let openai = [("x-ratelimit-limit-requests", "2"), ("x-ratelimit-remaining-requests", "0")];
    let anthropic = [("anthropic-ratelimit-requests-limit", "2"), ("anthropic-ratelimit-requests-remaining", "0")];
    for (api, told, reset) in [
        (ProviderKind::OpenAi, openai, ("x-ratelimit-reset-requests", "8m0s")),
        (ProviderKind::Anthropic, anthropic, ("anthropic-ratelimit-requests-reset", "2026-11-28T02:38:00Z")),
    ] {
        let mock = Mock::start().await.unwrap();
        let reply =
            told.iter().chain([&reset]).fold(Reply::default(), |reply, (name, value)| reply.header(name, value));
        mock.push(reply.header("date", "Sat, 28 Nov 2026 02:30:00 GMT"));
        let provider = provider(&mock, api);
        assert_eq!(ask(&provider, hello()).await.failure, None);
        let failure = fail(&provider, hello()).await;
        assert_eq!((failure.kind, failure.asked, mock.asked().len()), (FailureKind::RateLimited, false, 1), "{api:?}");
        // One of two is there again after half of the time.
        let wait = failure.retry_after.unwrap();
        assert!(wait <= Duration::from_millis(240_001) && wait > Duration::from_secs(60), "{api:?}: {wait:?}");
        let limits = provider.limits(MODEL);
        assert!(matches!(limits.may_start(Duration::ZERO, Tokens(1)), May::Wait(..)));
        assert_eq!(limits.may_start(Duration::from_secs(1000), Tokens(1)), May::Ok);
    }
}

#[tokio::test]
async fn an_empty_account_is_not_asked_again_at_once() {
    let mock = Mock::start().await.unwrap();
    let body = r#"{"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "Pay."}}"#;
    mock.push(Reply::status(429, body).header("retry-after", "5"));
    let provider = provider(&mock, ProviderKind::OpenAi);
    assert_eq!(fail(&provider, hello()).await.kind, FailureKind::Budget);
    let again = fail(&provider, hello()).await;
    assert_eq!((again.kind, again.asked, mock.asked().len()), (FailureKind::Budget, false, 1));
}

#[tokio::test]
async fn limits_are_of_a_model_and_not_of_all() {
    let mock = Mock::start().await.unwrap();
    let provider = with(&mock, ProviderKind::OpenAi, |config| {
        config.models.0.insert("small".into(), "vendor-small".into());
    });
    mock.push(Reply::status(429, BODY).header("retry-after", "60"));
    fail(&provider, hello()).await;
    let mut other = hello();
    other.request.model = "small".into();
    assert_eq!(ask(&provider, other).await.failure, None);
}

/// litellm #18730: what is under way does not count, so that many at once go far beyond a limit.
#[tokio::test]
async fn regression_what_is_under_way_counts() {
    let mock = Mock::start().await.unwrap();
    let told = [("limit", "10"), ("remaining", "1"), ("reset", "50m")];
    let reply = told
        .iter()
        .fold(Reply::default(), |reply, (what, value)| reply.header(&format!("x-ratelimit-{what}-requests"), value));
    mock.push(reply);
    mock.always(Reply::default().delay(Duration::from_secs(3600)));
    let provider = provider(&mock, ProviderKind::OpenAi);
    assert_eq!(ask(&provider, hello()).await.failure, None);
    let mut starting = Box::pin(provider.start(hello(), NOW));
    tokio::select! {
        _ = &mut starting => panic!("it has not answered"),
        () = mock.until(|state| state.totals.running == 1) => {}
    }
    let failure = fail(&provider, hello()).await;
    assert_eq!((failure.kind, failure.asked), (FailureKind::RateLimited, false));
}
