//! Which node is asked first: for now the one that carries least.
//!
//! Rules: every figure is in tokens. What was sent since a node's last report is added to what it
//! reported, so that a burst between two reports does not fall on one node. Equals are told apart by
//! chance, so that no node is favoured for its place in a list.

use protocol::ids::NodeId;
use protocol::units::Tokens;

/// A node that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub node: NodeId,
    /// Prefill that is due there, as last reported.
    pub prefill: Tokens,
    /// Tokens in the contexts of its running jobs, as last reported.
    pub context: Tokens,
    /// Prompt tokens that were sent there since.
    pub sent: Tokens,
}

/// A prompt's token costs a whole forward pass once; a context's token costs a read of its keys and values
/// in each step. So many of the latter weigh as one of the former.
const CONTEXT_SHARE: u64 = 16;

impl Candidate {
    /// What a new prompt would wait for, in tokens of prefill.
    pub fn cost(&self) -> Tokens {
        self.prefill + self.sent + Tokens(self.context.0 / CONTEXT_SHARE)
    }
}

/// All candidates, the best first. `random` gives numbers in [0, 1).
pub fn order(mut candidates: Vec<Candidate>, mut random: impl FnMut() -> f64) -> Vec<NodeId> {
    // Fisher and Yates, then a stable sort: equals stay shuffled.
    for last in (1..candidates.len()).rev() {
        let other = ((random() * (last + 1) as f64) as usize).min(last);
        candidates.swap(last, other);
    }
    candidates.sort_by_key(Candidate::cost);
    candidates.into_iter().map(|candidate| candidate.node).collect()
}

/// What was sent to one node and may not be in its reports yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Since the last report.
    fresh: Tokens,
    /// Between the last two: a report may have been under way when it was sent.
    older: Tokens,
}

impl Sent {
    /// A prompt was sent.
    pub fn add(&mut self, tokens: Tokens) {
        self.fresh += tokens;
    }

    /// A report came.
    pub fn on_report(&mut self) {
        self.older = std::mem::take(&mut self.fresh);
    }

    /// What to add to the reported figures.
    pub fn tokens(&self) -> Tokens {
        self.fresh + self.older
    }
}

#[cfg(test)]
mod tests;
