//! What everything costs, and why a request went where it went.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use protocol::answer::ErrorKind;
use protocol::ids::RequestId;
use protocol::manage::{Manage, Managed};
use views::decisions::{ExplanationView, PriceView};

use super::{answer, id, list, not_found, other};
use crate::http::Door;
use crate::http::auth::Known;
use crate::http::openai::error::ApiError;

const WHERE: &str = "the header x-request-id of an answer names it, and decisions are kept for a while only";

/// What everything costs, by name.
pub(super) async fn prices(State(door): State<Door>, Known(caller): Known) -> Result<Response, ApiError> {
    match door.service.manage(&caller, Manage::Prices).await? {
        Managed::Prices(prices) => Ok(list(prices.into_iter().map(PriceView::from))),
        said => Err(other(&said)),
    }
}

/// Why a request went where it went.
pub(super) async fn explain(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let text = id(path)?;
    // Answers name themselves after their request.
    let plain = text.strip_prefix("chatcmpl-").or_else(|| text.strip_prefix("cmpl-")).unwrap_or(&text);
    let request: RequestId = plain.parse().map_err(|_| not_found("request", &text, WHERE))?;
    match door.service.manage(&caller, Manage::Explain { request }).await {
        Ok(Managed::Explained(explanation)) => Ok(answer(&ExplanationView::from(*explanation))),
        Ok(said) => Err(other(&said)),
        Err(error) if error.kind == ErrorKind::Invalid => Err(not_found("request", &text, &error.message)),
        Err(error) => Err(error.into()),
    }
}
