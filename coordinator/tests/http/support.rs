//! Requests into the router, and what came back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use coordinator::http::{HttpOptions, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::{ADMIN, Fake, KEY, MODEL};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const COMPLETIONS: &str = "/v1/completions";
/// The time of every response.
pub(crate) const NOW: u64 = 1_700_000_000;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The error of an answer with this status.
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        self.json()["error"].clone()
    }

    /// The events of a stream: JSON, or text for what is none.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), Some("text/event-stream"), "{self:?}");
        let event = |line: &str| {
            let data = line.strip_prefix("data: ").unwrap_or(line);
            serde_json::from_str(data).unwrap_or_else(|_| Value::from(data))
        };
        let text = self.text.strip_suffix("\n\n").unwrap();
        text.split("\n\n").map(event).collect()
    }

    /// The events of a stream that was complete, without its end.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop(), Some(json!("[DONE]")), "{self:?}");
        events
    }
}

pub(crate) fn options() -> HttpOptions {
    HttpOptions::new(Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)))
}

pub(crate) fn door(fake: &Arc<Fake>) -> Router {
    router(Arc::clone(fake) as _, options())
}

pub(crate) async fn send(door: &Router, request: Request<Body>) -> Got {
    let response = door.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Got { status: parts.status, headers: parts.headers, text }
}

/// A request with the key and these bytes.
pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

pub(crate) async fn post_json(door: &Router, path: &str, body: &Value) -> Got {
    send(door, post(path, body.to_string())).await
}

pub(crate) async fn get(door: &Router, path: &str) -> Got {
    let request = Request::get(path).header("authorization", format!("Bearer {KEY}"));
    send(door, request.body(Body::empty()).unwrap()).await
}

/// A good body for a route, with more fields.
pub(crate) fn body(path: &str, extra: Value) -> Value {
    let mut body = if path == CHAT {
        json!({"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}]})
    } else {
        json!({"model": MODEL, "prompt": "Say hello."})
    };
    if let (Value::Object(body), Value::Object(extra)) = (&mut body, extra) {
        body.extend(extra);
    }
    body
}

/// A request of an operator.
pub(crate) async fn operate(door: &Router, method: &str, path: &str, body: Option<Value>) -> Got {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("content-type", "application/json");
    send(door, request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()).await
}
