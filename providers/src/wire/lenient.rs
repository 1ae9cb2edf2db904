//! JSON of strangers: what is missing, null or of another type is simply not there.

use protocol::units::Tokens;
use serde_json::Value;

use crate::call::Failure;
use crate::errors::{Said, short};
use policy::upstream::failure::FailureKind;

/// A string that is there and not empty.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The items of a list, if it is one.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A small whole number.
pub(super) fn index(value: &Value, key: &str) -> Option<u32> {
    value.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

/// A count of tokens; a negative one, or one that is no whole number, is none.
pub(super) fn tokens(value: &Value, path: &str) -> Option<Tokens> {
    value.pointer(path).and_then(Value::as_u64).map(Tokens)
}

/// The JSON object of an event, or the error that it holds.
pub(super) fn object(data: &str) -> Result<Value, Failure> {
    let value: Value =
        serde_json::from_str(data).map_err(|error| garbled(&format!("an event is no JSON ({error})"), data))?;
    match Said::find(&value) {
        Some(said) => Err(said.failure(None, None)),
        None if value.is_object() => Ok(value),
        None => Err(garbled("an event is no JSON object", data)),
    }
}

/// What came is not the API's.
pub(crate) fn garbled(problem: &str, data: &str) -> Failure {
    let shown: String = data.chars().take(120).collect();
    Failure::new(FailureKind::Garbled, format!("{problem}: {}", short(&shown)))
}
