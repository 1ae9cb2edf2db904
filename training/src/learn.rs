//! From labelled prompts to weights.
//!
//! Each prompt is learned from as it is, without its template, and with slips of the finger. What is learned is
//! partly the prompt's own outcome and partly the mean outcome of its task: the outcome of one prompt under a
//! handful of models is mostly chance, and its kind is what words tell.

use std::collections::BTreeMap;

use policy::complexity::{Head, LinearScorer, QUANTILES, Vector, Weights};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::data::{Example, below};
use crate::optimise::{Model, Row, learn};
use crate::vary;

/// How to learn.
#[derive(Clone, Copy, Debug, PartialEq, clap::Args)]
pub struct Recipe {
    /// Seed of the slips of the finger that are trained against.
    #[arg(long, default_value_t = Self::USUAL.seed)]
    pub seed: u64,
    /// Penalty on large weights, for a loss summed over the prompts.
    #[arg(long, default_value_t = Self::USUAL.penalty)]
    pub penalty: f64,
    /// How much a prompt's own outcome counts; the rest is the mean of its task.
    #[arg(long, default_value_t = Self::USUAL.own)]
    pub own: f64,
}

/// A recipe by which nothing can be learned.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadRecipe {
    #[error("--penalty is {0}: give a number above 0")]
    Penalty(f64),
    #[error("--own is {0}: give a number from 0 to 1")]
    Own(f64),
}

impl Recipe {
    /// The one that the weights of the repository were learned by.
    pub const USUAL: Self = Self { seed: 1, penalty: 0.5, own: 0.3 };

    /// Checked.
    ///
    /// # Errors
    /// A number is out of range.
    pub fn check(&self) -> Result<(), BadRecipe> {
        if !(self.penalty > 0.0 && self.penalty.is_finite()) {
            Err(BadRecipe::Penalty(self.penalty))
        } else if !(0.0..=1.0).contains(&self.own) {
            Err(BadRecipe::Own(self.own))
        } else {
            Ok(())
        }
    }
}

/// Learns weights.
pub fn weights(examples: &[Example], recipe: &Recipe) -> Weights {
    let vectors = vectors(examples, recipe.seed);
    let fails = head(examples, &vectors, recipe, |example| f64::from(u8::from(example.fails())));
    let adds = head(examples, &vectors, recipe, Example::adds);
    let unranked = LinearScorer::new(Weights { fails: fails.clone(), adds: adds.clone(), quantiles: [0.0; QUANTILES] });
    let mut logits: Vec<f32> =
        vectors.iter().filter_map(|of| of.first()).map(|vector| unranked.logits(vector).adds).collect();
    logits.sort_by(f32::total_cmp);
    let last = logits.len().saturating_sub(1);
    let quantiles = std::array::from_fn(|n| logits.get(n * last / (QUANTILES - 1)).copied().unwrap_or_default());
    Weights { fails, adds, quantiles }
}

/// Each prompt as it is, without its template, and twice with slips.
fn vectors(examples: &[Example], seed: u64) -> Vec<Vec<Vector>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let of = |example: &Example| {
        let text = &example.text;
        let mut slips = || {
            let edits = 1 + below(&mut random, 3);
            vary::typos(text, edits, &mut random)
        };
        let texts = [text.clone(), vary::stripped(text), slips(), slips()];
        texts.iter().map(|text| Vector::of(text)).collect()
    };
    examples.iter().map(of).collect()
}

fn head(examples: &[Example], vectors: &[Vec<Vector>], recipe: &Recipe, outcome: impl Fn(&Example) -> f64) -> Head {
    let mut tasks: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for example in examples {
        let (sum, count) = tasks.entry(&example.task).or_default();
        *sum += outcome(example);
        *count += 1.0;
    }
    let target = |example: &Example| {
        let own = outcome(example);
        let mean = tasks.get(example.task.as_str()).map_or(own, |(sum, count)| sum / count);
        recipe.own * own + (1.0 - recipe.own) * mean
    };
    let rows: Vec<Row<'_>> = examples
        .iter()
        .zip(vectors)
        .flat_map(|(example, of)| {
            let target = target(example);
            of.iter().map(move |vector| Row { vector, target, weight: 1.0 / of.len() as f64 })
        })
        .collect();
    quantised(&learn(&rows, recipe.penalty / examples.len().max(1) as f64))
}

fn quantised(model: &Model) -> Head {
    let buckets: Vec<f32> = model.buckets().iter().map(|weight| *weight as f32).collect();
    let mut counts = [0.0; _];
    for (out, weight) in counts.iter_mut().zip(model.counts()) {
        *out = *weight as f32;
    }
    Head::quantised(model.bias() as f32, counts, &buckets)
}

#[cfg(test)]
mod tests;
