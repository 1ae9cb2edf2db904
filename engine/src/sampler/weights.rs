//! The weights of tokens at a temperature, their sums, and the draw.
//!
//! Rules: the best token weighs 1 and nothing weighs more, so that no temperature overflows; what is
//! lighter than the smallest normal number weighs nothing. A weight is off by at most 2e-7 of itself, and
//! by as much again for each power of e that it is below the best. Sums are in double precision and in the
//! same order for the same ids, and tokens are drawn in the order of their ids: the same logits and the
//! same random number give the same token.

use super::cut::Cut;
use super::exp::{LOWEST, exp};
use super::maxima::{BLOCK, Maxima};

/// Sums side by side.
const LANES: usize = 8;

/// How logits become weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    highest: f32,
    temperature: f32,
    /// One over the temperature: a product is faster than a quotient.
    scale: f32,
}

impl Weights {
    /// `highest` is the best logit; the temperature is above 0.
    pub(super) fn new(highest: f32, temperature: f32) -> Self {
        // Within these bounds the scale is neither 0 nor infinite; beyond them nothing differs.
        let temperature = temperature.clamp(f32::MIN_POSITIVE, f32::MAX);
        Self { highest, temperature, scale: 1.0 / temperature }
    }

    /// The weight of a logit.
    #[inline(always)]
    pub(super) fn of(&self, logit: f32) -> f32 {
        exp((logit - self.highest) * self.scale)
    }

    /// How far a logit is from the best, in powers of e: rises as logits fall.
    #[inline(always)]
    pub(super) fn distance(&self, logit: f32) -> f32 {
        (self.highest - logit) * self.scale
    }

    /// The logit that weighs e to the power of `power`.
    pub(super) fn logit(&self, power: f64) -> f32 {
        // Weights of 0 need no looking for: below, all is wanted.
        if power < f64::from(LOWEST) {
            return f32::MIN;
        }
        (f64::from(self.highest) + f64::from(self.temperature) * power) as f32
    }

    /// The lowest logit that weighs at least `weight`; never that of a banned token.
    pub(super) fn least(&self, weight: f32) -> f32 {
        let exact = f64::from(self.highest) + f64::from(self.temperature) * f64::from(weight).ln();
        let near = exact as f32;
        let least = if f64::from(near) < exact { near.next_up() } else { near };
        if least > f32::MIN { least } else { f32::MIN }
    }

    /// The weight of all tokens that a cut leaves.
    pub(super) fn total(&self, logits: &[f32], maxima: &Maxima, cut: Cut) -> f64 {
        maxima.reaching(logits, cut.logit).map(|(start, block)| self.block(start, block, cut)).sum()
    }

    /// Draws one of the tokens that a cut leaves; `random` is in [0, 1). None if it leaves none.
    /// `sums` is scratch.
    pub(super) fn draw(
        &self,
        logits: &[f32],
        maxima: &Maxima,
        cut: Cut,
        random: f64,
        sums: &mut Vec<(usize, f64)>,
    ) -> Option<usize> {
        sums.clear();
        sums.extend(maxima.reaching(logits, cut.logit).map(|(start, block)| (start, self.block(start, block, cut))));
        let mut left = random * sums.iter().map(|(_, sum)| sum).sum::<f64>();
        let mut drawn = None;
        for (start, sum) in sums.iter().copied().filter(|(_, sum)| *sum > 0.0) {
            drawn = Some(start);
            if left < sum {
                break;
            }
            left -= sum;
        }
        let start = drawn?;
        // Sums in another order may leave a crumb: the block's last token takes it.
        let mut last = None;
        for (offset, logit) in logits.get(start..)?.iter().take(BLOCK).enumerate() {
            let id = start + offset;
            let weight = if *logit >= least_at(cut, id) { self.of(*logit) } else { 0.0 };
            if weight > 0.0 {
                last = Some(id);
                left -= f64::from(weight);
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// The weight of what a cut leaves of a block whose first id is `start`.
    fn block(&self, start: usize, block: &[f32], cut: Cut) -> f64 {
        // The cut's own id lies in one block alone: there are two bounds in that one.
        let same = cut.id.saturating_add(1).saturating_sub(start).min(block.len());
        let (until, after) = block.split_at(same);
        let mut sum = 0.0;
        if !until.is_empty() {
            sum += self.sum(until, cut.logit);
        }
        if !after.is_empty() {
            sum += self.sum(after, cut.logit.next_up());
        }
        sum
    }

    /// The weight of all logits of at least `least`: of a block at most.
    fn sum(&self, logits: &[f32], least: f32) -> f64 {
        // Two loops, since one that mixes single and double precision is turned into half vectors.
        let mut weights = [0.0; BLOCK];
        self.weigh(logits, least, &mut weights);
        let mut sums = [0.0f64; LANES];
        for chunk in weights.as_chunks::<LANES>().0 {
            for lane in 0..LANES {
                sums[lane] += f64::from(chunk[lane]);
            }
        }
        sums.iter().sum()
    }

    /// The weight of each logit of a block; 0 for those below `least`.
    #[inline(always)]
    pub(super) fn weigh(&self, logits: &[f32], least: f32, weights: &mut [f32; BLOCK]) {
        for (weight, logit) in weights.iter_mut().zip(logits) {
            let full = self.of(*logit);
            *weight = if *logit >= least { full } else { 0.0 };
        }
    }
}

/// The lowest logit with which an id may be drawn.
fn least_at(cut: Cut, id: usize) -> f32 {
    if id <= cut.id { cut.logit } else { cut.logit.next_up() }
}
