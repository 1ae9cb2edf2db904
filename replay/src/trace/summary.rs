//! What a trace holds, in a few figures.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use protocol::units::{Percentile, Tokens};

use super::{Request, Trace};

/// What a trace holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Requests.
    pub requests: usize,
    /// From the first to the last one.
    pub span: Duration,
    /// Prompts.
    pub input: Spread,
    /// Answers.
    pub output: Spread,
    /// Different blocks that are named.
    pub blocks: usize,
    /// Tokens of prompts that a prompt before began with too: the most that any cache can save.
    pub seen: Tokens,
    /// Conversations that are named.
    pub sessions: usize,
}

/// How a number of tokens is spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// All together.
    pub sum: Tokens,
    /// Half have at most so many.
    pub p50: Tokens,
    /// All but a hundredth have at most so many.
    pub p99: Tokens,
    /// The largest.
    pub most: Tokens,
}

impl Trace {
    /// From the first request to the last one.
    pub fn span(&self) -> Duration {
        let ends = self.requests.first().zip(self.requests.last());
        ends.map_or(Duration::ZERO, |(first, last)| last.at.saturating_sub(first.at))
    }

    /// For each request, tokens of its prompt that one before began with too, in whole blocks: what a cache could have.
    pub fn seen(&self) -> impl Iterator<Item = Tokens> + '_ {
        let mut names: BTreeSet<u64> = BTreeSet::new();
        self.requests.iter().map(move |request| {
            // A name stands for all that is before it too, so the first that is new ends what is shared.
            let known = request.blocks.iter().take_while(|name| names.contains(*name)).count();
            names.extend(&request.blocks);
            Tokens(self.block.0.saturating_mul(known as u64)).min(request.input)
        })
    }

    /// What it holds.
    pub fn summary(&self) -> Summary {
        let spread = |of: fn(&Request) -> Tokens| Spread::of(self.requests.iter().map(of).collect());
        let names: BTreeSet<u64> = self.requests.iter().flat_map(|request| request.blocks.iter().copied()).collect();
        let mut sessions: Vec<u64> = self.requests.iter().filter_map(|request| request.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        Summary {
            requests: self.requests.len(),
            span: self.span(),
            input: spread(|request| request.input),
            output: spread(|request| request.output),
            blocks: names.len(),
            seen: self.seen().sum(),
            sessions: sessions.len(),
        }
    }
}

impl Spread {
    fn of(mut values: Vec<Tokens>) -> Self {
        values.sort_unstable();
        let at = |percentile: Percentile| {
            percentile.rank(values.len()).and_then(|rank| values.get(rank)).copied().unwrap_or_default()
        };
        let most = values.last().copied().unwrap_or_default();
        Self { sum: values.iter().copied().sum(), p50: at(Percentile::P50), p99: at(Percentile::P99), most }
    }

    fn mean(&self, count: usize) -> f64 {
        self.sum.0 as f64 / count.max(1) as f64
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.span.as_secs_f64();
        // The first of them ends no gap.
        let rate = self.requests.saturating_sub(1) as f64 / span.max(1e-6);
        write!(f, "requests  {} in {span:.1} s", self.requests)?;
        if span > 0.0 {
            write!(f, ", {rate:.3} a second")?;
        }
        writeln!(f)?;
        for (name, spread) in [("prompts ", self.input), ("answers ", self.output)] {
            let Spread { sum, p50, p99, most } = spread;
            let mean = spread.mean(self.requests);
            writeln!(f, "{name}  {sum}: mean {mean:.0}, p50 {}, p99 {}, most {}", p50.0, p99.0, most.0)?;
        }
        let share = self.seen.0 as f64 / self.input.sum.0.max(1) as f64 * 100.0;
        writeln!(f, "blocks    {} different; {share:.1} % of prompt tokens were seen before", self.blocks)?;
        writeln!(f, "sessions  {}", self.sessions)
    }
}
