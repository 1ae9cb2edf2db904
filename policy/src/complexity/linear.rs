//! Logistic regression on counts and hashed words.

use super::features::COUNT;
use super::vector::Vector;
use super::weights::{BadWeights, Head, QUANTILES, Weights};
use super::{BUCKETS, Prompt, Score, Scorer};

static BUILT_IN: &[u8] = include_bytes!("weights.bin");

/// A turn of so many words speaks for itself.
const WHOLE_TURN: f32 = 12.0;
/// How much less each turn counts than the one after it.
const FADE: f32 = 0.5;

/// The share of needs that lies below all of training, and above.
const EDGE: f64 = 0.002;

/// Scores by learned weights.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearScorer {
    weights: Weights,
}

/// What the weights say of a text, before it becomes a probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Logits {
    /// The small models fail.
    pub fails: f32,
    /// Larger ones add to the answer.
    pub adds: f32,
}

impl LinearScorer {
    /// With these weights.
    pub fn new(weights: Weights) -> Self {
        Self { weights }
    }

    /// With the weights that come with the program.
    ///
    /// # Errors
    /// The program was built with weights of another version.
    pub fn built_in() -> Result<Self, BadWeights> {
        Weights::parse(BUILT_IN).map(Self::new)
    }

    /// What the weights say of one text.
    pub fn logits(&self, vector: &Vector) -> Logits {
        Logits { fails: logit(&self.weights.fails, vector), adds: logit(&self.weights.adds, vector) }
    }

    /// Where a logit stands among those of training, in 0..1. Beyond the last of them it still rises, ever more
    /// slowly, so that prompts unlike any of training can be told apart too.
    fn share_below(&self, adds: f32) -> f64 {
        let quantiles = &self.weights.quantiles;
        let [lowest, .., highest] = *quantiles;
        let spread = f64::from((highest - lowest).max(f32::MIN_POSITIVE)) / 8.0;
        let beyond = |far: f32| EDGE * (-f64::from(far) / spread).exp();
        if adds < lowest {
            return beyond(lowest - adds);
        }
        let above = quantiles.partition_point(|quantile| *quantile < adds);
        let Some(high) = quantiles.get(above) else { return 1.0 - beyond(adds - highest) };
        let Some(low) = above.checked_sub(1).and_then(|n| quantiles.get(n)) else { return EDGE };
        let part = f64::from(adds - low) / f64::from((high - low).max(f32::MIN_POSITIVE));
        EDGE + (1.0 - 2.0 * EDGE) * (above as f64 - 1.0 + part) / (QUANTILES - 1) as f64
    }
}

impl Scorer for LinearScorer {
    fn score(&self, prompt: &Prompt<'_>) -> Score {
        let mut sum = Logits::default();
        let (mut whole, mut age) = (0.0, 1.0);
        let mut foreign = 0.0_f32;
        for (n, turn) in prompt.turns().enumerate() {
            let vector = if n == 0 { Vector::of(turn) } else { Vector::of_earlier(turn) };
            let logits = self.logits(&vector);
            // Never nothing, as there may be no other turn.
            let weight = age * ((vector.words as f32) / WHOLE_TURN).clamp(0.01, 1.0);
            sum = Logits { fails: sum.fails + weight * logits.fails, adds: sum.adds + weight * logits.adds };
            foreign = foreign.max(vector.foreign);
            whole += weight;
            age *= FADE;
        }
        let mean = |sum: f32, head: &Head| if whole > 0.0 { sum / whole } else { head.bias };
        let fails = mean(sum.fails, &self.weights.fails);
        let adds = mean(sum.adds, &self.weights.adds);
        let lift = lift(prompt, foreign);
        let raised = |part: f64| part + (1.0 - part) * lift;
        Score::new(raised(1.0 / (1.0 + f64::from(-fails).exp())), raised(self.share_below(adds)))
    }
}

/// What no prompt of the training data has, so that it cannot be learned from it: set by hand, as a share of what
/// is left up to 1. Functions that may be called, turns of a conversation, far more text than is looked at, and
/// other scripts than Latin.
fn lift(prompt: &Prompt<'_>, foreign: f32) -> f64 {
    let tools = if prompt.tools() > 0 { 0.1 } else { 0.0 };
    let turns = 0.01 * prompt.messages().saturating_sub(1).min(15) as f64;
    let length = 0.15 * (prompt.bytes().saturating_sub(4096) as f64 / 65_536.0).min(1.0);
    let scripts = if foreign > 0.2 { 0.2 * f64::from(foreign) } else { 0.0 };
    tools + turns + length + scripts
}

fn logit(head: &Head, vector: &Vector) -> f32 {
    let counts: f32 = (0..COUNT).zip(head.counts).zip(vector.counts).map(|((_, weight), count)| weight * count).sum();
    let mut halves = [0.0_f32; 2];
    let split = vector.grams.partition_point(|(bucket, _)| (*bucket as usize) < BUCKETS / 2);
    let (words, pieces) = vector.grams.split_at(split);
    for (sum, half) in halves.iter_mut().zip([words, pieces]) {
        for (bucket, value) in half {
            let weight = head.buckets.get(*bucket as usize).copied().unwrap_or(0);
            *sum += f32::from(weight) * value;
        }
    }
    head.bias + counts + halves[0] * head.scales[0] + halves[1] * head.scales[1]
}

#[cfg(test)]
mod tests;
