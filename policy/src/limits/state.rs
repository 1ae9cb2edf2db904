//! How a key stands against its limits, in the words that OpenAI's clients read.

use std::fmt::Write;
use std::time::Duration;

/// How a key stands. What has no limit is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// Its requests a minute.
    pub requests: Option<Gauge>,
    /// Its tokens a minute.
    pub tokens: Option<Gauge>,
}

/// How one limit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// The most in a minute.
    pub limit: u64,
    /// What may still be asked for now.
    pub remaining: u64,
    /// After so long, without further requests, all of it may. While some run it is the earliest.
    pub reset: Duration,
}

impl RateState {
    /// The headers of a response: `x-ratelimit-limit-requests` and its kin, as OpenAI names and writes them.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut out = Vec::with_capacity(6);
        for (gauge, [limit, remaining, reset]) in [
            (
                self.requests,
                ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
            ),
            (self.tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
        ] {
            let Some(gauge) = gauge else { continue };
            out.push((limit, gauge.limit.to_string()));
            out.push((remaining, gauge.remaining.to_string()));
            out.push((reset, span(gauge.reset)));
        }
        out
    }
}

/// A span as OpenAI writes it: `120ms`, `8.64s`, `6m0s`, `1h0m0s`. Rounded up to whole milliseconds, so that who
/// waits so long does not come too early.
pub fn span(span: Duration) -> String {
    let millis = span.as_nanos().div_ceil(1_000_000);
    if (1..1_000).contains(&millis) {
        return format!("{millis}ms");
    }
    let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let mut out = String::new();
    // Writing to a string cannot fail.
    if hours > 0 {
        _ = write!(out, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        _ = write!(out, "{minutes}m");
    }
    _ = write!(out, "{}", rest / 1_000);
    if rest % 1_000 > 0 {
        let part = format!("{:03}", rest % 1_000);
        _ = write!(out, ".{}", part.trim_end_matches('0'));
    }
    out.push('s');
    out
}
