//! From logits to a token.
//!
//! Order: bias, stop tokens banned before `min_tokens`, penalties; log-probabilities are taken here;
//! then temperature, top-k, top-p, min-p, and the draw. The draw's random number depends on the seed and
//! the token's position in the answer alone, so the same request gives the same tokens in any company.
//! Temperature 0 is greedy: the most probable token, the lowest id of equals.

use std::cmp::Ordering;
use std::collections::HashMap;

use protocol::ids::TokenId;
use protocol::job::{Limits, Logprobs, Sampled, Sampling};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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

/// Chooses the next token. `logits` holds one value per id of the vocabulary; it is changed.
///
/// # Errors
/// Logits that are not finite.
pub fn sample(
    logits: &mut [f32],
    sampling: &Sampling,
    limits: &Limits,
    history: History<'_>,
) -> Result<Sampled, NotFinite> {
    if !logits.iter().all(|logit| logit.is_finite()) {
        return Err(NotFinite);
    }
    adjust(logits, sampling, limits, history);
    let best = argmax(logits).filter(|(_, logit)| logit.is_finite()).ok_or(NotFinite)?;
    let token = if sampling.temperature > 0.0 {
        let random = uniform(sampling.seed, history.answer.len() as u64);
        draw(logits, sampling, best.1, random).unwrap_or(best.0)
    } else {
        best.0
    };
    let logprobs = sampling.logprobs.map(|count| logprobs(logits, token, best.1, usize::from(count)));
    Ok(Sampled { token: id(token), logprobs })
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

/// Bias, banned stops, penalties. Penalties are those of the OpenAI API (presence, frequency: taken from
/// the logits of tokens in the answer) and of CTRL (repetition: arXiv 1909.05858, prompt and answer).
fn adjust(logits: &mut [f32], sampling: &Sampling, limits: &Limits, history: History<'_>) {
    for (token, bias) in &sampling.logit_bias {
        if let Some(logit) = logits.get_mut(token.0 as usize) {
            *logit += bias;
        }
    }
    if (history.answer.len() as u64) < limits.min_tokens.0 {
        for token in &limits.stop_ids {
            if let Some(logit) = logits.get_mut(token.0 as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
    if sampling.repetition_penalty != 1.0 {
        let mut seen: Vec<TokenId> = history.prompt.iter().chain(history.answer).copied().collect();
        seen.sort_unstable();
        seen.dedup();
        for token in seen {
            if let Some(logit) = logits.get_mut(token.0 as usize) {
                *logit = if *logit > 0.0 {
                    *logit / sampling.repetition_penalty
                } else {
                    *logit * sampling.repetition_penalty
                };
            }
        }
    }
    if sampling.presence_penalty != 0.0 || sampling.frequency_penalty != 0.0 {
        let mut counts: HashMap<TokenId, u32> = HashMap::new();
        for token in history.answer {
            *counts.entry(*token).or_default() += 1;
        }
        for (token, count) in counts {
            if let Some(logit) = logits.get_mut(token.0 as usize) {
                *logit -= sampling.presence_penalty + sampling.frequency_penalty * count as f32;
            }
        }
    }
}

fn argmax(logits: &[f32]) -> Option<(usize, f32)> {
    logits.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// More probable first; of equals the lower id.
fn by_logit(a: &(usize, f32), b: &(usize, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// The best `count` in order; without sorting the rest.
fn best(candidates: &mut Vec<(usize, f32)>, count: usize) {
    if count < candidates.len() {
        if count > 0 {
            candidates.select_nth_unstable_by(count - 1, by_logit);
        }
        candidates.truncate(count);
    }
    candidates.sort_unstable_by(by_logit);
}

fn draw(logits: &[f32], sampling: &Sampling, highest: f32, random: f64) -> Option<usize> {
    let mut candidates: Vec<(usize, f32)> =
        logits.iter().copied().enumerate().filter(|(_, logit)| *logit > f32::NEG_INFINITY).collect();
    let weight = |logit: f32| f64::from((logit - highest) / sampling.temperature).exp();
    if sampling.top_k > 0 && (sampling.top_k as usize) < candidates.len() {
        best(&mut candidates, sampling.top_k as usize);
    }
    if sampling.top_p < 1.0 {
        keep_top_p(&mut candidates, f64::from(sampling.top_p), weight);
    }
    if sampling.min_p > 0.0 {
        candidates.retain(|(_, logit)| weight(*logit) >= f64::from(sampling.min_p));
    }
    let total: f64 = candidates.iter().map(|(_, logit)| weight(*logit)).sum();
    let mut left = random * total;
    for (token, logit) in &candidates {
        left -= weight(*logit);
        if left < 0.0 {
            return Some(*token);
        }
    }
    // Rounding may leave a crumb: the last candidate takes it.
    candidates.last().map(|(token, _)| *token)
}

/// Keeps the most probable tokens until their share reaches `p`: looks at a few first, since a few
/// usually suffice, and sorts everything only if they do not.
fn keep_top_p(candidates: &mut Vec<(usize, f32)>, p: f64, weight: impl Fn(f32) -> f64) {
    let needed: f64 = p * candidates.iter().map(|(_, logit)| weight(*logit)).sum::<f64>();
    let mut count = 64;
    loop {
        let mut few = candidates.clone();
        best(&mut few, count);
        let mut sum = 0.0;
        let enough = few.iter().position(|(_, logit)| {
            sum += weight(*logit);
            sum >= needed
        });
        if let Some(last) = enough {
            few.truncate(last + 1);
            *candidates = few;
            return;
        }
        if count >= candidates.len() {
            *candidates = few;
            return;
        }
        count *= 16;
    }
}

fn logprobs(logits: &[f32], chosen: usize, highest: f32, count: usize) -> Logprobs {
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let norm = f64::from(highest) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - norm) as f32;
    let mut top: Vec<(usize, f32)> = if count == 0 { Vec::new() } else { logits.iter().copied().enumerate().collect() };
    best(&mut top, count);
    Logprobs {
        chosen: logits.get(chosen).copied().map_or(f32::NEG_INFINITY, logprob),
        top: top.into_iter().map(|(token, logit)| (id(token), logprob(logit))).collect(),
    }
}

#[cfg(test)]
mod tests;
