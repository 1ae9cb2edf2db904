//! Steps of a script in the words of each API.

use std::collections::VecDeque;

use protocol::answer::FinishReason;
use protocol::config::ProviderKind;
use protocol::units::Tokens;
use serde_json::{Value, json};

use super::Step;
use super::reply::{Beat, Reply, Say};

/// The bytes of a request that count as a token.
const BYTES_PER_TOKEN: usize = 4;

/// One answer on its way.
#[derive(Debug)]
pub(super) struct Render {
    kind: ProviderKind,
    beats: VecDeque<Beat>,
    steps: VecDeque<Step>,
    say: Say,
    choices: u64,
    /// Tokens that are allowed to each choice.
    most: u64,
    /// Tokens of each choice so far.
    written: u64,
    thought: u64,
    prompt: u64,
    /// Whether usage was asked for, where it must be.
    counts: bool,
    /// Plain text goes on, no conversation.
    plain: bool,
    started: bool,
    finished: bool,
    /// Blocks or calls so far.
    blocks: u64,
    /// A block of text is open.
    open: bool,
}

impl Render {
    pub(super) fn new(kind: ProviderKind, body: &Value, reply: &Reply) -> Self {
        let number = |path: &str| body.pointer(path).and_then(Value::as_u64);
        let most = ["/max_tokens", "/max_completion_tokens", "/generationConfig/maxOutputTokens"];
        let most = most.into_iter().find_map(number).filter(|_| !reply.boundless);
        let words = ["messages", "contents", "system", "systemInstruction", "prompt", "tools"];
        let bytes: usize = words.iter().filter_map(|key| body.get(*key)).map(|part| part.to_string().len()).sum();
        Self {
            kind,
            beats: reply.beats.clone().into(),
            steps: VecDeque::new(),
            say: reply.say,
            choices: number("/n").or_else(|| number("/generationConfig/candidateCount")).unwrap_or(1),
            most: most.unwrap_or(u64::MAX),
            written: 0,
            thought: 0,
            prompt: Tokens::of(bytes.div_ceil(BYTES_PER_TOKEN)).0,
            counts: body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false),
            plain: body.get("prompt").is_some(),
            started: false,
            finished: false,
            blocks: 0,
            open: false,
        }
    }

    pub(super) fn prompt(&self) -> Tokens {
        Tokens(self.prompt)
    }

    /// The next step; none after the last.
    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Some(step);
            }
            if !std::mem::replace(&mut self.started, true) {
                self.start();
            } else {
                let beat = self.beats.pop_front()?;
                self.beat(beat);
            }
        }
    }

    fn beat(&mut self, beat: Beat) {
        let is_token = matches!(beat, Beat::Text(_) | Beat::Think(_));
        if is_token && self.written >= self.most {
            self.beats.clear();
            return self.finish(FinishReason::Length);
        }
        match beat {
            Beat::Text(text) => {
                self.written += 1;
                (0..self.choices).for_each(|choice| self.text(choice, &text));
            }
            Beat::Think(text) => {
                self.written += 1;
                self.thought += 1;
                self.think(&text);
            }
            Beat::Call { name, arguments } => {
                self.written += u64::try_from(arguments.len()).unwrap_or_default();
                self.call(&name, &arguments);
            }
            Beat::Ping => self.raw(if self.kind == ProviderKind::Anthropic {
                "event: ping\ndata: {\"type\": \"ping\"}\n\n".to_owned()
            } else {
                ": still here\n\n".to_owned()
            }),
            Beat::Malformed => self.raw("data: {\"choices\": [{\"delta\": {\"con\n\n".to_owned()),
            Beat::Raw(text) => self.raw(text),
            Beat::Error { kind, message } => {
                let error = match self.kind {
                    ProviderKind::Gemini => json!({"error": {"status": kind, "message": message}}),
                    _ => json!({"type": "error", "error": {"type": kind, "message": message}}),
                };
                self.write(&error, 0);
            }
            Beat::Finish(reason) => self.finish(reason),
            Beat::Wait(span) => self.steps.push_back(Step::Wait(span)),
            Beat::Silence => self.steps.push_back(Step::Silence),
            Beat::Cut => self.steps.push_back(Step::Cut),
        }
    }

    fn raw(&mut self, text: String) {
        self.steps.push_back(Step::Write { text, tokens: 0 });
    }

    fn write(&mut self, event: &Value, tokens: u64) {
        let text = match event.get("type").and_then(Value::as_str) {
            Some(kind) if self.kind == ProviderKind::Anthropic => format!("event: {kind}\ndata: {event}\n\n"),
            _ if self.kind == ProviderKind::Gemini => format!("data: {event}\r\n\r\n"),
            _ => format!("data: {event}\n\n"),
        };
        self.steps.push_back(Step::Write { text, tokens });
    }

    /// What it says it used: prompt, cached, completion, reasoning.
    fn said(&self) -> Option<(u64, u64, u64, u64)> {
        match self.say {
            Say::True => Some((self.prompt, 0, self.written * self.choices, self.thought)),
            Say::Nothing => None,
            Say::These(prompt, cached, completion, reasoning) => Some((prompt, cached, completion, reasoning)),
        }
    }

    fn start(&mut self) {
        match self.kind {
            ProviderKind::Anthropic => {
                let usage = self.said().map(|(prompt, cached, ..)| {
                    let fresh = prompt.saturating_sub(cached);
                    json!({"input_tokens": fresh, "cache_read_input_tokens": cached,
                        "cache_creation_input_tokens": 0, "output_tokens": 1})
                });
                let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "content": [],
                    "model": "mock", "stop_reason": null, "stop_sequence": null, "usage": usage});
                self.write(&json!({"type": "message_start", "message": message}), 0);
            }
            ProviderKind::OpenAi if !self.plain => {
                (0..self.choices).for_each(|choice| {
                    self.chunk(choice, json!({"role": "assistant", "content": ""}), Value::Null, 0);
                });
            }
            _ => {}
        }
    }

    fn chunk(&mut self, choice: u64, delta: Value, finish: Value, tokens: u64) {
        let choice = json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish});
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "mock",
            "choices": [choice], "usage": null});
        self.write(&chunk, tokens);
    }

    fn text(&mut self, choice: u64, text: &str) {
        match self.kind {
            ProviderKind::OpenAi if self.plain => {
                let choice = json!({"index": choice, "text": text, "logprobs": null, "finish_reason": null});
                self.write(&json!({"id": "cmpl-1", "object": "text_completion", "choices": [choice]}), 1);
            }
            ProviderKind::OpenAi => self.chunk(choice, json!({"content": text}), Value::Null, 1),
            ProviderKind::Anthropic => {
                if !std::mem::replace(&mut self.open, true) {
                    let block = json!({"type": "text", "text": ""});
                    self.write(
                        &json!({"type": "content_block_start", "index": self.blocks, "content_block": block}),
                        0,
                    );
                }
                let delta = json!({"type": "text_delta", "text": text});
                self.write(&json!({"type": "content_block_delta", "index": self.blocks, "delta": delta}), 1);
            }
            ProviderKind::Gemini => self.candidate(choice, json!([{"text": text}]), None, 1),
        }
    }

    fn think(&mut self, text: &str) {
        match self.kind {
            ProviderKind::OpenAi => self.chunk(0, json!({"reasoning_content": text}), Value::Null, 1),
            ProviderKind::Anthropic => {
                let delta = json!({"type": "thinking_delta", "thinking": text});
                self.write(&json!({"type": "content_block_delta", "index": self.blocks, "delta": delta}), 1);
            }
            ProviderKind::Gemini => self.candidate(0, json!([{"text": text, "thought": true}]), None, 1),
        }
    }

    fn call(&mut self, name: &str, arguments: &[String]) {
        self.close();
        let number = self.blocks;
        match self.kind {
            ProviderKind::OpenAi => {
                let first = json!({"index": number, "id": format!("call_{number}"), "type": "function",
                    "function": {"name": name, "arguments": ""}});
                self.chunk(0, json!({"tool_calls": [first]}), Value::Null, 0);
                for piece in arguments {
                    let more = json!({"index": number, "function": {"arguments": piece}});
                    self.chunk(0, json!({"tool_calls": [more]}), Value::Null, 1);
                }
            }
            ProviderKind::Anthropic => {
                let block = json!({"type": "tool_use", "id": format!("toolu_{number}"), "name": name, "input": {}});
                self.write(&json!({"type": "content_block_start", "index": number, "content_block": block}), 0);
                for piece in arguments {
                    let delta = json!({"type": "input_json_delta", "partial_json": piece});
                    self.write(&json!({"type": "content_block_delta", "index": number, "delta": delta}), 1);
                }
                self.write(&json!({"type": "content_block_stop", "index": number}), 0);
            }
            ProviderKind::Gemini => {
                let args: Value = serde_json::from_str(&arguments.concat()).unwrap_or_else(|_| json!({}));
                let part = json!({"functionCall": {"name": name, "args": args}, "thoughtSignature": "c2lnbmF0dXJl+/="});
                let tokens = u64::try_from(arguments.len()).unwrap_or_default();
                self.candidate(0, json!([part]), None, tokens);
            }
        }
        self.blocks += 1;
    }

    /// Ends the block of text, where there are such things.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.write(&json!({"type": "content_block_stop", "index": self.blocks}), 0);
            self.blocks += 1;
        }
    }

    fn candidate(&mut self, choice: u64, parts: Value, finish: Option<&str>, tokens: u64) {
        let mut candidate = json!({"index": choice, "content": {"role": "model", "parts": parts}});
        if let (Some(finish), Some(candidate)) = (finish, candidate.as_object_mut()) {
            candidate.insert("finishReason".into(), finish.into());
        }
        let usage = self.said().map(|(prompt, cached, completion, reasoning)| {
            json!({"promptTokenCount": prompt, "cachedContentTokenCount": cached,
                "candidatesTokenCount": completion.saturating_sub(reasoning), "thoughtsTokenCount": reasoning,
                "totalTokenCount": prompt.saturating_add(completion)})
        });
        self.write(&json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "mock"}), tokens);
    }

    fn finish(&mut self, reason: FinishReason) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.close();
        match self.kind {
            ProviderKind::OpenAi => {
                for choice in 0..self.choices {
                    if self.plain {
                        let choice = json!({"index": choice, "text": "", "finish_reason": reason.as_str()});
                        self.write(&json!({"id": "cmpl-1", "object": "text_completion", "choices": [choice]}), 0);
                    } else {
                        self.chunk(choice, json!({}), reason.as_str().into(), 0);
                    }
                }
                if let Some((prompt, cached, completion, reasoning)) = self.said().filter(|_| self.counts) {
                    let usage = json!({"prompt_tokens": prompt, "completion_tokens": completion,
                        "total_tokens": prompt.saturating_add(completion),
                        "prompt_tokens_details": {"cached_tokens": cached},
                        "completion_tokens_details": {"reasoning_tokens": reasoning}});
                    self.write(
                        &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                        "model": "mock", "choices": [], "usage": usage}),
                        0,
                    );
                }
                self.raw("data: [DONE]\n\n".to_owned());
            }
            ProviderKind::Anthropic => {
                let reason = match reason {
                    FinishReason::Stop => "end_turn",
                    FinishReason::Length => "max_tokens",
                    FinishReason::ToolCalls => "tool_use",
                    FinishReason::ContentFilter => "refusal",
                };
                let usage = self.said().map(|(_, _, completion, _)| json!({"output_tokens": completion}));
                let delta = json!({"stop_reason": reason, "stop_sequence": null});
                self.write(&json!({"type": "message_delta", "delta": delta, "usage": usage}), 0);
                self.write(&json!({"type": "message_stop"}), 0);
            }
            ProviderKind::Gemini => {
                let reason = match reason {
                    FinishReason::Stop | FinishReason::ToolCalls => "STOP",
                    FinishReason::Length => "MAX_TOKENS",
                    FinishReason::ContentFilter => "SAFETY",
                };
                (0..self.choices).for_each(|choice| self.candidate(choice, json!([]), Some(reason), 0));
            }
        }
    }
}
