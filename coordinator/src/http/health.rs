//! `/health/live` and `/health/ready`: for load balancers, without a key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Door;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The process answers.
pub(super) async fn live() -> Response {
    Json(Health { status: "live", reason: None }).into_response()
}

/// Requests can be served; 503 with the reason if not.
pub(super) async fn ready(State(door): State<Door>) -> Response {
    if door.options.cut.is_cancelled() {
        return not_ready("the coordinator is shutting down");
    }
    if !door.service.is_ready() {
        return not_ready("no node serves a model: start a troupe-node, or see 'troupe status'");
    }
    Json(Health { status: "ready", reason: None }).into_response()
}

fn not_ready(reason: &'static str) -> Response {
    let health = Health { status: "not ready", reason: Some(reason) };
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], Json(health)).into_response()
}
