//! From logits to a token.
//!
//! Order: bias, stop tokens banned before `min_tokens`, penalties; log-probabilities are taken here;
//! then temperature, top-k, top-p, min-p, and the draw. The draw's random number depends on the seed and
//! the token's position in the answer alone, so the same request gives the same tokens in any company.
//! Temperature 0 is greedy: the most probable token, the lowest id of equals.
//!
//! Vocabularies are large, so the work is done in few passes of plain loops over arrays, which LLVM turns
//! into vectors. The first pass takes the maximum of each block of ids; all others step over blocks that
//! have nothing for them. Nothing is allocated but a list of log-probabilities that goes out.

use protocol::ids::TokenId;
use protocol::job::{Limits, Logprobs, Sampled, Sampling};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use adjust::{Counts, adjust};
use cut::Cut;
use maxima::Maxima;
use share::Shares;
use weights::Weights;

mod adjust;
mod cut;
mod exp;
mod keys;
mod maxima;
mod share;
mod weights;

/// The logits cannot be used: some are not numbers, or nothing is left to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the logits are not finite")]
pub struct NotFinite;

/// What a sampler needs to know of a sequence.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// The prompt's tokens.
    pub prompt: &'a [TokenId],
    /// The answer so far, in all attempts.
    pub answer: &'a [TokenId],
}

/// Chooses tokens. It keeps memory from token to token and nothing else: one serves any requests.
#[derive(Debug)]
pub struct Sampler {
    maxima: Maxima,
    counts: Counts,
    keys: Vec<u64>,
    shares: Shares,
    sums: Vec<(usize, f64)>,
}

impl Sampler {
    /// A sampler for a vocabulary of so many ids; a larger one makes it grow.
    #[must_use]
    pub fn new(vocabulary: usize) -> Self {
        Self {
            maxima: Maxima::new(vocabulary),
            counts: Counts::new(vocabulary),
            keys: Vec::with_capacity(vocabulary),
            shares: Shares::new(),
            sums: Vec::with_capacity(vocabulary.div_ceil(maxima::BLOCK)),
        }
    }

    /// Chooses the next token. `logits` holds one value per id of the vocabulary; it is changed.
    ///
    /// # Errors
    /// Logits that are not finite, from the model or after the request's bias and penalties (which may
    /// ban tokens, but not all), and no logits.
    pub fn sample(
        &mut self,
        logits: &mut [f32],
        sampling: &Sampling,
        limits: &Limits,
        history: History<'_>,
    ) -> Result<Sampled, NotFinite> {
        if !self.maxima.scan(logits) {
            return Err(NotFinite);
        }
        if adjust(logits, &mut self.counts, sampling, limits, history)? {
            self.maxima.scan(logits);
        }
        if !self.maxima.highest().is_finite() {
            return Err(NotFinite);
        }
        let best = self.maxima.best(logits).ok_or(NotFinite)?;
        let token = if sampling.temperature > 0.0 {
            let random = uniform(sampling.seed, history.answer.len() as u64);
            self.draw(logits, sampling, random).unwrap_or(best)
        } else {
            best
        };
        let logprobs = sampling.logprobs.map(|count| self.logprobs(logits, token, usize::from(count)));
        Ok(Sampled { token: id(token), logprobs })
    }

    fn draw(&mut self, logits: &[f32], sampling: &Sampling, random: f64) -> Option<usize> {
        let weights = Weights::new(self.maxima.highest(), sampling.temperature);
        let cut = Cut::new(logits, &mut self.maxima, &mut self.keys, &mut self.shares, &weights, sampling);
        weights.draw(logits, &self.maxima, cut, random, &mut self.sums)
    }

    fn logprobs(&mut self, logits: &[f32], chosen: usize, count: usize) -> Logprobs {
        let highest = self.maxima.highest();
        let sum = Weights::new(highest, 1.0).total(logits, &self.maxima, Cut::NONE);
        let norm = f64::from(highest) + sum.ln();
        let logprob = |logit: f32| (f64::from(logit) - norm) as f32;
        keys::collect_best(&mut self.keys, logits, &mut self.maxima, count, f32::NEG_INFINITY);
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        Logprobs {
            chosen: logits.get(chosen).copied().map_or(f32::NEG_INFINITY, logprob),
            top: self.keys.iter().map(|key| (id(keys::id(*key)), logprob(keys::logit(*key)))).collect(),
        }
    }
}

/// The random number for a position of an answer: uniform in [0, 1).
fn uniform(seed: u64, position: u64) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(position);
    // 53 bits are what a double holds.
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn id(index: usize) -> TokenId {
    TokenId(u32::try_from(index).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
