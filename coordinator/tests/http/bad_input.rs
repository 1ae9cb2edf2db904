//! Everything a client can do wrong, and what it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::stream;
use protocol::request::{ChatMessage, Input};
use protocol::units::ByteSize;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::{Fake, KEY};
use crate::support::{CHAT, COMPLETIONS, body, door, options, post, post_json, send};

/// Refused with 400 and this field, and a message with these words; nothing is asked.
pub(crate) async fn refused(path: &str, extra: Value, param: &str, words: &str) {
    let (fake, mut seen) = Fake::well();
    let given = body(path, extra);
    let error = post_json(&door(&fake), path, &given).await.error(400);
    assert_eq!(error["param"], param, "{given}: {error}");
    assert!(error["message"].as_str().unwrap().contains(words), "{given}: {error}");
    assert_eq!(error["type"], "invalid_request_error");
    assert!(seen.asked.try_recv().is_err(), "{given} was asked");
}

#[tokio::test]
async fn wrong_values_are_refused_by_field_on_both_routes() {
    for path in [CHAT, COMPLETIONS] {
        for (extra, param, words) in [
            (json!({"model": null}), "model", "missing"),
            (json!({"model": ""}), "model", "empty"),
            (json!({"model": 7}), "model", "expected a string"),
            (json!({"temperature": "hot"}), "temperature", "expected a number"),
            (json!({"temperature": 2.5}), "temperature", "from 0 to 2"),
            (json!({"temperature": 1e39}), "temperature", "is inf"),
            (json!({"top_p": 0}), "top_p", "above 0"),
            (json!({"top_k": -2}), "top_k", "is -2"),
            (json!({"min_p": 1.5}), "min_p", "from 0 to 1"),
            (json!({"n": 0}), "n", "from 1 to 16"),
            (json!({"n": 17}), "n", "from 1 to 16"),
            (json!({"n": 1.5}), "n", "whole number"),
            (json!({"n": 4_294_967_296_u64}), "n", "whole number"),
            (json!({"max_tokens": 0}), "max_tokens", "at least 1"),
            (json!({"max_tokens": -1}), "max_tokens", "whole number"),
            (json!({"min_tokens": 9, "max_tokens": 8}), "min_tokens", "more than max_tokens"),
            (json!({"presence_penalty": 3}), "presence_penalty", "from -2 to 2"),
            (json!({"frequency_penalty": -3}), "frequency_penalty", "from -2 to 2"),
            (json!({"repetition_penalty": 0}), "repetition_penalty", "from 0.01"),
            (json!({"stop": [""]}), "stop[0]", "empty"),
            (json!({"stop": ["a", 1]}), "stop[1]", "expected a string"),
            (json!({"stop": 1}), "stop", "a string or a list"),
            (json!({"stop": vec!["x"; 17]}), "stop", "at most 16"),
            (json!({"stop_token_ids": [1, "x"]}), "stop_token_ids[1]", "whole number"),
            (json!({"seed": 1.5}), "seed", "whole number"),
            (json!({"seed": "x"}), "seed", "whole number"),
            (json!({"logit_bias": {"x": 1}}), "logit_bias.x", "not a token id"),
            (json!({"logit_bias": {"5": 101}}), "logit_bias.5", "from -100 to 100"),
            (json!({"logit_bias": {"5": "x"}}), "logit_bias.5", "expected a number"),
            (json!({"logit_bias": [1]}), "logit_bias", "expected an object"),
            (json!({"ignore_eos": 1}), "ignore_eos", "true or false"),
            (json!({"stream": "yes"}), "stream", "true or false"),
            (json!({"stream_options": {"include_usage": true}}), "stream_options", "stream to true"),
            (json!({"stream": true, "stream_options": {"usage": true}}), "stream_options.usage", "unrecognized"),
            (json!({"stream": true, "stream_options": 1}), "stream_options", "expected an object"),
            (json!({"temprature": 1}), "temprature", "did you mean 'temperature'"),
            (json!({"guided_json": {}}), "guided_json", "leave it out"),
        ] {
            refused(path, extra, param, words).await;
        }
    }
}

#[tokio::test]
async fn wrong_chats_are_refused_by_field() {
    let text = |part: Value| json!({"messages": [{"role": "user", "content": ["x", part]}]});
    for (extra, param, words) in [
        (json!({"messages": null}), "messages", "missing"),
        (json!({"messages": []}), "messages", "empty"),
        (json!({"messages": "hi"}), "messages", "expected a list"),
        (json!({"messages": ["hi"]}), "messages[0]", "expected an object"),
        (json!({"messages": [{"content": "x"}]}), "messages[0].role", "missing"),
        (json!({"messages": [{"role": "usr", "content": "x"}]}), "messages[0].role", "choose system"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content", "missing"),
        (json!({"messages": [{"role": "user", "content": 7}]}), "messages[0].content", "a string or a list"),
        (text(json!({"type": "text", "text": "x"})), "messages[0].content[0]", "expected"),
        (
            json!({"messages": [{"role": "user", "content": [
                {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "http://x"}},
            ]}]}),
            "messages[0].content[1].type",
            "image_url",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0]",
            "missing field `text`",
        ),
        (json!({"messages": [{"role": "user", "content": [{"text": "x"}]}]}), "messages[0].content[0].type", "missing"),
        (json!({"messages": [{"role": "user", "contents": "x"}]}), "messages[0].contents", "did you mean 'content'"),
        (json!({"response_format": {"type": "json_object"}}), "response_format", "not supported"),
        (json!({"modalities": ["text", "audio"]}), "modalities", "not supported"),
        (json!({"audio": {"voice": "x"}}), "audio", "not supported"),
        (json!({"store": true}), "store", "not supported"),
        (json!({"logprobs": 3}), "logprobs", "true or false"),
        (json!({"top_logprobs": 3}), "top_logprobs", "set logprobs to true"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs", "at most 20"),
        (json!({"logprobs": true, "top_logprobs": 300}), "top_logprobs", "is 300"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens", "at least 1"),
        (json!({"max_completion_tokens": 5, "max_tokens": 6}), "max_tokens", "give one of them"),
        (json!({"prompt": "x"}), "prompt", "unrecognized"),
    ] {
        refused(CHAT, extra, param, words).await;
    }
}

#[tokio::test]
async fn wrong_completions_are_refused_by_field() {
    for (extra, param, words) in [
        (json!({"prompt": null}), "prompt", "missing"),
        (json!({"prompt": []}), "prompt", "empty list"),
        (json!({"prompt": [1, "a"]}), "prompt", "mixed"),
        (json!({"echo": true}), "echo", "not supported"),
        (json!({"suffix": "end"}), "suffix", "not supported"),
        (json!({"best_of": 3}), "best_of", "more than n"),
        (json!({"best_of": 1, "n": 2}), "best_of", "less than n"),
        (json!({"logprobs": true}), "logprobs", "whole number"),
        (json!({"logprobs": 21}), "logprobs", "logprobs is 21: choose at most 20"),
        (json!({"messages": []}), "messages", "unrecognized"),
    ] {
        refused(COMPLETIONS, extra, param, words).await;
    }
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    refused(CHAT, json!({"temperature": 9, "n": 99, "top_k": -5}), "top_k", "n is 99").await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let (fake, mut seen) = Fake::well();
    let door = door(&fake);
    for (given, words) in [
        (&b"{\"model\": "[..], "line 1 column"),
        (b"", "empty"),
        (b"[]", "a list"),
        (b"{\"model\": \"\xff\"}", "byte 0xff at offset 11"),
    ] {
        let error = send(&door, post(CHAT, given)).await.error(400);
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    assert!(seen.asked.try_recv().is_err());
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    let request = |kind: Option<&str>| {
        let request = Request::post(CHAT).header("authorization", format!("Bearer {KEY}"));
        let request = if let Some(kind) = kind { request.header("content-type", kind) } else { request };
        request.body(Body::from(body(CHAT, json!({})).to_string())).unwrap()
    };
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let error = send(&door, request(Some(kind))).await.error(415);
        assert!(error["message"].as_str().unwrap().contains("application/json"), "{error}");
    }
    for kind in [Some("application/json; charset=utf-8"), Some("Application/JSON"), None] {
        assert_eq!(send(&door, request(kind)).await.status, 200, "{kind:?}");
    }
}

/// A body of so many pieces, and how many were taken of it.
fn pieces(count: usize) -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let piece = move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 1024]))
    };
    (Body::from_stream(futures_util::StreamExt::map(stream::iter(0..count), piece)), taken)
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let (fake, _seen) = Fake::well();
    let (content, taken) = pieces(100_000);
    let mut request = post(CHAT, content);
    request.headers_mut().insert("content-length", (100_u32 << 20).into());
    let response = door(&fake).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(taken.load(Ordering::Relaxed), 0, "some of it was read before the refusal");
    // What follows the refusal is read and thrown away, so that the client gets to see it.
    let text = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
    assert_eq!(taken.load(Ordering::Relaxed), 100_000);
    let error: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(error["error"]["code"], "request_too_large");
    assert!(error["error"]["message"].as_str().unwrap().contains("104857600 bytes, the limit is 8MiB"), "{error}");
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_refused_at_the_limit() {
    let (fake, _seen) = Fake::well();
    let mut options = options();
    options.body_limit = ByteSize(10 << 10);
    let (content, taken) = pieces(100_000);
    let response = coordinator::http::router(fake, options).oneshot(post(CHAT, content)).await.unwrap();
    assert_eq!(response.status(), 413);
    assert!(taken.load(Ordering::Relaxed) <= 12, "more was read than the limit");
}

/// Long bodies are read on a thread of their own.
#[tokio::test]
async fn long_bodies_are_answered_and_refused_like_short_ones() {
    let (fake, mut seen) = Fake::well();
    let long = "word ".repeat(40_000);
    let messages = json!([{"role": "user", "content": long}]);
    let got = post_json(&door(&fake), CHAT, &body(CHAT, json!({"messages": messages}))).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(seen.asked.try_recv().unwrap().input, Input::Chat(vec![ChatMessage::new("user", long)]));
    let wrong = body(CHAT, json!({"messages": messages, "top_p": "most"}));
    let error = post_json(&door(&fake), CHAT, &wrong).await.error(400);
    assert_eq!((&error["param"], &error["code"]), (&json!("top_p"), &json!("invalid_type")));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let (fake, _seen) = Fake::well();
    let content = Body::from_stream(stream::pending::<Result<Bytes, std::convert::Infallible>>());
    let error = send(&door(&fake), post(CHAT, content)).await.error(408);
    assert_eq!(error["code"], "request_timeout");
}
