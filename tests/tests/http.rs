//! OpenAI's API as a program sees it that does everything wrong, and as a monitor sees it. With the mock.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::{Value, json};
use tests::cluster::{Cluster, Engine, MODEL};
use tests::http::{Http, Response};

const CHAT: &str = "/v1/chat/completions";

fn chat() -> Value {
    json!({ "model": MODEL, "max_tokens": 4, "messages": [{ "role": "user", "content": "Hello!" }] })
}

/// An error in OpenAI's shape.
fn error(response: &Response, status: u16) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    let error = response.json()["error"].clone();
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "no `{field}` in {}", response.text());
    }
    assert!(!error["message"].as_str().unwrap().is_empty());
    error
}

#[tokio::test]
async fn wrong_requests_get_an_error_that_names_the_field() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let http = cluster.http();
    let with = |field: &str, value: Value| {
        let mut body = chat();
        body[field] = value;
        body
    };

    let unknown = error(&http.post(CHAT, &with("model", json!("gpt-9"))).await, 404);
    assert_eq!(unknown["code"], "model_not_found");
    assert!(unknown["message"].as_str().unwrap().contains("gpt-9"));

    let mut nameless = chat();
    nameless.as_object_mut().unwrap().remove("model");
    let missing = error(&http.post(CHAT, &nameless).await, 400);
    assert!(missing["message"].as_str().unwrap().contains("model"), "{missing}");

    for (field, value) in [
        ("temperature", json!("hot")),
        ("temperature", json!(9)),
        ("max_tokens", json!(0)),
        ("n", json!(0)),
        ("top_p", json!(2)),
        ("messages", json!("hello")),
    ] {
        let wrong = error(&http.post(CHAT, &with(field, value.clone())).await, 400);
        assert_eq!(wrong["param"], field, "{field} = {value}: {wrong}");
    }

    let long = "word ".repeat(200_000);
    let long = error(&http.post(CHAT, &with("messages", json!([{ "role": "user", "content": long }]))).await, 400);
    assert_eq!(long["code"], "context_length_exceeded", "{long}");

    error(&http.post_bytes(CHAT, b"{\"model\": \"smollm2\", ").await, 400);
    error(&http.post_bytes(CHAT, b"{\"model\": \"\xff\xfe\"}").await, 400);
    error(&http.post_bytes(CHAT, b"").await, 400);
    let huge = error(&http.post_bytes(CHAT, &vec![b' '; 100 << 20]).await, 413);
    assert!(huge["message"].as_str().unwrap().contains("4MiB"), "{huge}");
    error(&http.get("/v1/nothing").await, 404);

    assert_eq!(http.post(CHAT, &chat()).await.status, 200, "and it still serves");
}

#[tokio::test]
async fn no_request_passes_without_a_key() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    for key in [None, Some("wrong")] {
        let http = Http::new(&cluster.reach.http, key);
        let refused = error(&http.post(CHAT, &chat()).await, 401);
        assert_eq!(refused["code"], "invalid_api_key", "{refused}");
        error(&http.get("/v1/models").await, 401);
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&cluster.reach.key_file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "the key file is its owner's alone");
}

#[tokio::test]
async fn what_monitors_ask() {
    let cluster = Cluster::start(0, Engine::Mock).await;
    let open = Http::new(&cluster.reach.http, None);
    assert_eq!(open.get("/health/live").await.status, 200);
    assert_eq!(open.get("/health/ready").await.status, 503, "there is no node");
    drop(cluster);

    let cluster = Cluster::start(1, Engine::Mock).await;
    let open = Http::new(&cluster.reach.http, None);
    assert_eq!(open.get("/health/ready").await.status, 200);
    let models = cluster.http().get("/v1/models").await.json();
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"][0]["id"], MODEL);
    assert_eq!(cluster.http().post(CHAT, &chat()).await.status, 200);
    let metrics = cluster.http().get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text().lines().any(|line| line.starts_with("troupe_")), "{}", metrics.text());
}

#[tokio::test]
async fn a_stream_ends_with_its_usage_and_a_client_that_leaves_is_forgotten() {
    let cluster = Cluster::start(1, Engine::Mock).await;
    let mut body = chat();
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let events = cluster.http().stream(CHAT, &body).await.events().await;
    let (done, pieces) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let last: Value = serde_json::from_str(pieces.last().unwrap()).unwrap();
    assert_eq!(last["usage"]["completion_tokens"], 4, "{last}");

    body["max_tokens"] = json!(1500);
    body["ignore_eos"] = json!(true);
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = cluster.http().stream(CHAT, &body).await;
        stream.first_events(2).await;
        streams.push(stream);
    }
    drop(streams);
    cluster.idle().await;
}
