//! How hard a model's nodes are pressed, by their reports.

use std::time::Duration;

use policy::health::Verdict;
use protocol::engine::Card;
use protocol::message::Rates;
use protocol::units::Blocks;

use super::Directory;

/// What the nodes of one model carry together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Nodes that take jobs for it.
    pub nodes: u32,
    /// KV blocks in the hands of jobs.
    pub used: Blocks,
    /// All KV blocks.
    pub total: Blocks,
    /// The least time for which the oldest job waits on a node: where one has room, nobody need wait.
    pub oldest: Duration,
}

impl Pressure {
    /// The share of KV blocks in the hands of jobs.
    pub fn cache(&self) -> f64 {
        self.used.0 as f64 / self.total.0.max(1) as f64
    }
}

impl Directory {
    /// How hard a model's nodes are pressed.
    pub fn pressure(&self, model: &str) -> Pressure {
        let now = self.clock.now();
        let mut all = Pressure { oldest: Duration::MAX, ..Pressure::default() };
        for entry in &self.nodes {
            let open = !entry.draining && entry.health.verdict(now, &self.rules) == Verdict::Trusted;
            let workers = entry.hello.cards.iter().zip(&entry.workers);
            for (_, worker) in workers.filter(|(card, worker)| open && card.model == model && worker.ready) {
                all.nodes += 1;
                all.used += worker.load.blocks_used;
                all.total += worker.load.blocks_total;
                all.oldest = all.oldest.min(worker.oldest);
            }
        }
        if all.nodes == 0 {
            all.oldest = Duration::ZERO;
        }
        all
    }
}

/// How fast a node is with a model, and how many sequences it decodes at once now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speed {
    /// The model.
    pub model: String,
    /// As the node measured it.
    pub rates: Rates,
    /// Sequences that run there.
    pub batch: u32,
}

impl Directory {
    /// How fast nodes are, where they have measured it.
    pub fn speeds(&self) -> Vec<Speed> {
        let mut all = Vec::new();
        for entry in &self.nodes {
            for (card, worker) in entry.hello.cards.iter().zip(&entry.workers) {
                if worker.rates.prefill > 0 || !worker.rates.step.is_zero() {
                    let (rates, batch) = (worker.rates, worker.load.running);
                    all.push(Speed { model: card.model.clone(), rates, batch });
                }
            }
        }
        all
    }
}

/// A node that takes jobs for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it serves.
    pub card: Card,
    /// How fast it was lately; zeros where it has not measured that.
    pub rates: Rates,
}

impl Directory {
    /// The nodes that take jobs for a model now.
    pub fn machines(&self, model: &str) -> Vec<Machine> {
        let now = self.clock.now();
        let mut all = Vec::new();
        for entry in &self.nodes {
            if entry.draining || entry.health.verdict(now, &self.rules) != Verdict::Trusted {
                continue;
            }
            let workers = entry.hello.cards.iter().zip(&entry.workers);
            let serving = workers.filter(|(card, worker)| card.model == model && worker.ready);
            all.extend(
                serving.map(|(card, worker)| (*entry.key(), Machine { card: card.clone(), rates: worker.rates })),
            );
        }
        all.sort_by_key(|(node, _)| *node);
        all.into_iter().map(|(_, machine)| machine).collect()
    }
}
