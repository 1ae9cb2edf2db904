//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::answer::{ErrorKind, JobError};
use serde::Serialize;

use super::error::ApiError;
use crate::http::Door;
use crate::http::auth::Known;
use crate::service::ModelInfo;

/// A model in OpenAI's shape, with its context as other servers of open models show it.
#[derive(Serialize)]
struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// Left out where nobody has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_model_len: Option<u64>,
}

#[derive(Serialize)]
struct Models {
    object: &'static str,
    data: Vec<Model>,
}

fn model(info: ModelInfo, created: u64) -> Model {
    let max_model_len = Some(info.context.0).filter(|context| *context > 0);
    Model { id: info.name, object: "model", created, owned_by: "troupe", max_model_len }
}

/// The models that the caller may ask for.
pub(crate) async fn list(State(door): State<Door>, Known(caller): Known) -> Response {
    let data = door.service.models(&caller).into_iter().map(|info| model(info, door.since)).collect();
    Json(Models { object: "list", data }).into_response()
}

/// One model; names may have slashes.
pub(crate) async fn one(
    State(door): State<Door>,
    Known(caller): Known,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, format!("the model's name in the URL cannot be read: {error}"))
    })?;
    let found = door.service.models(&caller).into_iter().find(|info| info.name == id);
    let info = found.ok_or_else(|| {
        JobError::new(
            ErrorKind::UnknownModel,
            format!("the model '{id}' is not in this cluster: GET /v1/models lists those that are"),
        )
    })?;
    Ok(Json(model(info, door.since)).into_response())
}
