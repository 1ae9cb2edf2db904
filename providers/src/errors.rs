//! What a provider's words for a failure mean.
//!
//! Rules: what it names (a code, a type) counts more than the status, and the status more than its prose. An error
//! is one wherever it stands: behind a status, in a body with status 200, in an event of a stream.

use std::time::Duration;

use policy::upstream::failure::FailureKind;
use policy::upstream::headers::reset;
use serde_json::Value;

use crate::call::Failure;

/// The most characters of a provider's words that are handed on.
const MOST_WORDS: usize = 400;

/// An error as a provider tells it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Codes, types and statuses, in small letters, and its words; each on a line of its own.
    words: String,
    /// For a person.
    message: String,
    /// An HTTP status inside the body.
    status: Option<u16>,
    retry_after: Option<Duration>,
    field: Option<String>,
}

impl Said {
    /// The error that a body or an event holds, if it holds one.
    pub(crate) fn find(value: &Value) -> Option<Self> {
        let value = match value {
            // Google's streams are lists where nobody asks for events.
            Value::Array(list) => list.iter().find(|item| item.get("error").is_some())?,
            other => other,
        };
        match value.get("error") {
            Some(Value::Null) | None => {}
            Some(Value::String(text)) => {
                return Some(Self { words: text.to_lowercase(), message: text.clone(), ..Self::default() });
            }
            Some(error @ Value::Object(_)) => return Some(Self::read(error)),
            Some(_) => return Some(Self::read(value)),
        }
        // vLLM before 0.10, Mistral: the error itself, unwrapped.
        let is_error = ["object", "type"].iter().any(|key| value.get(*key).is_some_and(|is| is == "error"));
        is_error.then(|| Self::read(value))
    }

    fn read(error: &Value) -> Self {
        let text = |key: &str| error.get(key).and_then(Value::as_str);
        let mut said = Self { message: text("message").unwrap_or("without a word").to_owned(), ..Self::default() };
        let named = [text("code"), text("type"), text("status"), text("message")];
        let inner = error.pointer("/innererror/code").and_then(Value::as_str);
        for word in named.into_iter().chain([inner]).flatten() {
            said.words.push_str(&word.to_lowercase());
            said.words.push('\n');
        }
        let code = error.get("code");
        said.status = code.and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        said.status = said.status.or_else(|| code.and_then(Value::as_str).and_then(|code| code.parse().ok()));
        said.field = text("param").map(str::to_owned);
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
            if let Some(delay) = detail.get("retryDelay").and_then(Value::as_str) {
                said.retry_after = reset(delay);
            }
            if let Some(reason) = detail.get("reason").and_then(Value::as_str) {
                said.words.push_str(&reason.to_lowercase());
                said.words.push('\n');
            }
        }
        said
    }

    /// Something that is no JSON.
    pub(crate) fn plain(text: &str) -> Self {
        let message = if text.trim().is_empty() { "without a word" } else { text };
        Self { message: message.to_owned(), ..Self::default() }
    }

    fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|word| self.words.contains(word))
    }

    fn kind(&self, status: Option<u16>, retry_after: Option<Duration>) -> FailureKind {
        let status = status.filter(|status| *status != 200).or(self.status);
        if self.says(&[
            "insufficient_quota",
            "billing_",
            "credit balance",
            "credits are depleted",
            "insufficient credits",
        ]) || status == Some(402)
        {
            return FailureKind::Budget;
        }
        if self.says(&["rate_limit", "resource_exhausted", "overloaded"]) || matches!(status, Some(429 | 529)) {
            return FailureKind::RateLimited;
        }
        if self.says(&["api_key_invalid", "invalid_api_key", "authentication_error", "permission_", "model_not_found"])
            || matches!(status, Some(401 | 403 | 404))
        {
            return FailureKind::Auth;
        }
        match status {
            Some(408 | 504) => return FailureKind::Timeout,
            Some(503) if retry_after.is_some() => return FailureKind::RateLimited,
            Some(500..) => return FailureKind::Down,
            _ => {}
        }
        if self.says(&[
            "content_filter",
            "content_policy",
            "content management policy",
            "content filtering policy",
            "responsibleaipolicyviolation",
            "usage policy",
            "prohibited_content",
        ]) {
            return FailureKind::ContentPolicy;
        }
        if self.says(&[
            "context_length_exceeded",
            "maximum context length",
            "context length",
            "context window",
            "context limit",
            "prompt is too long",
            "input is too long",
            "input token count",
            "request_too_large",
        ]) || status == Some(413)
        {
            return FailureKind::ContextWindow;
        }
        match status {
            Some(300..400) => FailureKind::Garbled,
            Some(400..500) => FailureKind::Invalid,
            _ if self.says(&["invalid_request", "invalid_argument", "badrequest"]) => FailureKind::Invalid,
            _ => FailureKind::Down,
        }
    }

    /// What it amounts to. `retry_after` is what the headers say.
    pub(crate) fn failure(&self, status: Option<u16>, retry_after: Option<Duration>) -> Failure {
        let retry_after = retry_after.or(self.retry_after);
        let kind = self.kind(status, retry_after);
        let said = match status {
            Some(status) => format!("it said {status}: {}", short(&self.message)),
            None => format!("it said: {}", short(&self.message)),
        };
        let field = self.field.clone().filter(|_| kind == FailureKind::Invalid);
        Failure { retry_after, status, field, ..Failure::new(kind, said) }
    }
}

/// A provider's words, of a length that fits a log, in one line.
pub(crate) fn short(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = plain.take(MOST_WORDS + 1).collect();
    if out.chars().count() > MOST_WORDS {
        out.pop();
        out.push('…');
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests;
