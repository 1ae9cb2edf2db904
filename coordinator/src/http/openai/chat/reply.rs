//! A chat's answer: `chat.completion`, and `chat.completion.chunk` in a stream.

use protocol::answer::{Delta, FinishReason, Usage};
use serde::Serialize;

use crate::http::openai::error::to_json;
use crate::http::openai::logprobs::{self, ChatLogprobs};
use crate::http::openai::respond::{Choice, FINGERPRINT, Head, Shape, UsageBody};

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
    content: String,
    refusal: Option<()>,
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
        let delta = || ChunkDelta { role: Some("assistant"), content: Some(String::new()) };
        let choice = |index| ChunkChoice { index, delta: delta(), logprobs: None, finish_reason: None };
        (0..self.head.choices).map(|index| self.chunk(choice(index))).collect()
    }

    fn delta(&mut self, delta: Delta) -> String {
        let logprobs = (self.head.logprobs && !delta.logprobs.is_empty()).then(|| logprobs::chat(delta.logprobs));
        let content = ChunkDelta { role: None, content: Some(delta.text) };
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
        let choice = |(index, choice): (usize, Choice)| WholeChoice {
            index,
            message: Message { role: "assistant", content: choice.text, refusal: None },
            logprobs: self.head.logprobs.then(|| logprobs::chat(choice.tokens)),
            finish_reason: choice.reason.unwrap_or(FinishReason::Stop).as_str(),
        };
        let choices = choices.into_iter().enumerate().map(choice).collect();
        self.write("chat.completion", choices, Some(Some(usage.into())))
    }
}
