//! Chunks of generated content.

use policy::upstream::failure::FailureKind;
use policy::upstream::usage::ProviderUsage;
use protocol::answer::{CallDelta, FinishReason};
use serde_json::Value;

use super::signed;
use crate::call::Failure;
use crate::wire::Out;
use crate::wire::lenient::{garbled, index, list, object, text, tokens};

/// The longest signature that travels in an id.
const MAX_SIGNATURE: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Reader {
    /// Makes ids of one answer unlike those of another.
    nonce: u64,
}

impl Reader {
    pub(super) fn new(nonce: u64) -> Self {
        Self { nonce }
    }

    pub(crate) fn event(&mut self, data: &str, out: &mut Out) -> Result<(), Failure> {
        let chunk = object(data)?;
        if let Some(usage) = chunk.get("usageMetadata").and_then(usage) {
            out.usage = Some(usage);
        }
        if let Some(reason) = chunk.pointer("/promptFeedback/blockReason").and_then(Value::as_str) {
            let message = format!("its filter refused the prompt ({reason}): ask something else, or another model");
            return Err(Failure::new(FailureKind::ContentPolicy, message));
        }
        for (place, candidate) in list(&chunk, "candidates").iter().enumerate() {
            let choice = index(candidate, "index").or_else(|| u32::try_from(place).ok()).unwrap_or_default();
            for part in candidate.get("content").map(|content| list(content, "parts")).unwrap_or_default() {
                self.part(choice, part, out)?;
            }
            if let Some(reason) = text(candidate, "finishReason") {
                finish(choice, reason, candidate, out)?;
            }
        }
        Ok(())
    }

    fn part(&self, choice: u32, part: &Value, out: &mut Out) -> Result<(), Failure> {
        if let Some(call) = part.get("functionCall") {
            let number = out.calls(choice);
            let signature = text(part, "thoughtSignature").filter(|signature| signature.len() <= MAX_SIGNATURE);
            let own = || format!("call_{:016x}_{choice}_{number}", self.nonce);
            let id = signed(text(call, "id").map_or_else(own, str::to_owned), signature);
            let name = text(call, "name").map(str::to_owned);
            let args = call.get("args").filter(|args| args.is_object());
            let arguments = args.map_or_else(|| "{}".to_owned(), Value::to_string);
            return out.call(choice, number, CallDelta { index: 0, id: Some(id), name, arguments });
        }
        let words = text(part, "text").unwrap_or_default();
        if part.get("thought").and_then(Value::as_bool) == Some(true) {
            out.hidden(words);
            return Ok(());
        }
        out.text(choice, words, vec![])
    }
}

fn finish(choice: u32, reason: &str, candidate: &Value, out: &mut Out) -> Result<(), Failure> {
    match reason {
        "FINISH_REASON_UNSPECIFIED" => Ok(()),
        "STOP" => out.finish(choice, FinishReason::Stop),
        "MAX_TOKENS" => out.finish(choice, FinishReason::Length),
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" | "IMAGE_SAFETY" => {
            out.finish(choice, FinishReason::ContentFilter)
        }
        other => {
            let words = text(candidate, "finishMessage").unwrap_or_default();
            Err(garbled(&format!("it ended the answer with {other}"), words))
        }
    }
}

/// Hidden reasoning is counted apart from the answer there, and paid like it.
fn usage(told: &Value) -> Option<ProviderUsage> {
    let of = |key: &str| tokens(told, key).unwrap_or_default();
    let reasoning = of("/thoughtsTokenCount");
    Some(ProviderUsage {
        prompt: tokens(told, "/promptTokenCount")? + of("/toolUsePromptTokenCount"),
        cached: of("/cachedContentTokenCount"),
        completion: of("/candidatesTokenCount") + reasoning,
        reasoning,
    })
}
