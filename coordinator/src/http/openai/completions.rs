//! `POST /v1/completions`: the request. [`reply`] has the answer.

mod prompt;
mod reply;

use axum::extract::{Request, State};
use axum::response::Response;
use protocol::request::{self, Care, Input};
use serde::Deserialize;

use super::asked::answer;
use super::error::ApiError;
use super::params::{Names, Shared};
use super::respond::Plan;
use super::{fields, json};
use crate::http::Door;
use crate::http::auth::Known;
use prompt::Prompts;

const NAMES: Names = Names { max_tokens: "max_tokens", logprobs: "logprobs" };
/// The most prompts of one request.
const MAX_PROMPTS: usize = 64;

/// What a completion has beside the shared fields.
#[derive(Deserialize)]
struct Own {
    prompt: Option<Prompts>,
    logprobs: Option<u32>,
    best_of: Option<u32>,
}

/// The handler.
pub(crate) async fn create(State(door): State<Door>, Known(caller): Known, request: Request) -> Response {
    answer::<reply::Completion>(&door, &caller, request, plan).await
}

/// What the body asks for.
fn plan(bytes: &[u8], care: Care) -> Result<Plan, ApiError> {
    let object = json::parse(bytes)?;
    fields::check_completion(&object)?;
    let shared: Shared = json::read(&object)?;
    let own: Own = json::read(&object)?;
    let model = shared.model()?;
    let inputs = inputs(own.prompt)?;
    let delivery = shared.delivery()?;
    let each = shared.choices();
    check_best_of(own.best_of, each)?;
    let params = shared.params(None, own.logprobs, NAMES)?;
    let request = |(at, input)| request::Request {
        model: model.clone(),
        input,
        params: params.clone(),
        care: Care { idempotency: own_key(care.idempotency.as_deref(), at), ..care.clone() },
        ..request::Request::default()
    };
    Ok(Plan { requests: inputs.into_iter().enumerate().map(request).collect(), each, delivery })
}

/// Each prompt is a request of its own to the cluster, which must not take the second for a repetition of the first.
fn own_key(key: Option<&str>, at: usize) -> Option<String> {
    let key = key?;
    if at == 0 {
        return Some(key.to_owned());
    }
    Some(blake3::hash(format!("{at}:{key}").as_bytes()).to_hex().to_string())
}

fn inputs(given: Option<Prompts>) -> Result<Vec<Input>, ApiError> {
    let shapes = "give a string, a list of strings, a list of token ids, or a list of such lists";
    let inputs = given.ok_or_else(|| ApiError::missing("prompt", format!("prompt is missing: {shapes}")))?.0;
    match inputs.len() {
        0 => Err(ApiError::invalid("prompt", format!("prompt is an empty list: {shapes}"))),
        1..=MAX_PROMPTS => Ok(inputs),
        count => Err(ApiError::invalid(
            "prompt",
            format!("prompt has {count} prompts: send at most {MAX_PROMPTS} in one request"),
        )),
    }
}

fn check_best_of(best_of: Option<u32>, n: u32) -> Result<(), ApiError> {
    match best_of {
        Some(best) if best < n => {
            Err(ApiError::invalid("best_of", format!("best_of is {best}, less than n, {n}: leave it out")))
        }
        Some(best) if best > n => Err(ApiError::unsupported(
            "best_of",
            format!("best_of is {best}, more than n, {n}: this server does not choose among answers, leave it out"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
