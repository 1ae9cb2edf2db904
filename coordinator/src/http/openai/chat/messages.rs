//! The turns of a chat, with calls of functions and what came of them.
//!
//! A result belongs to a call of an earlier turn, as OpenAI wants it: a model that sees a result without its call makes
//! things up.

use std::collections::BTreeSet;
use std::fmt;

use protocol::account::shown;
use protocol::request::{ChatMessage, MAX_TOOLS, ToolCall};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::http::openai::error::ApiError;

#[derive(Deserialize)]
pub(super) struct Message {
    role: Option<String>,
    content: Option<Content>,
    name: Option<String>,
    tool_calls: Option<Vec<Call>>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Option<Called>,
}

#[derive(Deserialize)]
struct Called {
    name: Option<String>,
    arguments: Option<String>,
}

/// A string, or text parts, which are joined with line breaks as other servers of open models do.
struct Content(String);

#[derive(Deserialize)]
struct Part {
    text: String,
}

/// The turns.
///
/// # Errors
/// What is missing or cannot stand where it does, by path.
pub(super) fn read(given: Option<Vec<Message>>) -> Result<Vec<ChatMessage>, ApiError> {
    let remedy = "give at least one, as {\"role\": \"user\", \"content\": ...}";
    let given = given.ok_or_else(|| ApiError::missing("messages", format!("messages is missing: {remedy}")))?;
    if given.is_empty() {
        return Err(ApiError::invalid("messages", format!("messages is empty: {remedy}")));
    }
    let mut called = BTreeSet::new();
    let mut turns = Vec::with_capacity(given.len());
    for (i, given) in given.into_iter().enumerate() {
        let turn = message(&format!("messages[{i}]"), given)?;
        if let Some(id) = &turn.tool_call
            && !called.contains(id)
        {
            let path = format!("messages[{i}].tool_call_id");
            let message =
                format!("{path} is {}, but no earlier message has a tool call with this id: send that too", shown(id));
            return Err(ApiError::invalid(path, message));
        }
        called.extend(turn.tool_calls.iter().map(|call| call.id.clone()));
        turns.push(turn);
    }
    Ok(turns)
}

fn message(at: &str, given: Message) -> Result<ChatMessage, ApiError> {
    let path = format!("{at}.role");
    let roles = "choose system, developer, user, assistant or tool";
    let role = given.role.ok_or_else(|| ApiError::missing(path.clone(), format!("{path} is missing: {roles}")))?;
    let role = match role.as_str() {
        "system" | "user" | "assistant" | "tool" => role,
        // OpenAI's newer word for the same; the templates of open models know only the older.
        "developer" => "system".to_owned(),
        "function" => {
            let message = format!("{path} is 'function', OpenAI's older word: send role 'tool' with a tool_call_id");
            return Err(ApiError::unsupported(path, message));
        }
        _ => return Err(ApiError::invalid(path.clone(), format!("{path} is {}: {roles}", shown(&role)))),
    };
    let tool_calls = calls(at, &role, given.tool_calls.unwrap_or_default())?;
    let tool_call = result_of(at, &role, given.tool_call_id)?;
    let content = match given.content {
        Some(content) => content.0,
        None if role == "assistant" => String::new(),
        None => {
            let path = format!("{at}.content");
            let message = format!("{path} is missing: give a string or a list of text parts");
            return Err(ApiError::missing(path, message));
        }
    };
    Ok(ChatMessage { name: given.name, tool_calls, tool_call, ..ChatMessage::new(role, content) })
}

/// The calls of an assistant's turn.
fn calls(at: &str, role: &str, given: Vec<Call>) -> Result<Vec<ToolCall>, ApiError> {
    let at = format!("{at}.tool_calls");
    if role != "assistant" && !given.is_empty() {
        let message = format!("{at} is in a message of role '{role}': only an assistant calls tools");
        return Err(ApiError::invalid(at, message));
    }
    if given.len() > MAX_TOOLS {
        let message = format!("{at} has {} calls: send at most {MAX_TOOLS}", given.len());
        return Err(ApiError::invalid(at, message));
    }
    let call = |(i, call): (usize, Call)| {
        let part = |name: &str, value: Option<String>| {
            let path = format!("{at}[{i}].{name}");
            let message = format!("{path} is missing: send each call as it came");
            value.ok_or_else(|| ApiError::missing(path, message))
        };
        let called = call.function.unwrap_or(Called { name: None, arguments: None });
        let full = |value: Option<String>| value.filter(|text| !text.is_empty());
        Ok(ToolCall {
            id: part("id", full(call.id))?,
            name: part("function.name", full(called.name))?,
            // A function without parameters may be called with nothing.
            arguments: part("function.arguments", called.arguments)?,
        })
    };
    given.into_iter().enumerate().map(call).collect()
}

/// Whose result a tool's turn is.
fn result_of(at: &str, role: &str, id: Option<String>) -> Result<Option<String>, ApiError> {
    let path = format!("{at}.tool_call_id");
    match (role, id.filter(|id| !id.is_empty())) {
        ("tool", None) => {
            let message = format!("{path} is missing: name the call whose result this is");
            Err(ApiError::missing(path, message))
        }
        ("tool", id) => Ok(id),
        (_, None) => Ok(None),
        (role, Some(_)) => {
            let message = format!("{path} is in a message of role '{role}': only role 'tool' has one, leave it out");
            Err(ApiError::invalid(path, message))
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of text parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut texts = Vec::new();
                while let Some(part) = list.next_element::<Part>()? {
                    texts.push(part.text);
                }
                Ok(Content(texts.join("\n")))
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}
