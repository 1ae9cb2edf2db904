//! The HTTP front door: OpenAI's shapes, what operators manage, health and metrics.
//!
//! It reads requests, checks what can be checked without a model, asks the [`Service`] and writes the
//! answer, streamed or whole. It decides nothing else, and it holds no state of its own.
//!
//! Rules: everything but `/health/*` and `/metrics` needs a key; every error has OpenAI's shape; a
//! request body never takes more memory than its limit; to drop a response is to cancel the request.

mod admin;
mod auth;
mod body;
mod care;
mod health;
mod meter;
mod openai;
mod rates;
mod serve;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use protocol::units::{ByteSize, Span};
use tokio_util::sync::CancellationToken;

pub use meter::describe_metrics;
pub use serve::{Ending, serve};

use crate::service::Service;
use openai::error::ApiError;

/// The time of day, as responses show it.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
/// What `/metrics` shows, in Prometheus' text format.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// How the door behaves.
#[derive(Clone)]
pub struct HttpOptions {
    /// The longest request body; a longer one is refused unread.
    pub body_limit: ByteSize,
    /// How long a body may take to arrive.
    pub body_timeout: Span,
    /// How long a request may wait until a node takes it.
    pub first_piece: Span,
    /// The longest silence of a stream: after it comes a comment, so that proxies keep it open.
    pub keep_alive: Span,
    /// The time in `created`.
    pub clock: WallClock,
    /// The text of `/metrics`, if it is served.
    pub metrics: Option<MetricsText>,
    /// Once cancelled, running requests end with an error: see [`serve()`].
    pub cut: CancellationToken,
}

impl HttpOptions {
    /// The usual limits with this clock: 8 MiB within 30 s, 120 s for a node, comments each 10 s.
    pub fn new(clock: WallClock) -> Self {
        Self {
            body_limit: ByteSize(8 << 20),
            body_timeout: Span(Duration::from_secs(30)),
            first_piece: Span(Duration::from_secs(120)),
            keep_alive: Span(Duration::from_secs(10)),
            clock,
            metrics: None,
            cut: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("body_limit", &self.body_limit)
            .field("body_timeout", &self.body_timeout)
            .field("first_piece", &self.first_piece)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

/// What every handler holds.
#[derive(Clone)]
struct Door {
    service: Arc<dyn Service>,
    options: Arc<HttpOptions>,
    /// When the door was made: models carry it as `created`, since nobody knows theirs.
    since: u64,
}

impl Door {
    /// Seconds since 1970, as OpenAI writes times.
    fn created(&self) -> u64 {
        unix(&self.options.clock)
    }
}

fn unix(clock: &WallClock) -> u64 {
    clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// All routes over a service.
pub fn router(service: Arc<dyn Service>, options: HttpOptions) -> Router {
    let door = Door { service, since: unix(&options.clock), options: Arc::new(options) };
    let open = Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(wrong_method);
    let keyed = Router::new()
        .route("/v1/chat/completions", post(openai::chat::create))
        .route("/v1/completions", post(openai::completions::create))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*id}", get(openai::models::one))
        .merge(admin::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(door.clone(), auth::require_key));
    open.merge(keyed).layer(from_fn(meter::measure)).with_state(door)
}

async fn metrics(door: axum::extract::State<Door>) -> Response {
    match &door.options.metrics {
        Some(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text()).into_response(),
        None => ApiError::new(StatusCode::NOT_FOUND, "metrics are not served here: switch them on in cluster.toml")
            .into_response(),
    }
}

async fn not_found(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(StatusCode::NOT_FOUND, format!("unknown URL: {method} {path}: the API is under /v1, see the README"))
        .code("unknown_url")
}

async fn wrong_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not possible on {path}: the header Allow names what is"),
    )
    .code("method_not_allowed")
}
