//! Which tokens may be drawn: top-k, top-p and min-p as one lower bound in the order of [`super::keys`].
//!
//! Rules: each truncation works on what the one before it has left. Top-k keeps the k most probable.
//! Top-p keeps the fewest most probable whose share of the probability left reaches p, and at least one.
//! Min-p keeps those that are at least so many times as probable as the best. Nothing is sorted that is
//! larger than a few dozen tokens.

use protocol::job::Sampling;

use super::keys;
use super::maxima::Maxima;
use super::share::{self, Shares};
use super::weights::Weights;

/// The least probable token that may be drawn: all with a higher logit may be, and those with the same
/// and an id that is not higher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) logit: f32,
    pub(super) id: usize,
}

impl Cut {
    /// All but banned tokens.
    pub(super) const NONE: Self = Self { logit: f32::MIN, id: usize::MAX };

    fn at(key: u64) -> Self {
        Self { logit: keys::logit(key), id: keys::id(key) }
    }

    /// The truncations that `sampling` asks for. `keys` and `shares` are scratch.
    pub(super) fn new(
        logits: &[f32],
        maxima: &mut Maxima,
        keys: &mut Vec<u64>,
        shares: &mut Shares,
        weights: &Weights,
        sampling: &Sampling,
    ) -> Self {
        let mut cut = Self::NONE;
        let top_k = sampling.top_k as usize;
        let few = top_k > 0 && top_k < logits.len();
        if few {
            keys::collect_best(keys, logits, maxima, top_k, cut.logit);
            cut = keys.last().map_or(cut, |last| Self::at(*last));
        }
        if sampling.top_p < 1.0 {
            let needed = f64::from(sampling.top_p) * weights.total(logits, maxima, cut);
            let sum = if few { 0.0 } else { shares.collect(keys, logits, maxima, weights, needed) };
            cut = share::reach(keys, weights, sum, needed).map_or(cut, Self::at);
        }
        if sampling.min_p > 0.0 {
            let least = weights.least(sampling.min_p);
            if least > cut.logit {
                cut = Self { logit: least, id: usize::MAX };
            }
        }
        cut
    }
}
