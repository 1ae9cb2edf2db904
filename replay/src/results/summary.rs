//! All requests of a run in a few figures.

use std::time::Duration;

use protocol::units::{Nanos, Percentile, Tokens};
use serde::Serialize;

use super::{Outcome, Results};

/// Times, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Half of them are at most so long.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
}

impl Spread {
    /// Of some times. Percentiles are by nearest rank.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let mean = times.iter().sum::<Duration>().as_secs_f64() / times.len().max(1) as f64;
        let at = |name: &str| {
            let rank = name.parse().ok().and_then(|percentile: Percentile| percentile.rank(times.len()));
            rank.and_then(|rank| times.get(rank)).map_or(0.0, Duration::as_secs_f64)
        };
        Self { mean, p50: at("p50"), p90: at("p90"), p99: at("p99") }
    }
}

/// A run in a few figures. Times are in seconds, of virtual time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that were answered.
    pub done: u64,
    /// Requests that nobody took in time.
    pub refused: u64,
    /// Requests that fit on no node.
    pub too_long: u64,
    /// From a request's arrival to its first token.
    pub ttft: Spread,
    /// From a request's arrival to its last token.
    pub latency: Spread,
    /// Between two tokens, on the mean of each answer.
    pub inter_token: Spread,
    /// Prompt tokens of answered requests.
    pub prompt: Tokens,
    /// Of these, found in a cache.
    pub hits: Tokens,
    /// Of these, believed to be when a node was chosen.
    pub predicted: Tokens,
    /// Tokens of answers.
    pub output: Tokens,
    /// Requests that met the deadlines, of all that came, as a share.
    pub good: f64,
    /// Such requests in a second.
    pub goodput: f64,
    /// Standard deviation of the nodes' busy time over its mean.
    pub imbalance: f64,
    /// Busy time of all nodes over all the time there was.
    pub utilisation: f64,
    /// Sequences that lost their blocks and were computed again.
    pub preempted: u64,
    /// From the first request to the last end.
    pub span: f64,
    /// What all nodes cost in that time.
    pub cost: Nanos,
    /// What a million tokens of prompts and answers cost.
    pub cost_per_million: Nanos,
}

impl Spread {
    fn mean(all: &[Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / all.len().max(1) as f64;
        Self { mean: mean(|s| s.mean), p50: mean(|s| s.p50), p90: mean(|s| s.p90), p99: mean(|s| s.p99) }
    }
}

impl Summary {
    /// The mean of several runs, figure by figure.
    pub fn mean(all: &[Self]) -> Self {
        let runs = all.len().max(1);
        let spread = |of: fn(&Self) -> Spread| Spread::mean(&all.iter().map(of).collect::<Vec<_>>());
        let count = |of: fn(&Self) -> u64| all.iter().map(of).sum::<u64>() / runs as u64;
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / runs as f64;
        Self {
            done: count(|s| s.done),
            refused: count(|s| s.refused),
            too_long: count(|s| s.too_long),
            ttft: spread(|s| s.ttft),
            latency: spread(|s| s.latency),
            inter_token: spread(|s| s.inter_token),
            prompt: Tokens(count(|s| s.prompt.0)),
            hits: Tokens(count(|s| s.hits.0)),
            predicted: Tokens(count(|s| s.predicted.0)),
            output: Tokens(count(|s| s.output.0)),
            good: mean(|s| s.good),
            goodput: mean(|s| s.goodput),
            imbalance: mean(|s| s.imbalance),
            utilisation: mean(|s| s.utilisation),
            preempted: count(|s| s.preempted),
            span: mean(|s| s.span),
            cost: Nanos(count(|s| s.cost.0)),
            cost_per_million: Nanos(count(|s| s.cost_per_million.0)),
        }
    }
}

impl Results {
    /// All in a few figures. A request is good if its first token came within `ttft` and its last within `deadline`.
    pub fn summary(&self, ttft: Duration, deadline: Duration) -> Summary {
        let count = |outcome| self.records.iter().filter(|record| record.outcome == outcome).count() as u64;
        let done = || self.records.iter().filter(|record| record.outcome == Outcome::Done);
        let firsts = done().filter_map(|record| record.first).collect();
        let between = done().filter_map(|record| {
            let steps = u32::try_from(record.output.0.saturating_sub(1)).unwrap_or(u32::MAX);
            (steps > 0).then(|| (record.took - record.first.unwrap_or(record.took)) / steps)
        });
        let good =
            done().filter(|record| record.first.is_some_and(|first| first <= ttft) && record.took <= deadline).count();
        let busy: Vec<f64> = self.nodes.iter().map(|node| node.busy.as_secs_f64()).collect();
        let nodes = busy.len().max(1) as f64;
        let mean = busy.iter().sum::<f64>() / nodes;
        let variance = busy.iter().map(|busy| (busy - mean).powi(2)).sum::<f64>() / nodes;
        let span = self.span.as_secs_f64();
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let (prompt, output) = (done().map(|r| r.input).sum::<Tokens>(), done().map(|r| r.output).sum::<Tokens>());
        let million = u128::from(self.cost.0) * 1_000_000 / u128::from((prompt + output).0.max(1));
        Summary {
            done: count(Outcome::Done),
            refused: count(Outcome::Refused),
            too_long: count(Outcome::TooLong),
            ttft: Spread::of(firsts),
            latency: Spread::of(done().map(|record| record.took).collect()),
            inter_token: Spread::of(between.collect()),
            prompt,
            hits: done().map(|record| record.cached).sum(),
            predicted: done().map(|record| record.predicted).sum(),
            output,
            good: share(good as f64, self.records.len() as f64),
            goodput: share(good as f64, span),
            imbalance: share(variance.sqrt(), mean),
            utilisation: share(mean, span),
            preempted: self.nodes.iter().map(|node| node.preempted).sum(),
            span,
            cost: self.cost,
            cost_per_million: Nanos(u64::try_from(million).unwrap_or(u64::MAX)),
        }
    }
}
