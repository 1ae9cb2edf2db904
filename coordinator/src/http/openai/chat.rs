//! `POST /v1/chat/completions`: the request. [`messages`] has its turns, [`tools`] what may be called, [`reply`] the answer.

mod messages;
mod reply;
mod tools;

use axum::extract::{Request, State};
use axum::response::Response;
use protocol::request::{self, Care, Input};
use serde::Deserialize;
use serde_json::Value;

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
    messages: Option<Vec<messages::Message>>,
    max_completion_tokens: Option<u32>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    tools: Option<Vec<tools::Offered>>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
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
    let messages = messages::read(own.messages)?;
    let tools = tools::read(own.tools, own.tool_choice, own.parallel_tool_calls)?;
    let logprobs = alternatives(own.logprobs, own.top_logprobs)?;
    let delivery = shared.delivery()?;
    let each = shared.choices();
    let names = if own.max_completion_tokens.is_some() { NEW_NAMES } else { NAMES };
    let params = shared.params(own.max_completion_tokens, logprobs, names)?;
    let request = request::Request { model, input: Input::Chat(messages), params, care, tools };
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

#[cfg(test)]
mod tests;
