//! From floats to codes, scales and minima.

use half::f16;

use super::{Codes, GroupKind};
use crate::kernels::math::round;

/// Shares of a group's range that are tried: cutting off its ends often costs less than coarse steps.
const SHARES: [f32; 4] = [1.0, 0.94, 0.88, 0.8];

impl Codes<'_> {
    /// Quantises a row, each group to the least square error among a few ranges.
    pub(crate) fn quantise(&mut self, floats: &[f32], kind: GroupKind) {
        let groups = floats.chunks(kind.group).zip(self.codes.chunks_mut(kind.group));
        for ((floats, codes), (scale, minimum)) in groups.zip(self.scales.iter_mut().zip(self.minima.iter_mut())) {
            (*scale, *minimum) = group(floats, codes, kind);
        }
    }
}

/// As it will be stored.
fn stored(number: f32, kind: GroupKind) -> f32 {
    if kind.half { f16::from_f32(number).to_f32() } else { number }
}

fn group(floats: &[f32], codes: &mut [u8], kind: GroupKind) -> (f32, f32) {
    if !floats.iter().all(|x| x.is_finite()) {
        return (f32::NAN, f32::NAN);
    }
    let (mut lowest, mut highest) = (f32::INFINITY, f32::NEG_INFINITY);
    for x in floats {
        (lowest, highest) = (lowest.min(*x), highest.max(*x));
    }
    let mut best = (0.0, stored(lowest, kind));
    let mut least = error(floats, best, kind);
    let middle = (lowest + highest) / 2.0;
    for share in if kind.four { &SHARES[..] } else { &SHARES[..1] } {
        let step = (highest - lowest) * share / f32::from(kind.highest());
        let first = (stored(step, kind), stored(middle - (highest - lowest) * share / 2.0, kind));
        for candidate in [first, refit(floats, first, kind)] {
            let error = error(floats, candidate, kind);
            if error < least {
                (least, best) = (error, candidate);
            }
        }
    }
    for (code, x) in codes.iter_mut().zip(floats) {
        *code = encode(*x, best, kind) as u8;
    }
    best
}

#[inline(always)]
fn encode(x: f32, (scale, minimum): (f32, f32), kind: GroupKind) -> i32 {
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let place = ((x - minimum) * inverse).clamp(0.0, f32::from(kind.highest()));
    round(place)
}

fn error(floats: &[f32], candidate: (f32, f32), kind: GroupKind) -> f32 {
    let miss = |x: f32| x - (encode(x, candidate, kind) as f32 * candidate.0 + candidate.1);
    floats.iter().map(|x| miss(*x) * miss(*x)).sum()
}

/// The line through the numbers over their codes that misses least (ordinary least squares).
fn refit(floats: &[f32], candidate: (f32, f32), kind: GroupKind) -> (f32, f32) {
    let (mut code_sum, mut sum, mut squares, mut products) = (0.0f32, 0.0f32, 0.0f32, 0.0f32);
    for x in floats {
        let code = encode(*x, candidate, kind) as f32;
        code_sum += code;
        sum += x;
        squares += code * code;
        products += code * x;
    }
    let count = floats.len() as f32;
    let spread = count * squares - code_sum * code_sum;
    if spread <= 0.0 {
        return candidate;
    }
    let scale = (count * products - code_sum * sum) / spread;
    (stored(scale, kind), stored((sum - scale * code_sum) / count, kind))
}
