//! From an HTTP request to its answer: what both kinds of request have in common.
//!
//! A short body is read where it is. A long one takes milliseconds, in which a runtime's thread would serve
//! nobody else: another thread reads it.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::request::Care;

use super::error::ApiError;
use super::respond::{Plan, Shape, respond};
use crate::http::{Door, body, care, rates};
use crate::service::Caller;

/// Bodies of so many bytes are read in a fraction of a millisecond.
const SHORT: usize = 64 << 10;

/// What a body asks for.
pub(crate) type Planner = fn(&[u8], Care) -> Result<Plan, ApiError>;

/// Answers a request, or refuses it.
pub(crate) async fn answer<S: Shape>(door: &Door, caller: &Caller, request: Request, plan: Planner) -> Response {
    let planned = match planned(door, request, plan).await {
        Ok(planned) => planned,
        Err(refusal) => return refusal,
    };
    let mut response = respond::<S>(door, caller, planned).await.unwrap_or_else(IntoResponse::into_response);
    rates::name(&mut response, door.service.rates(caller));
    response
}

/// The bytes that were read are not needed while the answer is made.
async fn planned(door: &Door, request: Request, plan: Planner) -> Result<Plan, Response> {
    let (parts, content) = request.into_parts();
    let limits = &door.options;
    let bytes = body::read(&parts.headers, content, limits.body_limit, limits.body_timeout).await?;
    let care = care::of(&parts.headers).map_err(IntoResponse::into_response)?;
    let plan = if bytes.len() <= SHORT {
        plan(&bytes, care)
    } else {
        let elsewhere = tokio::task::spawn_blocking(move || plan(&bytes, care));
        elsewhere.await.unwrap_or_else(|error| {
            let message = format!("the request's body could not be read: {error}");
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message))
        })
    };
    plan.map_err(IntoResponse::into_response)
}
