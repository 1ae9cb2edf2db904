//! Whether an answer of a small model is asked again one tier above.
//!
//! Rules: only an unsure answer is, and only if the next tier can answer within the time and the money that are
//! left; what has been paid is paid. An answer whose probabilities are unknown is kept: nothing says it is bad.

use std::time::Duration;

use protocol::units::{Nanos, Tokens};

/// When an answer counts as unsure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cascade {
    /// Below this mean probability of its tokens, in 0..1.
    pub threshold: f64,
    /// Answers of fewer tokens say too little about themselves.
    pub least: Tokens,
}

impl Default for Cascade {
    fn default() -> Self {
        Self { threshold: 0.6, least: Tokens(8) }
    }
}

/// What the request may still take; none where there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Until its deadline.
    pub time: Option<Duration>,
    /// Until its limit.
    pub money: Option<Nanos>,
}

/// What an answer of the next tier is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// Until its end.
    pub time: Duration,
    /// An upper bound, as it would be reserved.
    pub money: Nanos,
}

/// What becomes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sure enough, or says too little about itself.
    Keep,
    /// It is unsure, and there is no time for another.
    KeepForTime,
    /// It is unsure, and there is no money for another.
    KeepForMoney,
    /// The next tier is asked.
    Escalate,
}

/// Decides. `mean` is the mean probability of the answer's tokens, none if it is unknown; `tokens` how many it has.
pub fn cascade(settings: &Cascade, mean: Option<f64>, tokens: Tokens, left: Left, next: Next) -> Verdict {
    let unsure = mean.is_some_and(|mean| mean < settings.threshold) && tokens >= settings.least;
    if !unsure {
        Verdict::Keep
    } else if left.time.is_some_and(|time| time < next.time) {
        Verdict::KeepForTime
    } else if left.money.is_some_and(|money| money < next.money) {
        Verdict::KeepForMoney
    } else {
        Verdict::Escalate
    }
}

/// The mean probability of tokens from their log-probabilities; none if there are none. One that is no number
/// counts as impossible.
pub fn mean_probability(logprobs: impl IntoIterator<Item = f32>) -> Option<f64> {
    let mut sum = 0.0;
    let mut count = 0_u64;
    for logprob in logprobs {
        sum += if logprob.is_nan() { 0.0 } else { f64::from(logprob.min(0.0)).exp() };
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests;
