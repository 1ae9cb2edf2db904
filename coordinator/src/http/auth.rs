//! Who asks: `Authorization: Bearer KEY`, checked before anything of the body is read.

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::answer::{ErrorKind, JobError};

use super::openai::error::ApiError;
use super::{Door, body};
use crate::service::Caller;

/// Lets a request with a known key pass, with its [`Caller`] as an extension.
pub(super) async fn require_key(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    match caller(&door, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => body::refuse(error, request.into_body().into_data_stream()),
    }
}

fn caller(door: &Door, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let no_key = |why: &str| {
        ApiError::from(JobError::new(
            ErrorKind::Unauthorized,
            format!("{why}: send your API key in the header 'Authorization: Bearer KEY'"),
        ))
    };
    let header = headers.get(AUTHORIZATION).ok_or_else(|| no_key("you did not provide an API key"))?;
    let text = header.to_str().map_err(|_| no_key("the header Authorization is not plain text"))?;
    let key = match text.trim().split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        _ => return Err(no_key("the header Authorization does not start with 'Bearer '")),
    };
    if key.is_empty() {
        return Err(no_key("the API key is empty"));
    }
    door.service.authenticate(key).map_err(ApiError::from)
}

/// The caller that [`require_key`] found.
pub(super) struct Known(pub(super) Caller);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Known {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(|| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "this route is not behind the key check").into_response()
        })
    }
}
