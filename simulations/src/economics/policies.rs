//! Who is asked: the ways of routing that are compared.
//!
//! Rules:
//! - A policy wants a tier; the cheapest model of that tier or above answers (`policy::choice`).
//! - An answer that is not sure enough is thrown away and the next tier asked, where the policy cascades: the cluster's
//!   own decision, from the mean probability of the answer's tokens. The data has no such probabilities, so they are
//!   drawn: a right answer is surer than a wrong one with a stated probability, [`Sureness`]. What follows from it
//!   holds for models whose probabilities are as telling, and for no other.
//! - The oracle has read the labels. Nobody can do that; it is the bound.

use policy::complexity::Score;
use policy::complexity::tiers::{Cascade, Cuts, Left, Next, Verdict, cascade};
use protocol::config::Routing;
use protocol::units::{Nanos, Tokens};
use training::data::PASS;

use super::prompts::Item;

/// What tier a request wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Choose {
    /// The same for all.
    Always(usize),
    /// By lot: the share that goes above each tier.
    Lot(Vec<f64>),
    /// By the bytes of the prompt: longer ones go up.
    Length(Vec<usize>),
    /// By how much a larger model is expected to add, as `auto` does.
    Need(Cuts),
    /// The cheapest that is good enough by the labels; where none is, the cheapest.
    Oracle,
}

/// How a policy is called, and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Who is asked first.
    pub choose: Choose,
    /// When an answer is asked again.
    pub unsure: Option<Unsure>,
}

/// When an answer is asked again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unsure {
    /// The cluster's settings.
    pub settings: Cascade,
    /// How much probabilities tell.
    pub sureness: Sureness,
}

/// How much the mean probability of an answer's tokens tells of whether it is right: logistic around one place for
/// right answers and another for wrong ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sureness {
    /// How far the two places are apart.
    distance: f64,
}

impl Sureness {
    /// So that a right answer is surer than a wrong one with this probability: the area under the ROC curve, 0.5 for
    /// knowing nothing. For two logistic distributions at distance `d` it is `e^d (e^d - 1 - d) / (e^d - 1)^2`.
    pub fn of_area(area: f64) -> Self {
        let wanted = area.clamp(0.5, 0.999);
        let of = |d: f64| if d < 1e-6 { 0.5 } else { d.exp() * (d.exp() - 1.0 - d) / (d.exp() - 1.0).powi(2) };
        let (mut low, mut high) = (0.0, 30.0);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if of(middle) < wanted { low = middle } else { high = middle }
        }
        Self { distance: f64::midpoint(low, high) }
    }

    /// The mean token probability of an answer with this score, `random` in 0..1.
    pub fn mean(self, score: f64, random: f64) -> f64 {
        let random = random.clamp(1e-9, 1.0 - 1e-9);
        let place = self.distance * (score - 0.5) + (random / (1.0 - random)).ln();
        1.0 / (1.0 + (-place).exp())
    }
}

impl Policy {
    /// Without a cascade.
    pub fn new(name: impl Into<String>, choose: Choose) -> Self {
        Self { name: name.into(), choose, unsure: None }
    }

    /// With one.
    #[must_use]
    pub fn cascading(mut self, unsure: Unsure) -> Self {
        self.unsure = Some(unsure);
        self
    }

    /// Whether the cluster chooses, and so may take a lower tier where a budget is spent.
    pub fn is_auto(&self) -> bool {
        !matches!(self.choose, Choose::Always(_))
    }

    /// The wanted tier. `labels` are what the tiers got; `random` lies in 0..1.
    pub fn wants(&self, item: &Item, score: Score, labels: &[f64], random: f64) -> usize {
        match &self.choose {
            Choose::Always(tier) => *tier,
            Choose::Lot(shares) => shares.iter().take_while(|share| random < **share).count(),
            Choose::Length(cuts) => cuts.iter().take_while(|cut| item.example.text.len() > **cut).count(),
            Choose::Need(cuts) => cuts.tier(score),
            Choose::Oracle => labels.iter().position(|label| *label >= PASS).unwrap_or(0),
        }
    }

    /// Wanted tiers with their probabilities.
    pub fn odds(&self, item: &Item, score: Score, labels: &[f64]) -> Vec<(usize, f64)> {
        let Choose::Lot(shares) = &self.choose else { return vec![(self.wants(item, score, labels, 0.0), 1.0)] };
        let above = |tier: usize| shares.get(tier).copied().unwrap_or(0.0);
        let below = |tier: usize| tier.checked_sub(1).map_or(1.0, above);
        (0..=shares.len()).map(|tier| (tier, below(tier) - above(tier))).collect()
    }
}

impl Unsure {
    /// Whether an answer with this label is asked again; `next` is what the next tier may cost at most.
    pub fn again(&self, label: f64, answer: Tokens, next: Nanos, random: f64) -> bool {
        let mean = self.sureness.mean(label, random);
        let left = Left { time: None, money: Some(Routing::default().cascade_money.0) };
        let next = Next { money: next, ..Next::default() };
        cascade(&self.settings, Some(mean), answer, left, next) == Verdict::Escalate
    }

    /// How probable that is.
    pub fn odds(&self, label: f64, answer: Tokens, next: Nanos) -> f64 {
        // Halving, as a surer answer is never thrown away before a less sure one.
        const STEPS: u32 = 12;
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            if self.again(label, answer, next, middle) { low = middle } else { high = middle }
        }
        // All of it or nothing of it is exactly that.
        match (self.again(label, answer, next, 0.0), self.again(label, answer, next, 1.0)) {
            (false, _) => 0.0,
            (true, true) => 1.0,
            (true, false) => f64::midpoint(low, high),
        }
    }
}

/// Where to cut so that at most such a share is longer, for each share.
pub fn lengths(items: &[Item], shares: &[f64]) -> Vec<usize> {
    let mut lengths: Vec<usize> = items.iter().map(|item| item.example.text.len()).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let cut = |share: &f64| lengths.get((share * lengths.len() as f64 + 1e-9) as usize).copied().unwrap_or(0);
    shares.iter().map(cut).collect()
}

#[cfg(test)]
mod tests;
