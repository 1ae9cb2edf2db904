//! `/v1/admin`: keys, budgets, usage, prices and decisions, for keys with `admin`.
//!
//! | route | what it does |
//! |---|---|
//! | `GET`, `POST /v1/admin/keys` | lists keys, makes one; its secret is in this answer alone |
//! | `GET`, `PATCH`, `DELETE /v1/admin/keys/{id}` | shows a key, changes the fields that are given, takes it back |
//! | `GET /v1/admin/budgets` | lists budgets and how they stand |
//! | `GET`, `PUT`, `DELETE /v1/admin/budgets/{id}` | shows one, sets it, removes it |
//! | `POST /v1/admin/budgets/{id}/increase` | gives more for a while |
//! | `GET /v1/admin/usage` | what requests have used, as JSON, JSON lines or CSV |
//! | `GET /v1/admin/prices` | what everything costs |
//! | `GET /v1/admin/requests/{id}` | why a request went where it went |
//! | `GET /v1/admin/scale` | how many nodes would meet a target, by what was asked lately |
//! | `GET /v1/admin/scale/trace` | what was asked lately, as a trace in Mooncake's format |
//!
//! Rules: money is text, times are RFC 3339; a field that is not known is refused. What is kept, and whether it can
//! be, is the service's affair.

mod budgets;
mod decisions;
mod keys;
mod scale;
mod usage;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use protocol::account::{looks_secret, shown};
use protocol::answer::{ErrorKind, JobError};
use protocol::manage::{Manage, Managed};
use protocol::units::UnixMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::openai::error::{ApiError, to_json};
use super::openai::json;
use super::{Door, body};
use crate::service::Caller;
use crate::wishes;

/// All routes, for those who may.
pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/v1/admin/keys", get(keys::list).post(keys::create))
        .route("/v1/admin/keys/{id}", get(keys::one).patch(keys::change).delete(keys::revoke))
        .route("/v1/admin/budgets", get(budgets::list))
        .route("/v1/admin/budgets/{id}", get(budgets::one).put(budgets::put).delete(budgets::remove))
        .route("/v1/admin/budgets/{id}/increase", post(budgets::increase))
        .route("/v1/admin/usage", get(usage::list))
        .route("/v1/admin/prices", get(decisions::prices))
        .route("/v1/admin/requests/{id}", get(decisions::explain))
        .route("/v1/admin/scale", get(scale::advise))
        .route("/v1/admin/scale/trace", get(scale::trace))
        .route_layer(from_fn(require_operator))
}

/// Lets operators pass, before anything of the body is read.
async fn require_operator(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().cloned();
    let allowed = match &caller {
        Some(caller) => caller.operator("manage keys, budgets and usage").map(|_| ()),
        None => Err(JobError::new(ErrorKind::Internal, "this route is not behind the key check")),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(error) => body::refuse(error.into(), request.into_body().into_data_stream()),
    }
}

/// Does what an operator wants, if nothing is wrong with it.
async fn wish(door: &Door, caller: &Caller, manage: Manage) -> Result<Managed, ApiError> {
    wishes::check(&manage)?;
    Ok(door.service.manage(caller, manage).await?)
}

/// The error where the service says something else than what was asked for.
fn other(managed: &Managed) -> ApiError {
    // Not the answer itself: there may be a secret in it.
    let kind = match managed {
        Managed::KeyCreated { .. } => "a new key",
        Managed::Key(_) => "a key",
        Managed::Keys(_) => "keys",
        Managed::Budget(_) => "a budget",
        Managed::Budgets(_) => "budgets",
        Managed::Done(_) => "that it is done",
        Managed::Usage { .. } => "usage",
        Managed::Explained(_) => "an explanation",
        Managed::Prices(_) => "prices",
        Managed::Scale(_) => "an advice on nodes",
        Managed::ScaleTrace { .. } => "a trace",
    };
    JobError::new(ErrorKind::Internal, format!("the cluster said {kind} instead: this is a fault of its own")).into()
}

/// There is no such thing.
fn not_found(what: &str, id: &str, remedy: &str) -> ApiError {
    let message = format!("there is no {what} {}: {remedy}", shown(id));
    ApiError::new(StatusCode::NOT_FOUND, message).param("id").code("not_found")
}

/// The id in the URL. A secret in its place is not looked up, since it would stand in logs then.
fn id(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let Path(id) = path.map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("the id in the URL cannot be read: {error}"))
    })?;
    if looks_secret(&id) {
        let message =
            "the id in the URL looks like a secret: name a key by its id, as key-…, never by what it opens with";
        return Err(ApiError::invalid("id", message));
    }
    Ok(id)
}

/// The body as a JSON object.
async fn object(door: &Door, request: Request) -> Result<Map<String, Value>, Response> {
    let (parts, content) = request.into_parts();
    let limits = &door.options;
    let bytes = body::read(&parts.headers, content, limits.body_limit, limits.body_timeout).await?;
    json::parse(&bytes).map_err(IntoResponse::into_response)
}

/// The body as a type that knows all its fields.
async fn form<T: DeserializeOwned>(door: &Door, request: Request) -> Result<T, Response> {
    let object = object(door, request).await?;
    json::read(&object).map_err(IntoResponse::into_response)
}

/// A list in OpenAI's shape.
#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

fn list<T: Serialize>(data: impl Iterator<Item = T>) -> Response {
    answer(&List { object: "list", data: data.collect() })
}

/// JSON that no cache keeps.
fn answer(value: &impl Serialize) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], to_json(value)).into_response()
}

/// The time of day.
fn now(door: &Door) -> UnixMillis {
    let since = (door.options.clock)().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis::default().after(since)
}
