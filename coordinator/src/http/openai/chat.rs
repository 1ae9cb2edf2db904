//! `POST /v1/chat/completions`: the request. [`reply`] has the answer.

mod reply;

use std::fmt;

use axum::extract::{Request, State};
use axum::response::Response;
use protocol::request::{self, Care, ChatMessage, Input};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::asked::answer;
use super::error::ApiError;
use super::params::{Names, Shared};
use super::respond::Plan;
use super::{fields, json};
use crate::http::Door;
use crate::http::auth::Known;

const NAMES: Names = Names { max_tokens: "max_tokens", logprobs: "top_logprobs" };
const NEW_NAMES: Names = Names { max_tokens: "max_completion_tokens", ..NAMES };

/// What a chat has beside the shared fields.
#[derive(Deserialize)]
struct Own {
    messages: Option<Vec<Message>>,
    max_completion_tokens: Option<u32>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
}

#[derive(Deserialize)]
struct Message {
    role: Option<String>,
    content: Option<Content>,
    name: Option<String>,
}

/// A string, or text parts, which are joined with line breaks as other servers of open models do.
struct Content(String);

#[derive(Deserialize)]
struct Part {
    text: String,
}

/// The handler.
pub(crate) async fn create(State(door): State<Door>, Known(caller): Known, request: Request) -> Response {
    answer::<reply::Chat>(&door, &caller, request, plan).await
}

/// What the body asks for.
fn plan(bytes: &[u8], care: Care) -> Result<Plan, ApiError> {
    let object = json::parse(bytes)?;
    fields::check_chat(&object)?;
    let shared: Shared = json::read(&object)?;
    let own: Own = json::read(&object)?;
    let model = shared.model()?;
    let messages = messages(own.messages)?;
    let logprobs = alternatives(own.logprobs, own.top_logprobs)?;
    let delivery = shared.delivery()?;
    let each = shared.choices();
    let names = if own.max_completion_tokens.is_some() { NEW_NAMES } else { NAMES };
    let params = shared.params(own.max_completion_tokens, logprobs, names)?;
    let request = request::Request { model, input: Input::Chat(messages), params, care, ..request::Request::default() };
    Ok(Plan { requests: vec![request], each, delivery })
}

fn alternatives(logprobs: Option<bool>, top: Option<u32>) -> Result<Option<u32>, ApiError> {
    match (logprobs.unwrap_or(false), top) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(ApiError::invalid(
            "top_logprobs",
            "top_logprobs is given without logprobs: set logprobs to true, or leave it out",
        )),
    }
}

fn messages(given: Option<Vec<Message>>) -> Result<Vec<ChatMessage>, ApiError> {
    let remedy = "give at least one, as {\"role\": \"user\", \"content\": ...}";
    let given = given.ok_or_else(|| ApiError::missing("messages", format!("messages is missing: {remedy}")))?;
    if given.is_empty() {
        return Err(ApiError::invalid("messages", format!("messages is empty: {remedy}")));
    }
    given.into_iter().enumerate().map(|(i, given)| message(i, given)).collect()
}

fn message(i: usize, given: Message) -> Result<ChatMessage, ApiError> {
    let path = format!("messages[{i}].role");
    let role = given.role.ok_or_else(|| {
        ApiError::missing(path.clone(), format!("{path} is missing: choose system, developer, user or assistant"))
    })?;
    let role = match role.as_str() {
        "system" | "user" | "assistant" => role,
        // OpenAI's newer word for the same; the templates of open models know only the older.
        "developer" => "system".to_owned(),
        "tool" | "function" => {
            let message = format!("{path} is '{role}', but this server has no tools: leave the message out");
            return Err(ApiError::unsupported(path, message));
        }
        _ => {
            let message = format!("{path} is '{role}': choose system, developer, user or assistant");
            return Err(ApiError::invalid(path, message));
        }
    };
    let content = match given.content {
        Some(content) => content.0,
        None if role == "assistant" => String::new(),
        None => {
            let path = format!("messages[{i}].content");
            let message = format!("{path} is missing: give a string or a list of text parts");
            return Err(ApiError::missing(path, message));
        }
    };
    Ok(ChatMessage { name: given.name, ..ChatMessage::new(role, content) })
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

#[cfg(test)]
mod tests;
