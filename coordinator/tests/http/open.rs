//! Models, health and metrics.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use tower::ServiceExt;

use crate::fake::{Fake, MODEL, Script, started};
use crate::support::{CHAT, Got, NOW, body, door, get, options, post, post_json, send};

async fn open(door: &axum::Router, path: &str) -> Got {
    send(door, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn models_are_listed_and_found_by_name_even_with_a_slash() {
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    let model = json!({"id": MODEL, "object": "model", "created": NOW, "owned_by": "troupe", "max_model_len": 2048});
    assert_eq!(get(&door, "/v1/models").await.json(), json!({"object": "list", "data": [model]}));
    assert_eq!(get(&door, "/v1/models/lab/small").await.json(), model);
    assert_eq!(get(&door, "/v1/models/lab%2Fsmall").await.json(), model);
    let error = get(&door, "/v1/models/gpt-9").await.error(404);
    assert_eq!(error["code"], "model_not_found");
    get(&door, "/v1/models/%ff").await.error(400);
}

#[tokio::test]
async fn health_needs_no_key_and_says_why_not() {
    let (fake, _seen) = Fake::well();
    let door = door(&fake);
    assert_eq!(open(&door, "/health/live").await.status, 200);
    assert_eq!(open(&door, "/health/ready").await.json(), json!({"status": "ready"}));
    fake.set_ready(false);
    assert_eq!(open(&door, "/health/live").await.status, 200);
    let got = open(&door, "/health/ready").await;
    assert_eq!(got.status, 503);
    assert!(got.json()["reason"].as_str().unwrap().contains("no node"));
    assert!(got.header("retry-after").is_some());
}

#[tokio::test]
async fn a_closing_door_is_not_ready() {
    let (fake, _seen) = Fake::well();
    let options = options();
    options.cut.cancel();
    let door = coordinator::http::router(fake, options);
    assert_eq!(open(&door, "/health/ready").await.status, 503);
}

#[tokio::test]
async fn metrics_are_text_without_a_key_if_they_are_on() {
    let (fake, _seen) = Fake::well();
    let mut options = options();
    options.metrics = Some(Arc::new(|| "troupe_up 1\n".to_owned()));
    let got = open(&coordinator::http::router(Arc::clone(&fake) as _, options), "/metrics").await;
    assert_eq!(got.text, "troupe_up 1\n");
    assert_eq!(got.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    open(&door(&fake), "/metrics").await.error(404);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status_streams_at_their_end() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (fake, _seen) = Fake::well();
    let well = door(&fake);
    post_json(&well, CHAT, &body(CHAT, json!({}))).await;
    post_json(&well, CHAT, &body(CHAT, json!({"n": 0}))).await;
    get(&well, "/v1/models/secret-name").await;
    get(&well, "/secret/path").await;
    let text = shown.render();
    for line in [
        r#"troupe_http_requests_total{route="/v1/chat/completions",status="200"} 1"#,
        r#"troupe_http_requests_total{route="/v1/chat/completions",status="400"} 1"#,
        r#"troupe_http_requests_total{route="/v1/models/{*id}",status="404"} 1"#,
        r#"troupe_http_requests_total{route="unmatched",status="404"} 1"#,
        r#"troupe_http_request_seconds_count{route="/v1/chat/completions"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");

    let line = r#"troupe_http_requests_total{route="/v1/chat/completions",status="200"} 2"#;
    let response = well.oneshot(post(CHAT, body(CHAT, json!({"stream": true})).to_string())).await.unwrap();
    assert!(!shown.render().contains(line), "counted before its end");
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(shown.render().contains(line));

    // One that leaves before an answer counts as such.
    let (fake, mut seen) = Fake::new(|_| Script::Hold(vec![started()]));
    let held = door(&fake).oneshot(post(CHAT, body(CHAT, json!({})).to_string()));
    tokio::select! {
        biased;
        _ = held => {}
        _ = seen.asked.recv() => {}
    }
    let gone = r#"troupe_http_requests_total{route="/v1/chat/completions",status="499"} 1"#;
    assert!(shown.render().contains(gone), "{}", shown.render());
}
