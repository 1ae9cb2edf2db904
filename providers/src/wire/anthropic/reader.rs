//! Events of a message.

use std::collections::BTreeMap;

use policy::upstream::usage::ProviderUsage;
use protocol::answer::{CallDelta, FinishReason};
use protocol::units::Tokens;
use serde_json::Value;

use crate::call::Failure;
use crate::wire::Out;
use crate::wire::lenient::{garbled, index, object, text, tokens};

#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) done: bool,
    /// Blocks that are calls, and whether arguments of them have come.
    calls: BTreeMap<u32, bool>,
    /// Blanks that were taken off the end of the prompt: the answer repeats them.
    repeated: String,
}

impl Reader {
    pub(super) fn new(repeated: String) -> Self {
        Self { repeated, ..Self::default() }
    }

    pub(crate) fn event(&mut self, data: &str, out: &mut Out) -> Result<(), Failure> {
        let event = object(data)?;
        let block = index(&event, "index").unwrap_or_default();
        match text(&event, "type") {
            Some("message_start") => {
                // Its `output_tokens` is one or two before anything has come: not counted yet.
                let told = event.pointer("/message/usage").unwrap_or(&Value::Null);
                out.usage = prompt(told).map(|usage| ProviderUsage { completion: Tokens::ZERO, ..usage });
            }
            Some("content_block_start") => {
                let start = event.get("content_block").unwrap_or(&Value::Null);
                match text(start, "type") {
                    Some("tool_use") => self.call(block, start, out)?,
                    _ => self.text(text(start, "text").unwrap_or_default(), out)?,
                }
            }
            Some("content_block_delta") => {
                let delta = event.get("delta").unwrap_or(&Value::Null);
                match text(delta, "type") {
                    Some("text_delta") => self.text(text(delta, "text").unwrap_or_default(), out)?,
                    Some("input_json_delta") => {
                        let arguments = text(delta, "partial_json").unwrap_or_default();
                        self.arguments(block, arguments, out)?;
                    }
                    Some("thinking_delta") => out.hidden(text(delta, "thinking").unwrap_or_default()),
                    _ => {}
                }
            }
            // A call without arguments has come without a piece of them.
            Some("content_block_stop") if self.calls.get(&block) == Some(&false) => self.arguments(block, "{}", out)?,
            Some("message_delta") => {
                let told = event.get("usage").unwrap_or(&Value::Null);
                self.count(told, out);
                if let Some(reason) = event.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    out.finish(0, finish(reason))?;
                }
            }
            Some("message_stop") => self.done = true,
            // A message as a whole comes from nobody who streams.
            Some("message") => return Err(garbled("it sent a whole message instead of a stream", data)),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, mut words: &str, out: &mut Out) -> Result<(), Failure> {
        while let (Some(expected), false) = (self.repeated.chars().next(), words.is_empty()) {
            match words.strip_prefix(expected) {
                Some(rest) => {
                    words = rest;
                    self.repeated.remove(0);
                }
                None => self.repeated.clear(),
            }
        }
        out.text(0, words, vec![])
    }

    fn call(&mut self, block: u32, start: &Value, out: &mut Out) -> Result<(), Failure> {
        self.calls.insert(block, false);
        let (id, name) = (text(start, "id").map(str::to_owned), text(start, "name").map(str::to_owned));
        out.call(0, block, CallDelta { index: 0, id, name, arguments: String::new() })?;
        // Mostly empty, but some who speak this API send all of it here.
        match start.get("input").filter(|input| input.as_object().is_some_and(|input| !input.is_empty())) {
            Some(input) => self.arguments(block, &input.to_string(), out),
            None => Ok(()),
        }
    }

    fn arguments(&mut self, block: u32, arguments: &str, out: &mut Out) -> Result<(), Failure> {
        if arguments.is_empty() {
            return Ok(());
        }
        if let Some(any) = self.calls.get_mut(&block) {
            *any = true;
        }
        out.call(0, block, CallDelta { arguments: arguments.to_owned(), ..CallDelta::default() })
    }

    /// The last count is of the whole message; of the prompt, it may leave out what was said at the start.
    fn count(&self, told: &Value, out: &mut Out) {
        let Some(completion) = tokens(told, "/output_tokens") else { return };
        let before = out.usage.unwrap_or_default();
        let known = prompt(told).filter(|usage| usage.prompt > Tokens::ZERO).unwrap_or(before);
        out.usage = Some(ProviderUsage { completion, ..known });
    }
}

/// What is cached is not in `input_tokens`: all three together are the prompt.
fn prompt(told: &Value) -> Option<ProviderUsage> {
    let fresh = tokens(told, "/input_tokens")?;
    let cached = tokens(told, "/cache_read_input_tokens").unwrap_or_default();
    let written = tokens(told, "/cache_creation_input_tokens").unwrap_or_default();
    Some(ProviderUsage { prompt: fresh + cached + written, cached, ..ProviderUsage::default() })
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}
