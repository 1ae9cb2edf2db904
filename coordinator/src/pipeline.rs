//! From a request to a task: defaults, words, and all that depends on the model.
//!
//! Rules: everything wrong with a request is found before a node is asked, and named by its field. The
//! prompt is tokenised once, whatever the number of answers and attempts.

use std::sync::Arc;

use actors::cluster::job::Task;
use protocol::answer::{ErrorKind, JobError};
use protocol::engine::{BlockHash, Card};
use protocol::ids::{RequestId, TokenId};
use protocol::job::{Limits, Sampling};
use protocol::request::{ChatMessage, Input, Params, Request, ToolChoice};
use protocol::units::Tokens;
use text::{Special, Text};
use tokio::time::Instant;

use crate::service::Caller;

mod bend;
mod question;

pub use bend::{Bend, ONE_CHOICE};
pub use question::question;

/// OpenAI's default for completions; a chat may fill the context.
const COMPLETION_TOKENS: u64 = 16;

/// What the caller's side adds to a request.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The request's id.
    pub request: RequestId,
    /// Who asks.
    pub caller: Caller,
    /// For placement, and for the seed if none was given.
    pub random: u64,
    /// When it came.
    pub arrived: Instant,
}

/// Checks what needs no model.
///
/// # Errors
/// The first fault, by field.
pub fn check(request: &Request) -> Result<(), JobError> {
    if request.model.is_empty() {
        return Err(JobError::new(ErrorKind::Invalid, "model is missing: name one of those that GET /v1/models lists")
            .field("model"));
    }
    match request.params.faults().into_iter().next() {
        Some(fault) => Err(JobError::new(ErrorKind::Invalid, fault.to_string()).field(fault.field)),
        None => Ok(()),
    }
}

/// Whether a request can only be answered by a model that calls functions.
pub fn needs_tools(request: &Request) -> bool {
    let offered = !request.tools.list.is_empty() && request.tools.choice != Some(ToolChoice::None);
    offered || has_tool_turns(&request.input)
}

fn has_tool_turns(input: &Input) -> bool {
    let is_turn = |turn: &ChatMessage| !turn.tool_calls.is_empty() || turn.tool_call.is_some() || turn.role == "tool";
    matches!(input, Input::Chat(turns) if turns.iter().any(is_turn))
}

/// The error for a request that [`needs_tools`], and a model that has none.
pub fn no_tools(model: &str) -> JobError {
    let message = format!(
        "the model '{model}' runs on a node of the cluster's own and cannot call functions: \
         leave tools and messages about calls out, or name a provider's model"
    );
    JobError::new(ErrorKind::Invalid, message).field("tools")
}

/// The error for a model that no node has loaded, but that some could load.
pub fn not_loaded(model: &str) -> JobError {
    let message = format!("the model '{model}' is not loaded on any node; `troupe model load {model}` loads it");
    JobError::new(ErrorKind::NoNode, message).field("model")
}

/// The error for a model that no node has served.
pub fn unknown_model(model: &str, known: &[Card]) -> JobError {
    let names: Vec<&str> = known.iter().map(|card| card.model.as_str()).collect();
    let there =
        if names.is_empty() { "no node has joined yet".to_owned() } else { format!("there are: {}", names.join(", ")) };
    JobError::new(ErrorKind::UnknownModel, format!("the model '{model}' does not exist; {there}")).field("model")
}

/// The error for a prompt that leaves no room for an answer.
pub fn no_room(card: &Card, length: Tokens, field: &str) -> JobError {
    let limit = card.context;
    let message =
        format!("the prompt has {length}, the model's context holds {limit} for prompt and answer: shorten {field}");
    JobError::new(ErrorKind::ContextLength, message).field(field)
}

/// Makes a task of a request that was checked, bent as far as `bend` says. Tokenising a long prompt takes milliseconds: not for a
/// runtime's thread.
///
/// # Errors
/// What does not fit the model, by field.
pub fn prepare(request: Request, origin: Origin, card: &Card, text: Arc<Text>, bend: &Bend) -> Result<Task, JobError> {
    if needs_tools(&request) {
        return Err(no_tools(&card.model));
    }
    let chat = matches!(request.input, Input::Chat(_));
    let mut degraded = Vec::new();
    let (mut params, care) = (request.params, request.care);
    bend.extras(&mut params, &mut degraded);
    let prompt = tokenise(request.input, card, &text, bend, &mut degraded)?;
    let room = card.context.checked_sub(Tokens::of(prompt.len())).filter(|room| *room > Tokens::ZERO);
    let Some(room) = room else {
        let field = if chat { "messages" } else { "prompt" };
        return Err(no_room(card, Tokens::of(prompt.len()), field));
    };
    let max_tokens = bend.cap(max_tokens(&params, chat, room, card)?, &mut degraded);
    let mut stop_ids = if params.ignore_eos { Vec::new() } else { text.eos().to_vec() };
    stop_ids.extend(known_tokens("stop_token_ids", params.stop_token_ids.iter(), card)?);
    known_tokens("logit_bias", params.logit_bias.iter().map(|(token, _)| token), card)?;
    let chain = BlockHash::chain(origin.caller.salt, &prompt, card.block.as_usize()).collect();
    Ok(Task {
        request: origin.request,
        model: card.model.clone(),
        words: card.text,
        text,
        choices: params.n.unwrap_or(1),
        limits: Limits {
            max_tokens,
            min_tokens: Tokens(params.min_tokens.unwrap_or(0).into()).min(max_tokens),
            stop_ids,
        },
        sampling: Sampling {
            temperature: params.temperature.unwrap_or(1.0),
            top_k: params.top_k.unwrap_or(0),
            top_p: params.top_p.unwrap_or(1.0),
            min_p: params.min_p.unwrap_or(0.0),
            repetition_penalty: params.repetition_penalty.unwrap_or(1.0),
            presence_penalty: params.presence_penalty.unwrap_or(0.0),
            frequency_penalty: params.frequency_penalty.unwrap_or(0.0),
            logit_bias: params.logit_bias,
            seed: params.seed.unwrap_or(origin.random),
            logprobs: params.logprobs,
        },
        // A stop text is looked for here: until it is found, each token may be the last.
        whole: care.whole && params.stop.is_empty(),
        stops: params.stop,
        chain,
        prompt,
        block: card.block,
        class: care.class.unwrap_or_default(),
        session: care.session.map(|session| session_key(&origin.caller, &session)),
        degraded,
        arrived: origin.arrived,
        again: care.again,
        turn: None,
        salt: origin.caller.salt,
        tenant: origin.caller.key,
        random: origin.random,
        route: None,
        bill: None,
        going: None,
    })
}

/// Conversations of different tenants never meet.
fn session_key(caller: &Caller, session: &str) -> u64 {
    let hash = blake3::Hasher::new().update(&caller.salt).update(session.as_bytes()).finalize();
    let (first, _) = hash.as_bytes().split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}

fn tokenise(
    input: Input,
    card: &Card,
    text: &Text,
    bend: &Bend,
    degraded: &mut Vec<String>,
) -> Result<Vec<TokenId>, JobError> {
    let (field, tokens) = match input {
        Input::Chat(messages) => ("messages", bend.shorten(&messages, text, degraded)),
        Input::Text(prompt) => ("prompt", text.encode(&prompt, Special::Parse)),
        Input::Tokens(tokens) => ("prompt", Ok(known_tokens("prompt", tokens.iter(), card)?)),
    };
    let tokens = tokens.map_err(|error| JobError::new(ErrorKind::Invalid, format!("{field}: {error}")).field(field))?;
    if tokens.is_empty() {
        return Err(
            JobError::new(ErrorKind::Invalid, format!("{field} is empty: give at least one token")).field(field)
        );
    }
    Ok(tokens)
}

fn max_tokens(params: &Params, chat: bool, room: Tokens, card: &Card) -> Result<Tokens, JobError> {
    match params.max_tokens.map(|most| Tokens(most.into())) {
        None if chat => Ok(room),
        None => Ok(room.min(Tokens(COMPLETION_TOKENS))),
        Some(most) if most <= room => Ok(most),
        Some(most) => {
            let message = format!(
                "max_tokens is {most}, but the prompt leaves {room} of the model's context of {}: lower max_tokens or shorten the prompt",
                card.context
            );
            Err(JobError::new(ErrorKind::ContextLength, message).field("max_tokens"))
        }
    }
}

fn known_tokens<'a>(
    field: &str,
    tokens: impl Iterator<Item = &'a TokenId>,
    card: &Card,
) -> Result<Vec<TokenId>, JobError> {
    let check = |token: &TokenId| {
        if token.0 < card.vocabulary {
            return Ok(*token);
        }
        let message =
            format!("{field} names token {token}, but the vocabulary ends at {}", card.vocabulary.saturating_sub(1));
        Err(JobError::new(ErrorKind::Invalid, message).field(field))
    };
    tokens.map(check).collect()
}

#[cfg(test)]
mod tests;
