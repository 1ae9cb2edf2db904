//! How hard a request is, from its words alone, before any model has seen it.
//!
//! Rules:
//! - A [`Score`] has two numbers. [`Score::fails`] is the probability that the small models fail: it is what is
//!   told to people, in headers and logs. [`Score::need`] is what chooses a tier: how much a larger model is
//!   expected to add, as a share of ordinary prompts that need it less. They differ where all models fail alike
//!   (an obscure fact is as unknown to a model of 50 billion parameters): money spent there buys nothing.
//! - The last turn of the user weighs most. A turn of a few words says little by itself, so that `commit it` in a
//!   long conversation is as hard as what it commits. See [`Prompt`].
//! - A bounded part of the text is looked at, so that a decision takes microseconds whatever the length.
//! - Case, spaces, digits' values and courtesies do not matter. Words are also seen as pieces of three to five
//!   bytes, so that a slip of the finger does not hide them.
//! - Weights are learned offline (`cargo xtask train complexity`); docs/routing.md says on what and how well.
//!
//! Leaves to others: which models make up a tier, what they cost, whether a key may use them.

pub mod calibrate;
mod courtesy;
mod features;
mod grams;
mod linear;
mod prompt;
mod text;
pub mod tiers;
mod vector;
mod weights;

pub use features::NAMES;
pub use grams::BUCKETS;
pub use linear::{LinearScorer, Logits};
pub use prompt::Prompt;
pub use vector::Vector;
pub use weights::{BadWeights, Head, QUANTILES, Weights};

/// How hard a request is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    fails: f64,
    need: f64,
}

impl Score {
    /// Both are brought into 0..1; what is no number counts as one half.
    pub fn new(fails: f64, need: f64) -> Self {
        let within = |number: f64| if number.is_nan() { 0.5 } else { number.clamp(0.0, 1.0) };
        Self { fails: within(fails), need: within(need) }
    }

    /// The probability that the small models fail, in 0..1.
    pub fn fails(self) -> f64 {
        self.fails
    }

    /// How much a larger model is expected to add: the share of ordinary prompts to which it adds less, in 0..1.
    /// Thresholds are compared with this.
    pub fn need(self) -> f64 {
        self.need
    }

    /// [`Self::fails`] in thousandths, as headers and logs have it.
    pub fn thousandths(self) -> u16 {
        // Within 0..=1000.
        (self.fails * 1000.0).round() as u16
    }
}

/// Says how hard a request is. Learned weights today; a head on an embedding may follow.
pub trait Scorer: Send + Sync {
    /// Says it. Must not block: it runs on the way of every request.
    fn score(&self, prompt: &Prompt<'_>) -> Score;
}

#[cfg(test)]
mod tests;
