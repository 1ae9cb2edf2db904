//! The token at which the most probable ones reach a share: top-p without sorting the vocabulary.
//!
//! Tokens are weighed by classes of close logits; the class in which the share is reached is known then,
//! and only its tokens are looked at one by one. The result is that of sorting everything: but for the
//! rounding of sums, which can matter where a share is reached to the last few of a double's bits.

use super::cut::Cut;
use super::exp::LOWEST;
use super::keys;
use super::maxima::{BLOCK, Maxima};
use super::weights::Weights;

/// So many keys are sorted; more are halved first.
const FEW: usize = 64;

/// Classes for each power of e: so many that a class is small, so few that they stay in a fast cache.
const FINENESS: f32 = 32.0;

/// Classes down to weight 0; what weighs nothing is in the last.
const CLASSES: usize = (-LOWEST * FINENESS) as usize + 2;

/// The weight of each class of tokens, the best first.
#[derive(Debug)]
pub(super) struct Shares(Vec<f64>);

impl Shares {
    pub(super) fn new() -> Self {
        Self(vec![0.0; CLASSES])
    }

    /// Puts the keys of one class into `keys`: that of the token at which the most probable ones weigh
    /// `needed`. Returns the weight of all better classes.
    pub(super) fn collect(
        &mut self,
        keys: &mut Vec<u64>,
        logits: &[f32],
        maxima: &Maxima,
        weights: &Weights,
        needed: f64,
    ) -> f64 {
        let least = enough(logits, maxima, weights, needed);
        self.weigh(logits, maxima, weights, least);
        let (class, sum) = self.find(needed);
        keys.clear();
        for (start, block) in maxima.reaching(logits, least) {
            let classes = classes(block, weights);
            for (offset, (logit, of)) in block.iter().zip(classes).enumerate() {
                if of as usize == class && *logit >= least {
                    keys.push(keys::key(*logit, start + offset));
                }
            }
        }
        sum
    }

    /// Weighs the classes of all logits of at least `least`.
    fn weigh(&mut self, logits: &[f32], maxima: &Maxima, weights: &Weights, least: f32) {
        self.0.fill(0.0);
        for (_, block) in maxima.reaching(logits, least) {
            let mut single = [0.0; BLOCK];
            weights.weigh(block, least, &mut single);
            let classes = classes(block, weights);
            for (class, weight) in classes.into_iter().zip(single) {
                if let Some(share) = self.0.get_mut(class as usize) {
                    *share += f64::from(weight);
                }
            }
        }
    }

    /// The class in which `needed` is reached and the weight of those before: of the last class that
    /// weighs anything, if it is not reached.
    fn find(&self, needed: f64) -> (usize, f64) {
        let mut sum = 0.0;
        let mut found = (0, 0.0);
        for (class, share) in self.0.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            found = (class, sum);
            sum += share;
            if sum >= needed {
                break;
            }
        }
        found
    }
}

/// The class of each logit of a block: its distance from the best, rounded.
#[inline(always)]
fn classes(block: &[f32], weights: &Weights) -> [u32; BLOCK] {
    // Added to a number below it, the number's whole part is left in the sum's lowest bits.
    const ROUND: f32 = 8_388_608.0;
    const LAST: f32 = (CLASSES - 1) as f32;
    let mut classes = [0; BLOCK];
    for (class, logit) in classes.iter_mut().zip(block) {
        let distance = weights.distance(*logit) * FINENESS;
        let distance = if distance < LAST { distance } else { LAST };
        *class = (distance + ROUND).to_bits() & 0x7f_ffff;
    }
    classes
}

/// A logit such that all tokens with at least that weigh `needed`: those close to the best usually do,
/// and lie in a few blocks. Once the blocks are many, all tokens are taken without further trials.
fn enough(logits: &[f32], maxima: &Maxima, weights: &Weights, needed: f64) -> f32 {
    let mut power = -2.0;
    loop {
        let least = weights.logit(power);
        if least <= Cut::NONE.logit || maxima.share_reaching(least) > 0.25 {
            return Cut::NONE.logit;
        }
        if weights.total(logits, maxima, Cut { logit: least, id: usize::MAX }) >= needed {
            return least;
        }
        power *= 2.0;
    }
}

/// The key at which the weight of the highest keys, added to `sum`, reaches `needed`; the lowest of all
/// if it does not. First looks at a few, then at more and more, then halves what it has found.
pub(super) fn reach(keys: &mut [u64], weights: &Weights, mut sum: f64, needed: f64) -> Option<u64> {
    let mut rest = keys;
    let mut size = FEW;
    while rest.len() > FEW {
        let middle = size.min(rest.len() / 2);
        rest.select_nth_unstable_by(middle, |a, b| b.cmp(a));
        let (high, low) = rest.split_at_mut(middle);
        let weight: f64 = high.iter().map(|key| f64::from(weights.of(keys::logit(*key)))).sum();
        if sum + weight >= needed {
            rest = high;
            size = usize::MAX;
        } else {
            sum += weight;
            rest = low;
            size = size.saturating_mul(8);
        }
    }
    rest.sort_unstable_by(|a, b| b.cmp(a));
    let reached = rest.iter().find(|key| {
        sum += f64::from(weights.of(keys::logit(**key)));
        sum >= needed
    });
    reached.or(rest.last()).copied()
}
