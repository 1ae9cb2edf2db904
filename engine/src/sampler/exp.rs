//! e to a power of at most 0, in single precision and plain arithmetic that LLVM turns into vectors.
//!
//! Rules: the same bits come out alone or in a vector, on any processor: nothing here is fused or
//! reordered. The relative error is below 2e-7. Below [`LOWEST`], where single precision runs out of
//! exponents, the result is 0, and it is 0 for what is not a number; above 0 nothing is promised.

/// The lowest power with a result other than 0: the logarithm of the smallest normal number, rounded up.
pub(super) const LOWEST: f32 = -87.336;

/// Added to a small number and taken off again, it leaves the nearest whole number: the sum has no
/// bits for a fraction. Meanwhile its lowest bits are that whole number.
const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts: the first has so few bits that its product with a whole number is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// (e^r - 1 - r) / r² for |r| ≤ ln 2 / 2, the highest power first: the coefficients of Cephes' expf.
const TAIL: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// e to the power of `x`, which is at most 0.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let inside = x > LOWEST;
    let x = if inside { x } else { 0.0 };
    // e^x = 2^n · e^r
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let [a, b, c, d, e, f] = TAIL;
    let tail = ((((a * r + b) * r + c) * r + d) * r + e) * r + f;
    let power = tail * (r * r) + r + 1.0;
    // The shift leaves n alone of `shifted`, where the exponent is; 1.0 brings the exponent's bias.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    if inside { power * scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_within_two_parts_in_ten_million_everywhere() {
        let mut x = 0.0f32;
        let mut worst = 0.0f64;
        while x > LOWEST {
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
            x -= (x.abs() * 1e-5).max(1e-5);
        }
        assert!(worst < 2e-7, "{worst}");
    }

    #[test]
    fn its_ends_are_exact() {
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert!(exp(LOWEST.next_up()) >= f32::MIN_POSITIVE);
        for nothing in [LOWEST, -100.0, f32::MIN, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(exp(nothing).to_bits(), 0, "{nothing}");
        }
    }

    #[test]
    fn a_higher_power_is_never_lighter() {
        let mut x = -0.001f32;
        for _ in 0..300_000 {
            let below = x - x.abs() * 1e-5;
            assert!(exp(below) <= exp(x), "{below} {x}");
            x -= 1e-4;
        }
    }
}
