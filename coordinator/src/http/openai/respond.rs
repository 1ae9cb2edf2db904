//! From a checked request to its response, whole or streamed, whatever the shape.
//!
//! The head waits for the first piece, so that a request which no node takes gets its status and
//! every other one the headers `x-request-id`, `x-troupe-node` and `x-troupe-cached-tokens`. What an answer costs is
//! known at its end: a whole one has it in `x-troupe-cost` too, a stream in the chunk with its usage alone.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use protocol::answer::{Answer, CallDelta, Delta, ErrorKind, FinishReason, JobError, Route, Started, TokenText, Usage};
use protocol::ids::RequestId;
use protocol::money::Money;
use protocol::request::{Request, ToolCall};
use protocol::units::Nanos;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answers::Answers;
use super::error::ApiError;
use super::params::Delivery;
use super::sse;
use crate::http::Door;
use crate::service::Caller;

/// Says which build computed an answer.
pub(crate) const FINGERPRINT: &str = concat!("troupe-", env!("CARGO_PKG_VERSION"));

/// What to ask, and how to send what comes back.
pub(crate) struct Plan {
    /// One request per prompt.
    pub(crate) requests: Vec<Request>,
    /// Answers to each.
    pub(crate) each: u32,
    /// Whole or streamed.
    pub(crate) delivery: Delivery,
}

/// What every response and chunk says about the request.
pub(crate) struct Head {
    pub(crate) request: RequestId,
    pub(crate) created: u64,
    pub(crate) model: String,
    /// Whether log-probabilities were asked for.
    pub(crate) logprobs: bool,
    /// Whether every chunk has a place for the usage.
    pub(crate) include_usage: bool,
    /// How many choices there are.
    pub(crate) choices: u32,
}

/// A complete choice.
#[derive(Default)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) tokens: Vec<TokenText>,
    pub(crate) reason: Option<FinishReason>,
    /// By their place.
    pub(crate) calls: BTreeMap<u32, ToolCall>,
}

impl Choice {
    /// Takes a piece of a call.
    fn call(&mut self, piece: CallDelta) {
        let call = self.calls.entry(piece.index).or_default();
        call.id.push_str(&piece.id.unwrap_or_default());
        call.name.push_str(&piece.name.unwrap_or_default());
        call.arguments.push_str(&piece.arguments);
    }
}

/// How one of OpenAI's two kinds of answer is written, as JSON texts.
pub(crate) trait Shape: Send + 'static {
    /// The field that holds the prompt.
    const PROMPT: &'static str;

    /// For one response.
    fn new(head: Head) -> Self;
    /// Chunks before any text.
    fn opening(&mut self) -> Vec<String>;
    /// The chunk of a piece of text.
    fn delta(&mut self, delta: Delta) -> String;
    /// The last chunk of a choice.
    fn finished(&mut self, choice: u32, reason: FinishReason) -> String;
    /// The chunk that counts the tokens.
    fn usage(&mut self, usage: Usage) -> String;
    /// The whole response.
    fn whole(self, choices: Vec<Choice>, usage: Usage) -> String;
}

/// Tokens in OpenAI's shape.
#[derive(Serialize)]
pub(crate) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    /// In the cluster's currency, to the nano: a number, as others write it.
    cost: Box<RawValue>,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt.0,
            completion_tokens: usage.completion.0,
            total_tokens: (usage.prompt + usage.completion).0,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached.0 },
            cost: number(usage.cost),
        }
    }
}

/// An amount as a JSON number, written from the integer: a float would lose nanos of large amounts.
fn number(amount: Nanos) -> Box<RawValue> {
    let text = Money(amount).to_string();
    let short = text.trim_end_matches('0').trim_end_matches('.').to_owned();
    // It is a number, so this cannot fail; if it did, null would be seen, never a wrong amount.
    RawValue::from_string(short).unwrap_or_default()
}

/// Asks and answers.
///
/// # Errors
/// Whatever fails before the response begins; for a whole answer, whatever fails.
pub(crate) async fn respond<S: Shape>(door: &Door, caller: &Caller, mut plan: Plan) -> Result<Response, ApiError> {
    for request in &mut plan.requests {
        request.care.whole = plan.delivery == Delivery::Whole;
    }
    let fail = |error| ApiError::from_job(error, S::PROMPT);
    let logprobs = plan.requests.first().is_some_and(|request| request.params.logprobs.is_some());
    let cached = plan.requests.first().is_some_and(is_cached);
    let level = plan.requests.first().map_or(0, |request| door.service.level(&request.model));
    let mut answers = Answers::ask(&*door.service, caller, plan.requests, plan.each).map_err(fail)?;
    let cut = door.options.cut.clone();
    let started = tokio::select! {
        started = begin(door, &mut answers) => started.map_err(fail)?,
        () = cut.cancelled() => return Err(ApiError::closing()),
    };
    let shape = S::new(Head {
        request: started.request,
        created: door.created(),
        model: started.model.clone(),
        logprobs,
        include_usage: plan.delivery == Delivery::Stream { include_usage: true },
        choices: answers.choices(),
    });
    let mut response = match plan.delivery {
        Delivery::Stream { include_usage } => {
            sse::response(answers, shape, sse::Pace { include_usage, keep_alive: door.options.keep_alive, cut })
        }
        Delivery::Whole => tokio::select! {
            whole = collect(answers, shape) => match whole {
                Ok((json, usage)) => {
                    let cost = Money(usage.cost).to_string();
                    ([(CONTENT_TYPE.as_str(), "application/json"), ("x-troupe-cost", &cost)], json).into_response()
                }
                Err(error) => fail(error).into_response(),
            },
            () = cut.cancelled() => ApiError::closing().into_response(),
        },
    };
    name(&mut response, &started, level, cached);
    Ok(response)
}

/// Whether the answer may come from the answer cache.
fn is_cached(request: &Request) -> bool {
    let params = &request.params;
    !request.care.fresh && (params.temperature.is_some_and(|value| value <= 0.0) || params.seed.is_some())
}

/// The first piece, which a node must give in time.
async fn begin(door: &Door, answers: &mut Answers) -> Result<Started, JobError> {
    let limit = door.options.first_piece;
    match tokio::time::timeout(limit.0, answers.next()).await {
        Ok(Some(Answer::Started(started))) => Ok(started),
        Ok(Some(Answer::Failed(error))) => Err(error),
        Ok(_) => Err(JobError::new(ErrorKind::Internal, "the answer has no beginning")),
        Err(_) => Err(JobError::new(ErrorKind::Timeout, format!("no node took the request within {limit}: try again"))),
    }
}

/// Everything in one text.
async fn collect<S: Shape>(mut answers: Answers, shape: S) -> Result<(String, Usage), JobError> {
    let mut choices: Vec<Choice> = (0..answers.choices()).map(|_| Choice::default()).collect();
    let place = |choice: u32| usize::try_from(choice).unwrap_or(usize::MAX);
    while let Some(piece) = answers.next().await {
        match piece {
            Answer::Started(_) => {}
            Answer::Delta(delta) => {
                if let Some(choice) = choices.get_mut(place(delta.choice)) {
                    choice.text.push_str(&delta.text);
                    choice.tokens.extend(delta.logprobs);
                    delta.calls.into_iter().for_each(|piece| choice.call(piece));
                }
            }
            Answer::Finished { choice, reason } => {
                if let Some(choice) = choices.get_mut(place(choice)) {
                    choice.reason = Some(reason);
                }
            }
            Answer::Done { usage } => {
                // Those that overload has left out have no end.
                choices.retain(|choice| choice.reason.is_some());
                return Ok((shape.whole(choices, usage), usage));
            }
            Answer::Failed(error) => return Err(error),
        }
    }
    Err(JobError::new(ErrorKind::Internal, "the answer has no end"))
}

fn name(response: &mut Response, started: &Started, level: u8, cached: bool) {
    let mut set = |name: &'static str, value: String| {
        // A node's name need not fit a header; the answer matters more.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    set("x-request-id", started.request.to_string());
    set("x-troupe-node", started.node.clone());
    set("x-troupe-cached-tokens", started.cached.0.to_string());
    set("x-troupe-predicted-tokens", started.predicted.0.to_string());
    set("x-troupe-granted-tokens", started.granted.0.to_string());
    set("x-troupe-level", level.to_string());
    if cached {
        set("x-troupe-answer-cache", if started.replayed { "hit" } else { "miss" }.to_owned());
    }
    if !started.degraded.is_empty() {
        set("x-troupe-degraded", started.degraded.join(","));
    }
    set("x-troupe-model", started.model.clone());
    if let Some(provider) = &started.provider {
        set("x-troupe-provider", provider.clone());
    }
    if let Some(route) = &started.route {
        set("x-troupe-route", why(route));
    }
}

/// Why a model was chosen, as `small; score=0.321; because=sticky,budget`.
fn why(route: &Route) -> String {
    let score = route.score.min(1000);
    let mut text = format!("{}; score={}.{:03}", route.tier, score / 1000, score % 1000);
    if !route.because.is_empty() {
        text.push_str("; because=");
        text.push_str(&route.because.join(","));
    }
    text
}

#[cfg(test)]
mod tests;
