//! What a trace holds, in a few figures.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use protocol::units::Tokens;

use super::{Request, Trace};

/// What a trace holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Requests.
    pub requests: usize,
    /// From the beginning to the last one.
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
    /// What it holds.
    pub fn summary(&self) -> Summary {
        let spread = |of: fn(&Request) -> Tokens| Spread::of(self.requests.iter().map(of).collect());
        let mut names: BTreeSet<u64> = BTreeSet::new();
        let mut seen = Tokens::ZERO;
        for request in &self.requests {
            // A name stands for all that is before it too, so the first that is new ends what is shared.
            let known = request.blocks.iter().take_while(|name| names.contains(*name)).count();
            seen += Tokens(known as u64 * self.block.0).min(request.input);
            names.extend(&request.blocks);
        }
        let mut sessions: Vec<u64> = self.requests.iter().filter_map(|request| request.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        Summary {
            requests: self.requests.len(),
            span: self.requests.last().map_or(Duration::ZERO, |request| request.at),
            input: spread(|request| request.input),
            output: spread(|request| request.output),
            blocks: names.len(),
            seen,
            sessions: sessions.len(),
        }
    }
}

impl Spread {
    fn of(mut values: Vec<Tokens>) -> Self {
        values.sort_unstable();
        let rank = |hundredths: usize| {
            let at = (values.len() * hundredths).div_ceil(100).max(1) - 1;
            values.get(at).copied().unwrap_or_default()
        };
        Self { sum: values.iter().copied().sum(), p50: rank(50), p99: rank(99), most: rank(100) }
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
