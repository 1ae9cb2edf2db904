//! Tokens as numbers that sort by probability: a higher key is a more probable token, or of equals the
//! one with the lower id. Sorting and selecting whole numbers is much faster than pairs.

use super::maxima::Maxima;

/// A logit and its id. -0 and 0 are equal, as they are in comparisons.
#[inline(always)]
pub(super) fn key(logit: f32, id: usize) -> u64 {
    let bits = (logit + 0.0).to_bits();
    // Negative numbers sort the other way round, and below the positive ones.
    let order = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(order) << 32 | u64::from(!(id as u32))
}

/// The logit of a key.
#[inline(always)]
pub(super) fn logit(key: u64) -> f32 {
    let order = (key >> 32) as u32;
    f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
}

/// The id of a key.
pub(super) fn id(key: u64) -> usize {
    !(key as u32) as usize
}

/// Puts the keys of all logits of at least `least` into `keys`.
pub(super) fn collect(keys: &mut Vec<u64>, logits: &[f32], maxima: &Maxima, least: f32) {
    keys.clear();
    for (start, block) in maxima.reaching(logits, least) {
        let ids = block.iter().enumerate().filter(|(_, logit)| **logit >= least);
        keys.extend(ids.map(|(offset, logit)| key(*logit, start + offset)));
    }
}

/// Puts the keys of the best `count` logits of at least `least` into `keys`: of fewer, if there are
/// fewer. The last of them is the least; the others are in no order.
pub(super) fn collect_best(keys: &mut Vec<u64>, logits: &[f32], maxima: &mut Maxima, count: usize, least: f32) {
    // A bound that is not a number (of logits near the ends of the scale) compares as false: `least` stays.
    let bound = maxima.reached_by(logits, count);
    collect(keys, logits, maxima, if bound > least { bound } else { least });
    if let Some(last) = count.min(keys.len()).checked_sub(1) {
        keys.select_nth_unstable_by(last, |a, b| b.cmp(a));
    }
    keys.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_logit_then_by_the_lower_id_and_give_both_back() {
        let order = [(1e30, 3), (2.5, 0), (2.5, 7), (1e-40, 1), (0.0, 4), (-0.0, 5), (-1e-40, 0), (-3.0, 2)];
        for pair in order.windows(2) {
            assert!(key(pair[0].0, pair[0].1) > key(pair[1].0, pair[1].1), "{pair:?}");
        }
        for (value, token) in order {
            assert_eq!((logit(key(value, token)), id(key(value, token))), (value, token));
        }
        assert_eq!(logit(key(f32::NEG_INFINITY, 9)), f32::NEG_INFINITY);
    }
}
