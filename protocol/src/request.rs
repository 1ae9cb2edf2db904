//! What a client asks for, the same over HTTP and over QUIC.
//!
//! Rules: fields carry OpenAI's names; what is left out is `None`, so that the coordinator alone
//! decides defaults. [`Params::faults`] checks every range at once; what depends on a model (context,
//! vocabulary) is checked where the model is known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::TokenId;
use crate::job::Class;

/// A request for `n` answers to one prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The model's name in the cluster.
    pub model: String,
    /// What to answer.
    pub input: Input,
    /// How to answer.
    pub params: Params,
    /// How to treat it.
    pub care: Care,
    /// What the model may call; nothing, for most requests.
    pub tools: Tools,
}

/// Functions that a model may call. Only models of providers have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// Which.
    pub list: Vec<Tool>,
    /// Which of them must or may be called; the model decides if left out.
    pub choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    pub parallel: Option<bool>,
}

/// A function that a model may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of its arguments, as JSON text.
    pub parameters: Option<String>,
    /// Whether arguments must follow the schema to the letter.
    pub strict: Option<bool>,
}

/// Which function must or may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolChoice {
    /// None.
    None,
    /// Any or none.
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// A call that a model has made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// By which its result refers to it.
    pub id: String,
    /// The function.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// How a request is treated on its way, whatever it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Care {
    /// Names a conversation: its requests go to one node, as far as that is wise.
    pub session: Option<String>,
    /// How urgent it is; the key's own class if left out, and never above it.
    pub class: Option<Class>,
    /// Rungs of the degradation ladder that must not touch it, 1 to 5.
    pub forbid: Vec<u8>,
    /// Answer it afresh, and keep the answer out of the cache.
    pub fresh: bool,
    /// It was refused before, and comes when it was told to.
    pub again: bool,
    /// The client reads the answer as one, not token by token.
    pub whole: bool,
    /// Labels for budgets and reports, beside those of the key.
    pub tags: Vec<String>,
    /// The same key means the same request: its answer is not billed again.
    pub idempotency: Option<String>,
    /// When the answer should be complete: where the cluster chooses the model, one that is expected to be later
    /// comes last.
    pub deadline: Option<Duration>,
}

/// The most bytes of a session's name.
pub const MAX_SESSION_BYTES: usize = 256;
/// The most labels of a request.
pub const MAX_TAGS: usize = 16;
/// The most bytes of a label, and of an idempotency key.
pub const MAX_TAG_BYTES: usize = 128;
/// The most functions.
pub const MAX_TOOLS: usize = 128;

/// The prompt, in one of three shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A conversation, rendered by the model's chat template.
    Chat(Vec<ChatMessage>),
    /// Plain text to go on with.
    Text(String),
    /// Token ids, as they are.
    Tokens(Vec<TokenId>),
}

impl Default for Input {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant`, or what the model's template knows.
    pub role: String,
    /// The text.
    pub content: String,
    /// Who speaks, where the template cares.
    pub name: Option<String>,
    /// What an assistant has called.
    pub tool_calls: Vec<ToolCall>,
    /// Whose result a `tool` message is: the call's id.
    pub tool_call: Option<String>,
}

impl ChatMessage {
    /// A turn without a name.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), ..Self::default() }
    }
}

/// How to answer. Defaults stand at the fields; they are OpenAI's where OpenAI has the field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// How many answers; 1.
    pub n: Option<u32>,
    /// The longest answer in tokens; as long as the context allows for a chat, 16 for a completion.
    pub max_tokens: Option<u32>,
    /// Tokens before which no stop ends the answer; 0.
    pub min_tokens: Option<u32>,
    /// 0 for greedy; 1.
    pub temperature: Option<f32>,
    /// Keep the most probable tokens up to this sum; 1.
    pub top_p: Option<f32>,
    /// Keep so many tokens, 0 for all; 0.
    pub top_k: Option<u32>,
    /// Keep tokens at least this share as probable as the best; 0.
    pub min_p: Option<f32>,
    /// Divides (multiplies, if negative) the logits of tokens seen in prompt or answer; 1.
    pub repetition_penalty: Option<f32>,
    /// Taken from the logits of tokens in the answer; 0.
    pub presence_penalty: Option<f32>,
    /// Taken once per occurrence in the answer; 0.
    pub frequency_penalty: Option<f32>,
    /// Added to logits.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Tokens that end the answer, beside the model's own.
    pub stop_token_ids: Vec<TokenId>,
    /// Do not stop at the model's end tokens.
    pub ignore_eos: bool,
    /// The same seed gives the same answer.
    pub seed: Option<u64>,
    /// Log-probabilities of the chosen token and of so many alternatives.
    pub logprobs: Option<u8>,
}

/// The most answers one request may ask for.
pub const MAX_CHOICES: u32 = 16;
/// The most stop texts; OpenAI allows 4.
pub const MAX_STOPS: usize = 16;
/// The most bytes of one stop text.
pub const MAX_STOP_BYTES: usize = 1024;
/// The most alternatives with log-probabilities; OpenAI allows 20.
pub const MAX_LOGPROBS: u8 = 20;
/// The most biased tokens.
pub const MAX_BIASES: usize = 1024;

/// A parameter out of its range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Fault {
    /// The field, by OpenAI's name.
    pub field: String,
    /// The value and the range it must lie in.
    pub problem: String,
}

impl Params {
    /// Everything that is wrong with these parameters, whatever the model.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, problem: String| faults.push(Fault { field: field.to_owned(), problem });
        let mut range = |field: &str, value: Option<f32>, low: f32, high: f32| {
            if let Some(value) = value
                && !(low..=high).contains(&value)
            {
                fault(field, format!("is {value}: choose a number from {low} to {high}"));
            }
        };
        range("temperature", self.temperature, 0.0, 2.0);
        range("min_p", self.min_p, 0.0, 1.0);
        range("presence_penalty", self.presence_penalty, -2.0, 2.0);
        range("frequency_penalty", self.frequency_penalty, -2.0, 2.0);
        range("repetition_penalty", self.repetition_penalty, 0.01, 10.0);
        for (token, bias) in &self.logit_bias {
            range(&format!("logit_bias.{token}"), Some(*bias), -100.0, 100.0);
        }
        if let Some(p) = self.top_p
            && !(p > 0.0 && p <= 1.0)
        {
            fault("top_p", format!("is {p}: choose a number above 0 and up to 1"));
        }
        if let Some(n) = self.n
            && !(1..=MAX_CHOICES).contains(&n)
        {
            fault("n", format!("is {n}: choose a number from 1 to {MAX_CHOICES}"));
        }
        if self.max_tokens == Some(0) {
            fault("max_tokens", "is 0: choose at least 1, or leave it out".to_owned());
        }
        if let (Some(min), Some(max)) = (self.min_tokens, self.max_tokens)
            && min > max
        {
            fault("min_tokens", format!("is {min}, more than max_tokens, {max}: lower it"));
        }
        if let Some(logprobs) = self.logprobs
            && logprobs > MAX_LOGPROBS
        {
            fault("top_logprobs", format!("is {logprobs}: choose at most {MAX_LOGPROBS}"));
        }
        if self.logit_bias.len() > MAX_BIASES {
            fault("logit_bias", format!("names {} tokens: name at most {MAX_BIASES}", self.logit_bias.len()));
        }
        if self.stop.len() > MAX_STOPS {
            fault("stop", format!("has {} texts: give at most {MAX_STOPS}", self.stop.len()));
        }
        for (i, stop) in self.stop.iter().enumerate() {
            if stop.is_empty() {
                fault(&format!("stop[{i}]"), "is empty: give at least one character".to_owned());
            } else if stop.len() > MAX_STOP_BYTES {
                fault(&format!("stop[{i}]"), format!("has {} bytes: give at most {MAX_STOP_BYTES}", stop.len()));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests;
