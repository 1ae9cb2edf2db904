//! Every field that a request may have, and what becomes of it.
//!
//! *Used* fields are read by [`super::params`], [`super::chat`] and [`super::completions`]. *Ignored* ones
//! change nothing here, whatever they hold: labels, cache hints, OpenAI's billing. *Only* ones are known
//! to OpenAI but not to Troupe: they pass while they ask for nothing. Any other field is refused with
//! the nearest known name. `null` means the same as no field.

use protocol::account::shown;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::nearest::nearest;

/// What becomes of a field.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// It is read elsewhere.
    Used,
    /// It changes nothing.
    Ignored,
    /// It passes with these values alone.
    Only(fn(&Value) -> bool, &'static str),
}

use Rule::{Ignored, Only, Used};

/// A field's name and rule.
pub(crate) type Field = (&'static str, Rule);

const OFF: Rule = Only(is_off, "leave it out");

/// In both kinds of request.
const COMMON: &[Field] = &[
    ("model", Used),
    ("n", Used),
    ("max_tokens", Used),
    ("temperature", Used),
    ("top_p", Used),
    ("presence_penalty", Used),
    ("frequency_penalty", Used),
    ("logit_bias", Used),
    ("logprobs", Used),
    ("stop", Used),
    ("seed", Used),
    ("stream", Used),
    ("stream_options", Used),
    // Not OpenAI's, but common among servers of open models.
    ("top_k", Used),
    ("min_p", Used),
    ("repetition_penalty", Used),
    ("min_tokens", Used),
    ("ignore_eos", Used),
    ("stop_token_ids", Used),
    ("user", Ignored),
    ("metadata", Ignored),
    ("service_tier", Ignored),
    ("safety_identifier", Ignored),
    ("prompt_cache_key", Ignored),
    ("prompt_cache_retention", Ignored),
    ("prompt_cache_options", Ignored),
];

/// In a chat only.
const CHAT: &[Field] = &[
    ("messages", Used),
    ("max_completion_tokens", Used),
    ("top_logprobs", Used),
    ("tools", Used),
    ("tool_choice", Used),
    ("parallel_tool_calls", Used),
    // OpenAI's older words for the same.
    ("functions", Only(is_off, "send tools instead, as [{\"type\": \"function\", \"function\": ...}]")),
    ("function_call", Only(is_no_choice, "send tool_choice instead")),
    // A guess at the answer that may make it faster.
    ("prediction", Ignored),
    ("store", Only(is_off, "leave it out or set it to false")),
    ("response_format", Only(is_plain_text, "leave it out or set it to {\"type\": \"text\"}")),
    ("modalities", Only(is_text_only, "leave it out or set it to [\"text\"]")),
    ("reasoning_effort", Only(is_none_word, "leave it out or set it to \"none\"")),
    ("verbosity", Only(is_medium, "leave it out or set it to \"medium\"")),
    ("audio", OFF),
    ("web_search_options", OFF),
    ("moderation", OFF),
];

/// In a completion only.
const COMPLETION: &[Field] = &[
    ("prompt", Used),
    // Compared with `n` where it is read.
    ("best_of", Used),
    ("echo", Only(is_off, "leave it out or set it to false")),
    ("suffix", OFF),
];

/// In a message of a chat. Clients send answers back as they got them, with the empty fields.
const MESSAGE: &[Field] = &[
    ("role", Used),
    ("content", Used),
    ("name", Used),
    ("refusal", OFF),
    ("tool_calls", Used),
    ("tool_call_id", Used),
    ("function_call", Only(is_off, "send tool_calls instead")),
    ("audio", OFF),
    ("annotations", Ignored),
];

/// In a tool.
const TOOL: &[Field] = &[("type", Used), ("function", Used)];
/// In its function.
const FUNCTION: &[Field] = &[("name", Used), ("description", Used), ("parameters", Used), ("strict", Used)];
/// In a call of an assistant's message. Clients that put one together from a stream leave its place in it.
const CALL: &[Field] = &[("id", Used), ("type", Used), ("function", Used), ("index", Ignored)];
/// In its function.
const CALLED: &[Field] = &[("name", Used), ("arguments", Used)];
/// In a choice of one tool.
const CHOICE: &[Field] = &[("type", Used), ("function", Used)];
const CHOSEN: &[Field] = &[("name", Used)];

/// In a part of a message's content.
const PART: &[Field] = &[("type", Used), ("text", Used), ("prompt_cache_breakpoint", Ignored)];

const STREAM_OPTIONS: &[Field] = &[("include_usage", Used), ("include_obfuscation", Ignored)];

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn is_plain_text(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str) == Some("text")
}

fn is_text_only(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(|kind| kind.as_str() == Some("text")))
}

/// With no tools to choose from, `auto` is `none`.
fn is_no_choice(value: &Value) -> bool {
    matches!(value.as_str(), Some("none" | "auto"))
}

fn is_none_word(value: &Value) -> bool {
    value.as_str() == Some("none")
}

fn is_medium(value: &Value) -> bool {
    value.as_str() == Some("medium")
}

/// Checks the names in a chat request, down to its messages' parts.
///
/// # Errors
/// The first field that is unknown or asks for what is not supported, with its path.
pub(crate) fn check_chat(body: &Map<String, Value>) -> Result<(), ApiError> {
    check(body, &[CHAT, COMMON], "")?;
    check_stream_options(body)?;
    check_functions(body.get("tools"), "tools", TOOL, FUNCTION)?;
    if let Some(choice) = body.get("tool_choice").and_then(Value::as_object) {
        check_function(choice, "tool_choice", CHOICE, CHOSEN)?;
    }
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    for (i, message) in messages.enumerate() {
        // Wrong types are told where the values are read.
        let Some(message) = message.as_object() else { continue };
        let at = format!("messages[{i}]");
        check(message, &[MESSAGE], &at)?;
        check_functions(message.get("tool_calls"), &format!("{at}.tool_calls"), CALL, CALLED)?;
        let parts = message.get("content").and_then(Value::as_array).into_iter().flatten();
        for (j, part) in parts.enumerate() {
            let Some(part) = part.as_object() else { continue };
            check_part(part, &format!("{at}.content[{j}]"))?;
        }
    }
    Ok(())
}

/// Checks the names in a completion request.
///
/// # Errors
/// The first field that is unknown or asks for what is not supported, with its path.
pub(crate) fn check_completion(body: &Map<String, Value>) -> Result<(), ApiError> {
    check(body, &[COMPLETION, COMMON], "")?;
    check_stream_options(body)
}

fn check_stream_options(body: &Map<String, Value>) -> Result<(), ApiError> {
    match body.get("stream_options").and_then(Value::as_object) {
        Some(options) => check(options, &[STREAM_OPTIONS], "stream_options"),
        None => Ok(()),
    }
}

/// Checks a list of things that hold a function.
fn check_functions(list: Option<&Value>, at: &str, table: &[Field], inner: &[Field]) -> Result<(), ApiError> {
    for (i, one) in list.and_then(Value::as_array).into_iter().flatten().enumerate() {
        if let Some(one) = one.as_object() {
            check_function(one, &format!("{at}[{i}]"), table, inner)?;
        }
    }
    Ok(())
}

/// Its type comes first: other kinds have other fields.
fn check_function(one: &Map<String, Value>, at: &str, table: &[Field], inner: &[Field]) -> Result<(), ApiError> {
    if let Some(Value::String(kind)) = one.get("type")
        && kind != "function"
    {
        let path = format!("{at}.type");
        let message = format!("{path} is {}, which this server does not take: use 'function'", shown(kind));
        return Err(ApiError::unsupported(path, message));
    }
    check(one, &[table], at)?;
    match one.get("function").and_then(Value::as_object) {
        Some(function) => check(function, &[inner], &format!("{at}.function")),
        None => Ok(()),
    }
}

/// A part's type decides its other fields, so it comes first.
fn check_part(part: &Map<String, Value>, at: &str) -> Result<(), ApiError> {
    match part.get("type") {
        Some(Value::String(kind)) if kind != "text" => Err(ApiError::unsupported(
            format!("{at}.type"),
            format!("{at}.type is '{kind}', which this server does not take: send parts of type 'text'"),
        )),
        Some(_) => check(part, &[PART], at),
        None => Err(ApiError::missing(
            format!("{at}.type"),
            format!("{at}.type is missing: send parts as {{\"type\": \"text\", \"text\": ...}}"),
        )),
    }
}

fn check(object: &Map<String, Value>, tables: &[&[Field]], at: &str) -> Result<(), ApiError> {
    let known = || tables.iter().copied().flatten();
    for (name, value) in object {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        match known().find(|(known, _)| known == name) {
            None => return Err(unknown(path, nearest(name, known().map(|(name, _)| *name)))),
            Some((_, Only(passes, remedy))) if !value.is_null() && !passes(value) => {
                let message = format!("{path} is not supported by this server in this form: {remedy}");
                return Err(ApiError::unsupported(path, message));
            }
            Some((_, Used | Ignored | Only(..))) => {}
        }
    }
    Ok(())
}

fn unknown(path: String, nearest: Option<&str>) -> ApiError {
    let remedy = nearest.map_or_else(|| "leave it out".to_owned(), |name| format!("did you mean '{name}'?"));
    let message = format!("unrecognized request argument: {path}: {remedy}");
    ApiError::new(axum::http::StatusCode::BAD_REQUEST, message).param(path).code("unknown_parameter")
}
