//! What came of a replay, as far as a target asks for it.

use std::time::Duration;

use protocol::units::{Percentile, Tokens};

/// Times of all requests of a run, the shortest first. Requests that were refused have none: they stand after all
/// others, as if they waited for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    sorted: Vec<Duration>,
    refused: usize,
}

impl Ends {
    /// Of these, and so many that were refused.
    pub fn new(mut times: Vec<Duration>, refused: usize) -> Self {
        times.sort_unstable();
        Self { sorted: times, refused }
    }

    /// The time at a percentile; none if it falls among the refused, or there are none.
    pub fn at(&self, percentile: Percentile) -> Option<Duration> {
        let rank = percentile.rank(self.sorted.len().saturating_add(self.refused))?;
        self.sorted.get(rank).copied()
    }

    /// How many there are, the refused among them.
    pub fn count(&self) -> usize {
        self.sorted.len().saturating_add(self.refused)
    }
}

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// To the first token.
    pub ttft: Ends,
    /// To the last token.
    pub latency: Ends,
    /// Between two tokens, on average over each answer; answers of one token have none.
    pub inter_token: Ends,
    /// Requests that no node took.
    pub refused: u64,
    /// Every answer: when it was complete since its request came, its first token, its tokens.
    pub answers: Vec<Answered>,
    /// From the first request to the end of the last answer.
    pub span: Duration,
    /// The share of time, of 1, for which a node computed, on average over nodes.
    pub busy: f64,
    /// The share of prompt tokens, of 1, that were cached.
    pub hits: f64,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Until its first token.
    pub ttft: Duration,
    /// Until its last.
    pub latency: Duration,
    /// How long it is.
    pub tokens: Tokens,
}

impl Answered {
    /// Between two of its tokens, on average; none if it has only one.
    pub fn inter_token(&self) -> Option<Duration> {
        let gaps = u32::try_from(self.tokens.0.checked_sub(1)?).ok().filter(|gaps| *gaps > 0)?;
        Some(self.latency.saturating_sub(self.ttft) / gaps)
    }
}

impl Outcome {
    /// From all answers, and so many requests that were refused.
    pub fn new(answers: Vec<Answered>, refused: usize, span: Duration, busy: f64, hits: f64) -> Self {
        let ends =
            |of: &dyn Fn(&Answered) -> Option<Duration>| Ends::new(answers.iter().filter_map(of).collect(), refused);
        Self {
            ttft: ends(&|answer| Some(answer.ttft)),
            latency: ends(&|answer| Some(answer.latency)),
            inter_token: ends(&Answered::inter_token),
            refused: refused as u64,
            answers,
            span,
            busy,
            hits,
        }
    }

    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.ttft.count() as u64
    }

    /// Tokens a second of answers that are good.
    pub fn rate(&self, good: impl Fn(&Answered) -> bool) -> f64 {
        let tokens: Tokens = self.answers.iter().filter(|answer| good(answer)).map(|answer| answer.tokens).sum();
        tokens.0 as f64 / self.span.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests;
