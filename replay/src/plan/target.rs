//! What is to be met.

use std::time::Duration;

use protocol::units::{Percent, Percentile};

use super::outcome::{Answered, Outcome};

/// What is to be met; all of what is given. At least one of the times or the goodput is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Target {
    /// The longest time to the first token.
    pub ttft: Option<Duration>,
    /// The longest time to the whole answer.
    pub latency: Option<Duration>,
    /// The longest time between two tokens, on average over an answer.
    pub inter_token: Option<Duration>,
    /// The least tokens a second of answers that keep within all these times.
    pub goodput: Option<f64>,
    /// For this share of requests the times hold.
    pub percentile: Percentile,
    /// It holds even if so much more is asked.
    pub headroom: Percent,
}

/// A target that cannot be meant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadTarget {
    /// Nothing is to be met.
    #[error("no target is given: give --ttft, --latency, --inter-token or --goodput, as in --ttft 500ms")]
    Nothing,
    /// Nothing takes no time.
    #[error("{field} is 0, which nothing can meet: give a time such as 500ms")]
    Zero {
        /// Which time.
        field: &'static str,
    },
    /// No number of tokens.
    #[error("--goodput is {0}: give tokens a second, above 0")]
    Goodput(f64),
    /// An answer cannot end before it begins.
    #[error(
        "--latency is {latency:?}, below --ttft, {ttft:?}: an answer ends after its first token, so give a longer time"
    )]
    Contradiction {
        /// The time to the whole answer.
        latency: Duration,
        /// The time to the first token.
        ttft: Duration,
    },
}

impl Target {
    /// Whether it can be meant.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), BadTarget> {
        let times = [("--ttft", self.ttft), ("--latency", self.latency), ("--inter-token", self.inter_token)];
        if times.iter().all(|(_, time)| time.is_none()) && self.goodput.is_none() {
            return Err(BadTarget::Nothing);
        }
        if let Some((field, _)) = times.into_iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            return Err(BadTarget::Zero { field });
        }
        if let Some(goodput) = self.goodput.filter(|goodput| !goodput.is_finite() || *goodput <= 0.0) {
            return Err(BadTarget::Goodput(goodput));
        }
        match (self.latency, self.ttft) {
            (Some(latency), Some(ttft)) if latency < ttft => Err(BadTarget::Contradiction { latency, ttft }),
            _ => Ok(()),
        }
    }

    /// Whether one answer keeps within the times.
    pub fn good(&self, answer: &Answered) -> bool {
        let within =
            |limit: Option<Duration>, time: Option<Duration>| limit.zip(time).is_none_or(|(limit, time)| time <= limit);
        within(self.ttft, Some(answer.ttft))
            && within(self.latency, Some(answer.latency))
            && within(self.inter_token, answer.inter_token())
    }

    /// Whether a run meets it.
    pub fn met_by(&self, outcome: &Outcome) -> bool {
        self.misses(outcome).is_empty()
    }

    /// What a run missed, for people; empty if nothing.
    pub fn missed(&self, outcome: &Outcome) -> String {
        self.misses(outcome).join(", ")
    }

    fn misses(&self, outcome: &Outcome) -> Vec<String> {
        let mut missed = Vec::new();
        let times = [
            ("TTFT", self.ttft, &outcome.ttft),
            ("latency", self.latency, &outcome.latency),
            ("inter-token latency", self.inter_token, &outcome.inter_token),
        ];
        for (name, limit, ends) in times {
            let Some(limit) = limit else { continue };
            // Where no answer has a second token there are no gaps to be too long.
            let time = ends.at(self.percentile);
            if ends.count() > 0 && time.is_none_or(|time| time > limit) {
                let is = time.map_or_else(|| format!("{} requests are refused", outcome.refused), shown);
                missed.push(format!("{} of {name} is {is}, above {}", self.percentile, shown(limit)));
            }
        }
        if let Some(wanted) = self.goodput {
            let rate = outcome.rate(|answer| self.good(answer));
            if rate < wanted {
                missed.push(format!("goodput is {rate:.1} tokens/s, below {wanted}"));
            }
        }
        missed
    }
}

/// A time with three digits that matter.
pub fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.1 => format!("{:.0} ms", s * 1e3),
        s if s >= 0.01 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.2} ms", s * 1e3),
    }
}

#[cfg(test)]
mod tests;
