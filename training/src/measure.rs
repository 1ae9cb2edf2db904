//! Figures of a score: area under the ROC curve, its interval, quality kept against share sent up.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::data::below;

/// The probability that one that fails scores above one that does not; ties count half. None if all are of a kind.
pub(crate) fn auc(scored: &[(f64, bool)]) -> Option<f64> {
    let mut order: Vec<(f64, bool)> = scored.to_vec();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let fails = order.iter().filter(|(_, fails)| *fails).count() as f64;
    let passes = order.len() as f64 - fails;
    let (mut below, mut pairs) = (0.0, 0.0);
    for ties in order.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let fail = ties.iter().filter(|(_, fails)| *fails).count() as f64;
        let pass = ties.len() as f64 - fail;
        pairs += fail * (below + pass / 2.0);
        below += pass;
    }
    (fails > 0.0 && passes > 0.0).then(|| pairs / (fails * passes))
}

/// Where 95 of 100 resamples lie.
pub(crate) fn interval(scored: &[(f64, bool)], seed: u64) -> Option<(f64, f64)> {
    const RESAMPLES: usize = 1000;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut areas: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn = (0..scored.len()).filter_map(|_| scored.get(below(&mut random, scored.len())).copied());
            auc(&drawn.collect::<Vec<_>>())
        })
        .collect();
    areas.sort_by(f64::total_cmp);
    Some((*areas.get(areas.len() / 40)?, *areas.get(areas.len() - 1 - areas.len() / 40)?))
}

/// The mean outcome when the share with the highest rank goes up. `outcomes` are of small and large; ties in rank
/// stay in the order given.
pub(crate) fn quality(ranked: &[(f64, f64, f64)], share: f64) -> f64 {
    let mut order: Vec<&(f64, f64, f64)> = ranked.iter().collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let up = (share * order.len() as f64).round() as usize;
    let sum: f64 = order.iter().enumerate().map(|(n, (_, small, large))| if n < up { large } else { small }).sum();
    sum / order.len().max(1) as f64
}

#[cfg(test)]
mod tests;
