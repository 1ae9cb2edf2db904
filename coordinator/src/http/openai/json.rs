//! From bytes to typed values, with errors that say where.
//!
//! The body is read in two steps: to JSON as such, where an error has a line and a column, and from
//! there to the types, where it has the field's path. To follow the path costs as much as to read: that is done
//! once an error is known to be there.

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::nearest::nearest;

/// The body as a JSON object.
///
/// # Errors
/// Not UTF-8 (with the offset), not JSON (with line and column), not an object; with the field, if it
/// lies within one.
pub(crate) fn parse(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => explain(body),
    }
}

fn explain(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "the request's body is empty: send a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize::<_, Value>(&mut reader);
    if let Err(error) = std::str::from_utf8(body) {
        let offset = error.valid_up_to();
        let byte = body.get(offset).copied().unwrap_or_default();
        let path = parsed.err().and_then(|error| inner_path(error.path()));
        let message = format!("the request's body is not UTF-8: byte 0x{byte:02x} at offset {offset}");
        return Err(located(message, path, "invalid_utf8"));
    }
    let value = match parsed {
        Ok(value) => value,
        Err(error) => {
            let path = inner_path(error.path());
            return Err(located(
                format!("the request's body is not valid JSON: {}", error.inner()),
                path,
                "invalid_json",
            ));
        }
    };
    if let Err(error) = reader.end() {
        return Err(located(format!("the request's body is not one JSON object: {error}"), None, "invalid_json"));
    }
    match value {
        Value::Object(object) => Ok(object),
        other => {
            let message = format!("the request's body is {}: send a JSON object", kind(&other));
            Err(located(message, None, "invalid_type"))
        }
    }
}

/// The fields of a type from the body; others are left alone.
///
/// # Errors
/// The first field of a wrong type, with its path.
pub(crate) fn read<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, ApiError> {
    if let Ok(read) = T::deserialize(body) {
        return Ok(read);
    }
    serde_path_to_error::deserialize(body).map_err(|error| {
        let message = plain(&error.inner().to_string());
        if let Some(error) = unknown(&message, inner_path(error.path())) {
            return error;
        }
        match inner_path(error.path()) {
            Some(path) => located(format!("{path}: {message}"), Some(path), "invalid_type"),
            None => located(message, None, "invalid_type"),
        }
    })
}

/// The error for a field that a type does not have, in the words of [`super::fields`]: serde's list of what it does have
/// gives the nearest.
fn unknown(message: &str, path: Option<String>) -> Option<ApiError> {
    let (name, known) = message.strip_prefix("unknown field `")?.split_once('`')?;
    let nearest = nearest(name, known.split('`').skip(1).step_by(2));
    let remedy = nearest.map_or_else(|| "leave it out".to_owned(), |name| format!("did you mean '{name}'?"));
    // The path may end with the field, or with what holds it.
    let path = match path {
        Some(path) if path == name || path.ends_with(&format!(".{name}")) => path,
        Some(path) => format!("{path}.{name}"),
        None => name.to_owned(),
    };
    let message = format!("unrecognized request argument: {path}: {remedy}");
    Some(ApiError::new(StatusCode::BAD_REQUEST, message).param(path).code("unknown_parameter"))
}

fn located(message: String, path: Option<String>, code: &'static str) -> ApiError {
    let message = match &path {
        Some(path) if !message.starts_with(path) => format!("{message}, in {path}"),
        _ => message,
    };
    let error = ApiError::new(StatusCode::BAD_REQUEST, message).code(code);
    match path {
        Some(path) => error.param(path),
        None => error,
    }
}

/// The path of a field, or none for the body as a whole.
fn inner_path(path: &serde_path_to_error::Path) -> Option<String> {
    let text = path.to_string();
    (text != "." && text != "?").then_some(text)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Rust's names of types in the words of JSON.
const WORDS: &[(&str, &str)] = &[
    ("f32", "a number"),
    ("u8", "a whole number from 0 to 255"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0 to 18446744073709551615"),
    ("i64", "a whole number"),
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
    ("a map", "an object"),
];

fn plain(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once("expected ") else {
        return message.to_owned();
    };
    let word = WORDS.iter().find(|(rust, _)| *rust == expected).map(|(_, word)| *word);
    let word = word.unwrap_or(if expected.starts_with("struct ") { "an object" } else { expected });
    format!("{found}expected {word}")
}

#[cfg(test)]
mod tests;
