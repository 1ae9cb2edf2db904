//! A chat's answer: `chat.completion`, and `chat.completion.chunk` in a stream.

use protocol::answer::{CallDelta, Delta, FinishReason, Usage};
use protocol::request::ToolCall;
use serde::Serialize;

use crate::http::openai::error::to_json;
use crate::http::openai::logprobs::{self, ChatLogprobs};
use crate::http::openai::respond::{Choice, FINGERPRINT, Head, Shape, UsageBody};

/// The only kind of tool.
const FUNCTION: &str = "function";

/// Writes chats.
pub(super) struct Chat {
    head: Head,
    id: String,
}

#[derive(Serialize)]
struct Body<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: Vec<C>,
    /// Left out of chunks, null, or the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageBody>>,
}

#[derive(Serialize)]
struct WholeChoice {
    index: usize,
    message: Message,
    logprobs: Option<ChatLogprobs>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    /// Null beside calls, where there is no text.
    content: Option<String>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

#[derive(Serialize)]
struct Call {
    id: String,
    r#type: &'static str,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    name: String,
    arguments: String,
}

/// A piece of a call. The first has its id, type and name.
#[derive(Serialize)]
struct CallPiece {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionPiece,
}

#[derive(Serialize)]
struct FunctionPiece {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

#[derive(Serialize)]
struct ChunkChoice {
    index: u32,
    delta: ChunkDelta,
    logprobs: Option<ChatLogprobs>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct ChunkDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallPiece>,
}

impl From<ToolCall> for Call {
    fn from(call: ToolCall) -> Self {
        Self { id: call.id, r#type: FUNCTION, function: Function { name: call.name, arguments: call.arguments } }
    }
}

impl From<CallDelta> for CallPiece {
    fn from(piece: CallDelta) -> Self {
        let r#type = piece.id.is_some().then_some(FUNCTION);
        let function = FunctionPiece { name: piece.name, arguments: piece.arguments };
        Self { index: piece.index, id: piece.id, r#type, function }
    }
}

impl Message {
    fn new(choice: Choice) -> Self {
        let tool_calls: Vec<Call> = choice.calls.into_values().map(Call::from).collect();
        let content = (tool_calls.is_empty() || !choice.text.is_empty()).then_some(choice.text);
        Self { role: "assistant", content, refusal: None, tool_calls }
    }
}

impl Chat {
    fn write<C: Serialize>(&self, object: &'static str, choices: Vec<C>, usage: Option<Option<UsageBody>>) -> String {
        to_json(&Body {
            id: &self.id,
            object,
            created: self.head.created,
            model: &self.head.model,
            system_fingerprint: FINGERPRINT,
            choices,
            usage,
        })
    }

    fn chunk(&self, choice: ChunkChoice) -> String {
        self.write("chat.completion.chunk", vec![choice], self.head.include_usage.then_some(None))
    }
}

impl Shape for Chat {
    const PROMPT: &'static str = "messages";

    fn new(head: Head) -> Self {
        Self { id: format!("chatcmpl-{}", head.request), head }
    }

    fn opening(&mut self) -> Vec<String> {
        let delta = || ChunkDelta { role: Some("assistant"), content: Some(String::new()), tool_calls: Vec::new() };
        let choice = |index| ChunkChoice { index, delta: delta(), logprobs: None, finish_reason: None };
        (0..self.head.choices).map(|index| self.chunk(choice(index))).collect()
    }

    fn delta(&mut self, delta: Delta) -> String {
        let logprobs = (self.head.logprobs && !delta.logprobs.is_empty()).then(|| logprobs::chat(delta.logprobs));
        let tool_calls: Vec<CallPiece> = delta.calls.into_iter().map(CallPiece::from).collect();
        let content = (tool_calls.is_empty() || !delta.text.is_empty()).then_some(delta.text);
        let content = ChunkDelta { role: None, content, tool_calls };
        self.chunk(ChunkChoice { index: delta.choice, delta: content, logprobs, finish_reason: None })
    }

    fn finished(&mut self, choice: u32, reason: FinishReason) -> String {
        let finish_reason = Some(reason.as_str());
        self.chunk(ChunkChoice { index: choice, delta: ChunkDelta::default(), logprobs: None, finish_reason })
    }

    fn usage(&mut self, usage: Usage) -> String {
        self.write("chat.completion.chunk", Vec::<ChunkChoice>::new(), Some(Some(usage.into())))
    }

    fn whole(self, choices: Vec<Choice>, usage: Usage) -> String {
        let choice = |(index, mut choice): (usize, Choice)| WholeChoice {
            index,
            logprobs: self.head.logprobs.then(|| logprobs::chat(std::mem::take(&mut choice.tokens))),
            finish_reason: choice.reason.unwrap_or(FinishReason::Stop).as_str(),
            message: Message::new(choice),
        };
        let choices = choices.into_iter().enumerate().map(choice).collect();
        self.write("chat.completion", choices, Some(Some(usage.into())))
    }
}
