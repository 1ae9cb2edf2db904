//! Keys: list, make, show, change, take back.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use protocol::account::{KeyRecord, KeySettings};
use protocol::manage::{Manage, Managed};
use protocol::units::UnixMillis;
use serde::Serialize;
use serde_json::{Map, Value};
use views::keys::{KeyForm, KeyView};
use views::moment::Moment;

use super::{answer, form, id, list as listed, not_found, now, object, other, wish};
use crate::http::Door;
use crate::http::auth::Known;
use crate::http::openai::error::ApiError;
use crate::http::openai::json;
use crate::service::Caller;

/// A key that was taken back.
#[derive(Serialize)]
struct Revoked {
    object: &'static str,
    id: String,
    revoked: bool,
    message: String,
}

async fn all(door: &Door, caller: &Caller) -> Result<Vec<KeyRecord>, ApiError> {
    match wish(door, caller, Manage::ListKeys).await? {
        Managed::Keys(keys) => Ok(keys),
        said => Err(other(&said)),
    }
}

async fn find(door: &Door, caller: &Caller, id: &str) -> Result<KeyRecord, ApiError> {
    let found = all(door, caller).await?.into_iter().find(|key| key.id == id);
    found.ok_or_else(|| not_found("key", id, "GET /v1/admin/keys lists those that are there"))
}

/// A key must not end before it begins.
fn check_end(settings: &KeySettings, now: UnixMillis) -> Result<(), ApiError> {
    match settings.expires {
        Some(end) if end <= now => {
            let message = format!("expires is {}, which is past: give a later time, or leave it out", Moment(end));
            Err(ApiError::invalid("expires", message))
        }
        _ => Ok(()),
    }
}

/// All keys, without their secrets.
pub(super) async fn list(State(door): State<Door>, Known(caller): Known) -> Result<Response, ApiError> {
    Ok(listed(all(&door, &caller).await?.into_iter().map(KeyView::from)))
}

/// One key.
pub(super) async fn one(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    Ok(answer(&KeyView::from(find(&door, &caller, &id(path)?).await?)))
}

/// A new key, with its secret.
pub(super) async fn create(State(door): State<Door>, Known(caller): Known, request: Request) -> Response {
    let settings = match form::<KeyForm>(&door, request).await {
        Ok(form) => KeySettings::from(form),
        Err(refusal) => return refusal,
    };
    let create = async {
        check_end(&settings, now(&door))?;
        match wish(&door, &caller, Manage::CreateKey(settings)).await? {
            Managed::KeyCreated { record, secret } => Ok(answer(&KeyView::from(record).with_secret(secret))),
            said => Err(other(&said)),
        }
    };
    create.await.unwrap_or_else(IntoResponse::into_response)
}

/// Other settings: those that are given, as RFC 7396 merges them; `null` sets one back.
pub(super) async fn change(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let patch = match object(&door, request).await {
        Ok(patch) => patch,
        Err(refusal) => return refusal,
    };
    let change = async {
        let key = id(path)?;
        let record = find(&door, &caller, &key).await?;
        let settings = merged(record.settings.clone(), patch)?;
        if settings.expires != record.settings.expires {
            check_end(&settings, now(&door))?;
        }
        match wish(&door, &caller, Manage::UpdateKey { key, settings }).await? {
            Managed::Key(record) => Ok(answer(&KeyView::from(record))),
            said => Err(other(&said)),
        }
    };
    change.await.unwrap_or_else(IntoResponse::into_response)
}

fn merged(settings: KeySettings, patch: Map<String, Value>) -> Result<KeySettings, ApiError> {
    let current = serde_json::to_value(KeyForm::from(settings));
    let mut current = current.map_err(|error| {
        ApiError::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("a key cannot be written: {error}"))
    })?;
    merge(&mut current, Value::Object(patch));
    match current {
        Value::Object(fields) => Ok(json::read::<KeyForm>(&fields)?.into()),
        _ => Ok(KeySettings::default()),
    }
}

/// RFC 7396. As deep as the body, whose depth is bounded where it is read.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// A key is good no more.
pub(super) async fn revoke(
    State(door): State<Door>,
    Known(caller): Known,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let key = find(&door, &caller, &id(path)?).await?.id;
    match wish(&door, &caller, Manage::RevokeKey { key: key.clone() }).await? {
        Managed::Key(record) => Ok(answer(&KeyView::from(record))),
        Managed::Done(message) => Ok(answer(&Revoked { object: "key", id: key, revoked: true, message })),
        said => Err(other(&said)),
    }
}
