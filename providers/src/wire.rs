//! Between the cluster's words and those of three APIs.
//!
//! Rules: pure. To write is to make JSON of a request, or to refuse it with the field that the API lacks; to read is
//! to make pieces of events. What an API has beyond this is left out; what it must have and has not is garbled.

mod anthropic;
mod gemini;
mod lenient;
mod openai;
mod params;
mod reply;

use protocol::config;
use protocol::config::ProviderKind;
use protocol::request::{ChatMessage, Input, Request, Tool};
use protocol::units::Tokens;
use serde_json::Value;

use crate::call::Failure;
pub(crate) use reply::Out;

/// A request on its way to a provider.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The provider's name.
    pub(crate) provider: &'a str,
    pub(crate) config: &'a config::Provider,
    /// The model's name there.
    pub(crate) model: &'a str,
    pub(crate) request: &'a Request,
    pub(crate) max_tokens: Tokens,
    /// Random, for ids that are made up.
    pub(crate) nonce: u64,
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Written {
    /// Behind the base.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Reads what comes back.
    pub(crate) reader: Reader,
}

/// Reads what a provider sends.
#[derive(Debug)]
pub(crate) enum Reader {
    OpenAi(openai::Reader),
    Anthropic(anthropic::Reader),
    Gemini(gemini::Reader),
}

impl Ask<'_> {
    /// As JSON, or why not.
    pub(crate) fn write(&self) -> Result<Written, Failure> {
        params::check(self)?;
        match self.config.kind {
            ProviderKind::OpenAi => openai::write(self),
            ProviderKind::Anthropic => anthropic::write(self),
            ProviderKind::Gemini => gemini::write(self),
        }
    }

    fn choices(&self) -> u32 {
        self.request.params.n.unwrap_or(1)
    }

    /// The conversation, or why there is none.
    fn chat(&self) -> Result<&[ChatMessage], Failure> {
        let provider = self.provider;
        match &self.request.input {
            Input::Chat(messages) if messages.is_empty() => {
                Err(Failure::invalid("messages", "is empty: send at least one"))
            }
            Input::Chat(messages) => Ok(messages),
            Input::Text(_) => Err(Failure::invalid(
                "prompt",
                format_args!("is text, and provider {provider} takes only chats: send messages"),
            )),
            Input::Tokens(_) => Err(Failure::invalid(
                "prompt",
                format_args!("is token ids, and provider {provider} tells nobody its own: send messages"),
            )),
        }
    }
}

impl Reader {
    /// One event's data.
    pub(crate) fn event(&mut self, data: &str, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::OpenAi(reader) => reader.event(data, out),
            Self::Anthropic(reader) => reader.event(data, out),
            Self::Gemini(reader) => reader.event(data, out),
        }
    }

    /// Whether the provider has said that nothing more comes.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::OpenAi(reader) => reader.done,
            Self::Anthropic(reader) => reader.done,
            // It says so by ending the stream.
            Self::Gemini(_) => false,
        }
    }
}

/// The schema of a tool's arguments, or why it is none.
fn schema(place: usize, tool: &Tool) -> Result<Option<Value>, Failure> {
    let Some(text) = &tool.parameters else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(schema @ Value::Object(_)) => Ok(Some(schema)),
        Ok(_) => {
            Err(Failure::invalid(format!("tools[{place}].function.parameters"), "is no object: send a JSON schema"))
        }
        Err(error) => {
            Err(Failure::invalid(format!("tools[{place}].function.parameters"), format_args!("is no JSON: {error}")))
        }
    }
}

/// The arguments of a call that a model has made, as an object.
fn arguments(place: usize, text: &str) -> Result<Value, Failure> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Err(Failure::invalid(
            format!("messages[{place}].tool_calls"),
            "holds arguments that are no JSON object: send them as the model wrote them",
        )),
    }
}

fn unknown_role(place: usize, role: &str) -> Failure {
    let role = crate::errors::short(role);
    Failure::invalid(
        format!("messages[{place}].role"),
        format_args!("is '{role}': write system, user, assistant or tool"),
    )
}

/// A number as it was written: 0.7 is not 0.699999988079071.
fn plain(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// The most characters of a call's id that all take.
const MAX_ID: usize = 40;

/// A call's id that all take: as it is, or another that is the same for the same.
fn plain_id(id: &str) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=MAX_ID).contains(&id.len()) && id.chars().all(known) {
        return id.to_owned();
    }
    // FNV-1a: the ids of one conversation are few, and nobody gains by making two the same.
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("call_{hash:016x}")
}

#[cfg(test)]
mod tests;
