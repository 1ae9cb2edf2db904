//! A completion's answer: `text_completion`, whole and in a stream.

use protocol::answer::{Delta, FinishReason, Usage};
use serde::Serialize;

use crate::http::openai::error::to_json;
use crate::http::openai::logprobs::{self, CompletionLogprobs};
use crate::http::openai::respond::{Choice, FINGERPRINT, Head, Shape, UsageBody};

/// Writes completions.
pub(super) struct Completion {
    head: Head,
    id: String,
    /// Characters of each choice that are written.
    offsets: Vec<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: Vec<BodyChoice>,
    /// Left out of chunks, null, or the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageBody>>,
}

#[derive(Serialize)]
struct BodyChoice {
    index: u32,
    text: String,
    logprobs: Option<CompletionLogprobs>,
    finish_reason: Option<&'static str>,
}

impl Completion {
    fn write(&self, choices: Vec<BodyChoice>, usage: Option<Option<UsageBody>>) -> String {
        to_json(&Body {
            id: &self.id,
            object: "text_completion",
            created: self.head.created,
            model: &self.head.model,
            system_fingerprint: FINGERPRINT,
            choices,
            usage,
        })
    }

    fn chunk(&self, choice: BodyChoice) -> String {
        self.write(vec![choice], self.head.include_usage.then_some(None))
    }
}

impl Shape for Completion {
    const PROMPT: &'static str = "prompt";

    fn new(head: Head) -> Self {
        Self { id: format!("cmpl-{}", head.request), offsets: (0..head.choices).map(|_| 0).collect(), head }
    }

    fn opening(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn delta(&mut self, delta: Delta) -> String {
        let offset = usize::try_from(delta.choice).ok().and_then(|choice| self.offsets.get_mut(choice));
        let logprobs = offset
            .filter(|_| self.head.logprobs && !delta.logprobs.is_empty())
            .map(|offset| logprobs::completion(delta.logprobs, offset));
        self.chunk(BodyChoice { index: delta.choice, text: delta.text, logprobs, finish_reason: None })
    }

    fn finished(&mut self, choice: u32, reason: FinishReason) -> String {
        let finish_reason = Some(reason.as_str());
        self.chunk(BodyChoice { index: choice, text: String::new(), logprobs: None, finish_reason })
    }

    fn usage(&mut self, usage: Usage) -> String {
        self.write(Vec::new(), Some(Some(usage.into())))
    }

    fn whole(self, choices: Vec<Choice>, usage: Usage) -> String {
        let choices = (0..).zip(choices).map(|(index, choice)| BodyChoice {
            index,
            text: choice.text,
            logprobs: self.head.logprobs.then(|| logprobs::completion(choice.tokens, &mut 0)),
            finish_reason: Some(choice.reason.unwrap_or(FinishReason::Stop).as_str()),
        });
        self.write(choices.collect(), Some(Some(usage.into())))
    }
}
