//! How much of a key's limits is left, in the headers `x-ratelimit-*`: names and formats are OpenAI's.
//!
//! They are on every answer, and on a refusal for too many requests. A key without a limit has no header for it.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use crate::service::{Rate, RateState};

/// Writes the headers.
pub(super) fn name(response: &mut Response, state: RateState) {
    if !response.status().is_success() && response.status() != StatusCode::TOO_MANY_REQUESTS {
        return;
    }
    let requests = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    let tokens = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    for (names, rate) in [(requests, state.requests), (tokens, state.tokens)] {
        let Some(Rate { limit, remaining, reset }) = rate else { continue };
        let values = [limit.to_string(), remaining.min(limit).to_string(), span(reset)];
        for (name, value) in names.into_iter().zip(values) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// As `120ms`, `1s`, `8.64s` or `6m0s`, never too short.
fn span(span: Duration) -> String {
    let millis = span.as_nanos().div_ceil(1_000_000);
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (seconds, part) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = match (hours, minutes) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    text.push_str(&(seconds % 60).to_string());
    if part > 0 {
        text.push_str(format!(".{part:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests;
