//! Chunks of chat completions and of completions.

use policy::upstream::failure::FailureKind;
use policy::upstream::usage::ProviderUsage;
use protocol::answer::{CallDelta, FinishReason, TokenText};
use protocol::ids::TokenId;
use serde_json::Value;

use crate::call::Failure;
use crate::wire::Out;
use crate::wire::lenient::{index, list, object, text, tokens};

/// Stands for tokens whose id nobody tells; no vocabulary is that large.
const UNTOLD: TokenId = TokenId(u32::MAX);

#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) done: bool,
}

impl Reader {
    pub(crate) fn event(&mut self, data: &str, out: &mut Out) -> Result<(), Failure> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk = object(data)?;
        // Before the choices: one that a filter has cut fails, and its prompt is paid all the same.
        if let Some(usage) = chunk.get("usage").and_then(usage) {
            out.usage = Some(usage);
        }
        for (place, choice) in list(&chunk, "choices").iter().enumerate() {
            let number = index(choice, "index").or_else(|| u32::try_from(place).ok()).unwrap_or_default();
            read(number, choice, out)?;
        }
        Ok(())
    }
}

fn read(number: u32, choice: &Value, out: &mut Out) -> Result<(), Failure> {
    // A whole answer, from servers that do not stream, has `message` instead.
    let delta = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(choice);
    for key in ["reasoning_content", "reasoning"] {
        out.hidden(text(delta, key).unwrap_or_default());
    }
    let logprobs = choice.get("logprobs").map(|all| list(all, "content").iter().map(logprob).collect());
    let words = text(delta, "content").or_else(|| text(choice, "text")).or_else(|| text(delta, "refusal"));
    out.text(number, words.unwrap_or_default(), logprobs.unwrap_or_default())?;
    for call in list(delta, "tool_calls") {
        let id = text(call, "id").map(str::to_owned);
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = text(function, "name").map(str::to_owned);
        // Some leave the number out: then a name begins another call.
        let guess = if name.is_some() { out.calls(number) } else { out.calls(number).saturating_sub(1) };
        let call_number = index(call, "index").unwrap_or(guess);
        let arguments = text(function, "arguments").unwrap_or_default().to_owned();
        out.call(number, call_number, CallDelta { index: 0, id, name, arguments })?;
    }
    match text(choice, "finish_reason") {
        None => Ok(()),
        Some("length") => out.finish(number, FinishReason::Length),
        Some("tool_calls" | "function_call") => out.finish(number, FinishReason::ToolCalls),
        Some("content_filter") => out.finish(number, FinishReason::ContentFilter),
        Some(cut @ ("error" | "abort")) => {
            Err(Failure::new(FailureKind::Cut, format!("it ended the answer with '{cut}'")))
        }
        Some(_) => out.finish(number, FinishReason::Stop),
    }
}

fn usage(usage: &Value) -> Option<ProviderUsage> {
    let cached = tokens(usage, "/prompt_tokens_details/cached_tokens");
    Some(ProviderUsage {
        prompt: tokens(usage, "/prompt_tokens")?,
        // DeepSeek's name for it.
        cached: cached.or_else(|| tokens(usage, "/prompt_cache_hit_tokens")).unwrap_or_default(),
        completion: tokens(usage, "/completion_tokens").unwrap_or_default(),
        reasoning: tokens(usage, "/completion_tokens_details/reasoning_tokens").unwrap_or_default(),
    })
}

fn logprob(told: &Value) -> TokenText {
    let (bytes, logprob) = token(told);
    let top = list(told, "top_logprobs").iter().map(token).map(|(bytes, logprob)| (UNTOLD, bytes, logprob)).collect();
    TokenText { token: UNTOLD, bytes, logprob, top }
}

fn token(told: &Value) -> (Vec<u8>, f32) {
    let bytes = told.get("bytes").and_then(Value::as_array);
    let bytes = bytes.map(|all| all.iter().filter_map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok())).collect());
    let bytes = bytes.unwrap_or_else(|| text(told, "token").unwrap_or_default().as_bytes().to_vec());
    let logprob = told.get("logprob").and_then(Value::as_f64).unwrap_or(f64::from(f32::MIN));
    (bytes, logprob.clamp(f64::from(f32::MIN), 0.0) as f32)
}
