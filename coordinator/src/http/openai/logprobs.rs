//! Log-probabilities in OpenAI's two shapes: a list of tokens for chats, four lists for completions.
//!
//! A token need not be whole characters. Where it is not, its text is `bytes:\xe2\x82`, as OpenAI writes
//! it, so that different tokens never look the same; chats also carry the plain bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protocol::answer::TokenText;
use serde::Serialize;

/// JSON has no infinities; OpenAI's number for 'never' stands in.
const NEVER: f32 = -9999.0;

/// `logprobs` of a chat's choice or chunk.
#[derive(Serialize)]
pub(crate) struct ChatLogprobs {
    content: Vec<ChatToken>,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct ChatToken {
    #[serde(flatten)]
    token: ChatAlternative,
    top_logprobs: Vec<ChatAlternative>,
}

#[derive(Serialize)]
struct ChatAlternative {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

/// `logprobs` of a completion's choice or chunk.
#[derive(Default, Serialize)]
pub(crate) struct CompletionLogprobs {
    text_offset: Vec<u64>,
    token_logprobs: Vec<f32>,
    tokens: Vec<String>,
    top_logprobs: Vec<BTreeMap<String, f32>>,
}

/// A chat's shape of these tokens.
pub(crate) fn chat(tokens: Vec<TokenText>) -> ChatLogprobs {
    let alternative =
        |bytes: Vec<u8>, logprob| ChatAlternative { token: text(&bytes), logprob: finite(logprob), bytes };
    let content = tokens.into_iter().map(|token| ChatToken {
        token: alternative(token.bytes, token.logprob),
        top_logprobs: token.top.into_iter().map(|(_, bytes, logprob)| alternative(bytes, logprob)).collect(),
    });
    ChatLogprobs { content: content.collect(), refusal: None }
}

/// A completion's shape of these tokens. `offset` counts the characters of the choice's text before them
/// and is moved past them; a token within a character stands at its start.
pub(crate) fn completion(tokens: Vec<TokenText>, offset: &mut u64) -> CompletionLogprobs {
    let mut lists = CompletionLogprobs::default();
    for token in tokens {
        let goes_on = token.bytes.first().is_some_and(|byte| is_inside(*byte));
        lists.text_offset.push(offset.saturating_sub(u64::from(goes_on)));
        *offset += token.bytes.iter().filter(|byte| !is_inside(**byte)).count() as u64;
        lists.tokens.push(text(&token.bytes));
        lists.token_logprobs.push(finite(token.logprob));
        let mut top: BTreeMap<String, f32> = BTreeMap::new();
        for (_, bytes, logprob) in token.top {
            // Different ids may have the same text: the more probable one is shown.
            let shown = top.entry(text(&bytes)).or_insert(NEVER);
            *shown = shown.max(finite(logprob));
        }
        lists.top_logprobs.push(top);
    }
    lists
}

/// Whether a byte continues a character of UTF-8.
fn is_inside(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("bytes:".to_owned(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
            text
        }),
    }
}

fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { NEVER }
}

#[cfg(test)]
mod tests;
