//! Answers that go wrong.

use protocol::answer::FinishReason;
use protocol::config::ProviderKind;
use protocol::units::Tokens;
use providers::mock::{Beat, Mock, Reply};
use providers::{FailureKind, Provider, Secret};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn refusals_have_their_kind_and_status() {
    for (status, kind) in [
        (500, FailureKind::Down),
        (502, FailureKind::Down),
        (503, FailureKind::Down),
        (529, FailureKind::RateLimited),
        (504, FailureKind::Timeout),
        (401, FailureKind::Auth),
        (402, FailureKind::Budget),
        (404, FailureKind::Auth),
        (413, FailureKind::ContextWindow),
        (429, FailureKind::RateLimited),
        (400, FailureKind::Invalid),
        (302, FailureKind::Garbled),
    ] {
        for api in KINDS {
            let mock = Mock::start().await.unwrap();
            mock.push(Reply::status(status, "<html>so it is</html>"));
            let failure = fail(&provider(&mock, api), hello()).await;
            assert_eq!((failure.kind, failure.status), (kind, Some(status)), "{api:?}");
            assert!(failure.asked && !failure.began, "{failure:?}");
            let told = format!("provider acme: it said {status}: <html>so it is</html>");
            assert_eq!(failure.message, told);
        }
    }
}

#[tokio::test]
async fn an_error_behind_a_good_status_is_an_error() {
    for (api, body, kind) in [
        (ProviderKind::OpenAi, json!({"error": {"code": 502, "message": "gone"}}), FailureKind::Down),
        (ProviderKind::OpenAi, json!({"error": {"code": "insufficient_quota", "message": "m"}}), FailureKind::Budget),
        (
            ProviderKind::Anthropic,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
            FailureKind::RateLimited,
        ),
        (
            ProviderKind::Gemini,
            json!([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m"}}]),
            FailureKind::RateLimited,
        ),
    ] {
        let mock = Mock::start().await.unwrap();
        // As JSON, and as JSON under the name of a stream.
        for reply in [
            Reply::status(200, &body.to_string()),
            Reply::status(200, &body.to_string()).header("content-type", "text/event-stream"),
        ] {
            mock.push(reply);
            let provider = provider(&mock, api);
            assert_eq!(fail(&provider, hello()).await.kind, kind, "{api:?} {body}");
        }
    }
}

#[tokio::test]
async fn an_error_inside_the_stream_ends_it() {
    for api in KINDS {
        let word = if api == ProviderKind::Gemini { "INTERNAL" } else { "server_error" };
        let error = || Beat::Error { kind: word.into(), message: "broke".into() };
        let mock = Mock::start().await.unwrap();
        let provider = provider(&mock, api);
        mock.push(Reply::beats(vec![error()]));
        let failure = fail(&provider, hello()).await;
        assert_eq!((failure.kind, failure.began), (FailureKind::Down, false), "{api:?}");
        mock.push(Reply::words(5).then(2, error()));
        let got = ask(&provider, hello()).await;
        let failure = got.failure.clone().unwrap();
        assert_eq!((failure.kind, failure.began, got.text()), (FailureKind::Down, true, "word0 word1 "), "{api:?}");
    }
}

/// litellm #40404: one malformed event, a connection that breaks, and nobody else was asked.
#[tokio::test]
async fn regression_cut_and_malformed_streams_are_failures_with_what_came_before_them() {
    for api in KINDS {
        for (beat, kind) in [(Beat::Cut, FailureKind::Cut), (Beat::Malformed, FailureKind::Garbled)] {
            let mock = Mock::start().await.unwrap();
            let provider = provider(&mock, api);
            mock.push(Reply::words(60).then(40, beat.clone()));
            let got = ask(&provider, hello()).await;
            let failure = got.failure.clone().unwrap();
            assert_eq!((failure.kind, failure.began), (kind, true), "{api:?}: {failure:?}");
            assert_eq!(Tokens(got.seen.pieces), mock.totals().completion, "{api:?}: what came is counted");
            assert_eq!(got.choices[0].reason, None);
            mock.push(Reply::beats(vec![beat]));
            let failure = fail(&provider, hello()).await;
            assert_eq!((failure.kind, failure.began), (kind, false), "{api:?}: {failure:?}");
        }
        // It just ends.
        let mock = Mock::start().await.unwrap();
        mock.push(Reply::words(5).then(2, Beat::Ping));
        let got = ask(&provider(&mock, api), hello()).await;
        assert_eq!(got.failure.unwrap().kind, FailureKind::Cut, "{api:?}");
    }
}

#[tokio::test]
async fn nothing_and_nonsense_are_no_answers() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        let provider = provider(&mock, api);
        for (body, kind) in [
            ("", FailureKind::Cut),
            ("<html>Welcome</html>", FailureKind::Cut),
            ("{\"half\": ", FailureKind::Garbled),
            ("{\"some\": \"thing\"}", FailureKind::Cut),
            ("data: 3\n\n", FailureKind::Garbled),
        ] {
            mock.push(Reply::status(200, body));
            assert_eq!(fail(&provider, hello()).await.kind, kind, "{api:?} {body:?}");
        }
        mock.push(Reply::beats(vec![Beat::Raw(format!("data: {}", "x".repeat(2 << 20)))]));
        assert_eq!(fail(&provider, hello()).await.kind, FailureKind::Garbled, "{api:?}");
        mock.push(Reply::status(200, &format!("{{{}", " ".repeat(2 << 20))));
        assert_eq!(fail(&provider, hello()).await.kind, FailureKind::Garbled, "{api:?}");
    }
}

#[tokio::test]
async fn choices_and_calls_that_nobody_asked_for_are_garbled() {
    let mock = Mock::start().await.unwrap();
    let provider = provider(&mock, ProviderKind::OpenAi);
    for raw in [
        r#"{"choices":[{"index":7,"delta":{"content":"x"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}"#,
    ] {
        mock.push(Reply::beats(vec![Beat::Raw(format!("data: {raw}\n\n"))]));
        assert_eq!(fail(&provider, hello()).await.kind, FailureKind::Garbled, "{raw}");
    }
}

#[tokio::test]
async fn a_filter_before_the_answer_is_a_failure_and_in_it_an_end() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        let provider = provider(&mock, api);
        mock.push(Reply::beats(vec![Beat::Finish(FinishReason::ContentFilter)]));
        let failure = fail(&provider, hello()).await;
        assert_eq!((failure.kind, failure.began), (FailureKind::ContentPolicy, false), "{api:?}");
        mock.push(Reply::beats(vec![Beat::Text("Well, ".into()), Beat::Finish(FinishReason::ContentFilter)]));
        let got = ask(&provider, hello()).await;
        assert_eq!((got.choices[0].reason, got.failure.as_ref()), (Some(FinishReason::ContentFilter), None), "{api:?}");
    }
    let mock = Mock::start().await.unwrap();
    let raw = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":12}}"#;
    mock.push(Reply::beats(vec![Beat::Raw(format!("data: {raw}\r\n\r\n"))]));
    let failure = fail(&provider(&mock, ProviderKind::Gemini), hello()).await;
    assert_eq!(failure.kind, FailureKind::ContentPolicy);
    // Its prompt was read, and may be paid for.
    assert_eq!(failure.usage.unwrap().prompt, Tokens(12));
}

#[tokio::test]
async fn nobody_there_is_down() {
    let mock = Mock::start().await.unwrap();
    let near = with(&mock, ProviderKind::OpenAi, |_| {});
    let secure = with(&mock, ProviderKind::OpenAi, |config| {
        config.base = Some(mock.base(ProviderKind::OpenAi).replace("http:", "https:"));
    });
    // TLS is spoken, and not answered.
    let failure = fail(&secure, hello()).await;
    assert_eq!((failure.kind, failure.asked), (FailureKind::Down, true), "{failure:?}");
    assert!(mock.asked().is_empty());
    drop(mock);
    let mut failure = fail(&near, hello()).await;
    while failure.kind != FailureKind::Down {
        // The server's last connection may still be taken.
        failure = fail(&near, hello()).await;
    }
    assert!(failure.message.contains("cannot be reached"), "{failure:?}");
}

#[tokio::test]
async fn who_is_sent_elsewhere_does_not_take_the_key_there() {
    let (mock, other) = (Mock::start().await.unwrap(), Mock::start().await.unwrap());
    let elsewhere = format!("{}/chat/completions", other.base(ProviderKind::OpenAi));
    mock.push(Reply::status(307, "").header("location", &elsewhere));
    let failure = fail(&provider(&mock, ProviderKind::OpenAi), hello()).await;
    assert_eq!((failure.kind, other.asked().len()), (FailureKind::Garbled, 0));
}

#[tokio::test]
async fn a_key_that_a_provider_repeats_is_not_handed_on() {
    for api in KINDS {
        let mock = Mock::start().await.unwrap();
        let body = json!({"error": {"type": "authentication_error", "message": format!("bad key {KEY}")}}).to_string();
        mock.push(Reply::status(401, &body));
        mock.push(Reply::status(200, &format!("{{\"{KEY}\": ")));
        let provider = provider(&mock, api);
        let failure = fail(&provider, hello()).await;
        assert_eq!(failure.kind, FailureKind::Auth);
        let fresh = crate::support::provider(&mock, api);
        for failure in [failure, fail(&fresh, hello()).await] {
            let shown = format!("{failure:?} {failure} {provider:?}");
            assert!(!shown.contains(KEY), "{shown}");
        }
    }
}

#[tokio::test]
async fn one_request_too_many_is_refused_at_once_and_makes_room_when_it_ends() {
    let mock = Mock::start().await.unwrap();
    let provider = with(&mock, ProviderKind::OpenAi, |config| config.parallel = 1);
    mock.push(Reply::words(3).then(1, Beat::Silence));
    let running = provider.start(hello(), NOW).await.unwrap();
    let failure = fail(&provider, hello()).await;
    assert_eq!((failure.kind, failure.asked), (FailureKind::Full, false));
    drop(running);
    assert_eq!(ask(&provider, hello()).await.failure, None);
}

#[tokio::test]
async fn a_server_without_a_key_is_asked_without_one() {
    let mock = Mock::start().await.unwrap();
    let config = mock.config(ProviderKind::OpenAi, MODEL, THERE);
    assert_eq!(Secret::find(&config, |_| None).unwrap(), None);
    let provider = Provider::new("near", &config, None).unwrap();
    assert_eq!(ask(&provider, hello()).await.failure, None);
    assert!(mock.asked()[0].headers.get("authorization").is_none());
}
