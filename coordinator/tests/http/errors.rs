//! Keys, and every failure of the service: status, shape, headers; before and in the middle of a stream.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use protocol::answer::{Answer, ErrorKind, JobError};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::{Fake, Script, delta, started};
use crate::support::{CHAT, COMPLETIONS, body, door, get, options, post, post_json, send};

#[tokio::test]
async fn nothing_passes_without_a_key() {
    let (fake, mut seen) = Fake::well();
    let door = door(&fake);
    for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic sk-test"), Some("Bearer sk-wrong")] {
        for (method, path) in [("POST", CHAT), ("POST", COMPLETIONS), ("GET", "/v1/models"), ("GET", "/nowhere")] {
            let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
            let request = if let Some(header) = header { request.header("authorization", header) } else { request };
            let got = send(&door, request.body(Body::from(body(path, json!({})).to_string())).unwrap()).await;
            let error = got.error(401);
            assert_eq!(error["code"], "invalid_api_key", "{header:?} {path}");
            assert_eq!(got.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert!(seen.asked.try_recv().is_err());
}

#[tokio::test]
async fn the_scheme_may_be_written_in_any_case() {
    let (fake, _seen) = Fake::well();
    let mut request = post(CHAT, body(CHAT, json!({})).to_string());
    request.headers_mut().insert("authorization", "bEARER  sk-test ".parse().unwrap());
    assert_eq!(send(&door(&fake), request).await.status, 200);
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let (fake, _seen) = Fake::well();
    let error = post_json(&door(&fake), CHAT, &body(CHAT, json!({"model": "gpt-9"}))).await.error(404);
    assert_eq!(error["code"], "model_not_found");
    assert_eq!(error["param"], "model");
    assert!(error["message"].as_str().unwrap().contains("gpt-9"));
}

/// Each kind, its status, type, code and field on the chat route.
fn kinds() -> Vec<(JobError, u16, &'static str, Value, Value)> {
    let new = JobError::new;
    vec![
        (new(ErrorKind::Invalid, "m").field("stop"), 400, "invalid_request_error", Value::Null, json!("stop")),
        (
            new(ErrorKind::ContextLength, "m"),
            400,
            "invalid_request_error",
            json!("context_length_exceeded"),
            json!("messages"),
        ),
        (new(ErrorKind::Unauthorized, "m"), 401, "invalid_request_error", json!("invalid_api_key"), Value::Null),
        (new(ErrorKind::UnknownModel, "m"), 404, "invalid_request_error", json!("model_not_found"), json!("model")),
        (new(ErrorKind::Overloaded, "m"), 503, "server_error", json!("overloaded"), Value::Null),
        (
            new(ErrorKind::Overloaded, "m").field("requests_per_minute"),
            429,
            "rate_limit_error",
            json!("rate_limit_exceeded"),
            json!("requests_per_minute"),
        ),
        (
            new(ErrorKind::RateLimited, "m").field("requests_per_minute"),
            429,
            "requests",
            json!("rate_limit_exceeded"),
            json!("requests_per_minute"),
        ),
        (
            new(ErrorKind::RateLimited, "m").field("tokens_per_minute"),
            429,
            "tokens",
            json!("rate_limit_exceeded"),
            json!("tokens_per_minute"),
        ),
        (new(ErrorKind::RateLimited, "m"), 429, "rate_limit_error", json!("rate_limit_exceeded"), Value::Null),
        (new(ErrorKind::Busy, "m"), 429, "rate_limit_error", json!("overloaded"), Value::Null),
        (new(ErrorKind::OverBudget, "m"), 429, "insufficient_quota", json!("insufficient_quota"), Value::Null),
        (new(ErrorKind::Forbidden, "m"), 403, "invalid_request_error", json!("permission_denied"), Value::Null),
        (
            new(ErrorKind::ContentPolicy, "m"),
            400,
            "invalid_request_error",
            json!("content_policy_violation"),
            Value::Null,
        ),
        (new(ErrorKind::ProviderFailed, "m"), 502, "server_error", json!("provider_failed"), Value::Null),
        (new(ErrorKind::NoNode, "m"), 503, "server_error", json!("no_node"), Value::Null),
        (new(ErrorKind::NodeLost, "m"), 502, "server_error", json!("node_lost"), Value::Null),
        (new(ErrorKind::Timeout, "m"), 504, "server_error", json!("timeout"), Value::Null),
        (new(ErrorKind::Internal, "m"), 500, "server_error", json!("internal_error"), Value::Null),
    ]
}

#[tokio::test]
async fn every_failure_has_its_status_however_it_comes() {
    for (error, status, kind, code, param) in kinds() {
        let refuse = error.clone();
        let fail = error.clone();
        let late = error.clone();
        let plots = [
            Fake::new(move |_| Script::Refuse(refuse.clone())),
            Fake::new(move |_| Script::Pieces(vec![Answer::Failed(fail.clone())])),
            Fake::new(move |_| Script::Pieces(vec![started(), delta(0, "x"), Answer::Failed(late.clone())])),
        ];
        for (i, (fake, _seen)) in plots.into_iter().enumerate() {
            for stream in [false, true] {
                if stream && i == 2 {
                    continue;
                }
                let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({ "stream": stream }))).await;
                let expected = json!({"message": "m", "type": kind, "code": code, "param": param});
                assert_eq!(got.error(status), expected, "{error:?}, plot {i}");
                let again = got.header("retry-after").is_some();
                let spent = error.kind == ErrorKind::OverBudget;
                assert_eq!(again, (status == 429 || status == 503) && !spent, "{error:?}");
                assert_eq!(got.header("x-should-retry"), spent.then_some("false"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_prompt_too_long_is_blamed_on_the_routes_own_field() {
    let (fake, _seen) = Fake::new(|_| Script::Refuse(JobError::new(ErrorKind::ContextLength, "m")));
    let error = post_json(&door(&fake), COMPLETIONS, &body(COMPLETIONS, json!({}))).await.error(400);
    assert_eq!(error["param"], "prompt");
}

#[tokio::test]
async fn retry_after_is_whole_seconds_and_never_too_soon() {
    let error = JobError::new(ErrorKind::Overloaded, "full").retry_after(Duration::from_millis(2_500));
    let (fake, _seen) = Fake::new(move |_| Script::Refuse(error.clone()));
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
    assert_eq!(got.header("retry-after"), Some("3"));
    assert_eq!(got.header("retry-after-ms"), Some("2500"));
}

#[tokio::test]
async fn a_spent_budget_says_when_it_begins_anew_and_that_to_ask_at_once_is_of_no_use() {
    let error = JobError::new(ErrorKind::OverBudget, "budget 'team' is spent").retry_after(Duration::from_secs(86_400));
    let (fake, _seen) = Fake::new(move |_| Script::Refuse(error.clone()));
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({}))).await;
    assert_eq!(got.header("retry-after"), Some("86400"));
    assert_eq!(got.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn a_failure_in_a_stream_is_an_event_and_no_done() {
    let (fake, _seen) = Fake::new(|_| {
        let lost = Answer::Failed(JobError::new(ErrorKind::NodeLost, "the node is gone"));
        Script::Pieces(vec![started(), delta(0, "Hel"), lost])
    });
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"stream": true}))).await;
    assert_eq!(got.status, 200);
    let events = got.events();
    assert_eq!(events[1]["choices"][0]["delta"]["content"], "Hel");
    let error = json!({"message": "the node is gone", "type": "server_error", "param": null, "code": "node_lost"});
    assert_eq!(events.last(), Some(&json!({ "error": error })));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let (fake, _seen) = Fake::new(|_| Script::Pieces(vec![started(), delta(0, "Hel")]));
    let door = door(&fake);
    let got = post_json(&door, CHAT, &body(CHAT, json!({}))).await;
    assert_eq!(got.error(500)["code"], "internal_error");
    assert_eq!(got.header("x-troupe-node"), Some("node-a"), "a failed answer names its node too");
    let events = post_json(&door, CHAT, &body(CHAT, json!({"stream": true}))).await.events();
    assert_eq!(events.last().unwrap()["error"]["code"], "internal_error");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_node_takes_ends_in_time_and_is_cancelled() {
    let (fake, mut seen) = Fake::new(|_| Script::Hold(Vec::new()));
    let error = post_json(&door(&fake), CHAT, &body(CHAT, json!({"stream": true}))).await.error(504);
    assert_eq!(error["code"], "timeout");
    seen.left.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_by_comments() {
    let (fake, mut seen) = Fake::new(|_| Script::Hold(vec![started(), delta(0, "Hel")]));
    let request = post(CHAT, body(CHAT, json!({"stream": true})).to_string());
    let response = door(&fake).oneshot(request).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(futures_util::StreamExt::next(&mut stream).await.unwrap().unwrap());
    }
    assert_eq!(lines[2..], [&b": keep-alive\n\n"[..]; 2]);
    drop(stream);
    seen.left.recv().await.unwrap();
}

#[tokio::test]
async fn a_cut_ends_waiting_whole_and_streamed_requests() {
    for (pieces, stream) in [(vec![], true), (vec![started()], false), (vec![started(), delta(0, "x")], true)] {
        let streams = stream && !pieces.is_empty();
        let (fake, mut seen) = Fake::new(move |_| Script::Hold(pieces.clone()));
        let options = options();
        let cut = options.cut.clone();
        let door = coordinator::http::router(fake, options);
        let asking =
            tokio::spawn(async move { post_json(&door, CHAT, &body(CHAT, json!({ "stream": stream }))).await });
        seen.asked.recv().await.unwrap();
        if streams {
            // The stream must have begun; its first pieces are taken one by one.
            tokio::task::yield_now().await;
        }
        cut.cancel();
        let got = asking.await.unwrap();
        let error = if got.status == 200 { got.events().pop().unwrap()["error"].clone() } else { got.error(503) };
        assert_eq!(error["code"], "shutting_down", "{got:?}");
        seen.left.recv().await.unwrap();
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_have_the_same_shape() {
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    let error = get(&door, "/v1/embeddings").await.error(404);
    assert_eq!(error["code"], "unknown_url");
    assert!(error["message"].as_str().unwrap().contains("GET /v1/embeddings"));
    let got = get(&door, CHAT).await;
    assert_eq!(got.error(405)["code"], "method_not_allowed");
    assert_eq!(got.header("allow"), Some("POST"));
}
