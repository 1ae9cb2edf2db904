//! Small arithmetic that the compiler vectorises, and the macro that compiles it for each instruction set.
//!
//! Multiplications and additions are not fused here, so that all instruction sets give the same bits.

use half::bf16;

/// Compiles a function for each instruction set and chooses by an [`Isa`](super::Isa) in front.
macro_rules! per_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $(<const $n:ident: usize>)? ($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name $(<const $n: usize>)? (isa: crate::kernels::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn body $(<const $n: usize>)? ($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2 $(<const $n: usize>)? ($($arg: $ty),*) {
                body $(::<$n>)? ($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512 $(<const $n: usize>)? ($($arg: $ty),*) {
                body $(::<$n>)? ($($arg),*);
            }
            match isa.level() {
                // SAFETY: such an `Isa` exists only on processors that have these instructions.
                #[cfg(target_arch = "x86_64")]
                crate::kernels::isa::Level::Avx512 => unsafe { avx512 $(::<$n>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::kernels::isa::Level::Avx2 => unsafe { avx2 $(::<$n>)? ($($arg),*) },
                _ => body $(::<$n>)? ($($arg),*),
            }
        }
    };
}

pub(super) use per_isa;

/// Adding and taking it away again rounds a float below 2^22 to the nearest whole number, ties to even.
const ROUNDER: f32 = 12_582_912.0;

/// The nearest whole number, ties to even, of a float below 2^22; nonsense, but no crash, for others.
#[inline(always)]
pub(super) fn round(x: f32) -> i32 {
    (x + ROUNDER).to_bits().cast_signed() - ROUNDER.to_bits().cast_signed()
}

/// `exp(x)` to a relative error of 2e-7: 2^n times a polynomial (Cephes' `expf`). Below -87 it stays at
/// `exp(-87)`, about 1.6e-38; above 88 at `exp(88)`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x > -87.0 { x } else { -87.0 };
    let x = if x < 88.0 { x } else { 88.0 };
    let n = (x * std::f32::consts::LOG2_E + ROUNDER) - ROUNDER;
    // ln 2 in two parts: the first has few bits, so that its products are exact.
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    let power = ((n + ROUNDER).to_bits().cast_signed() - ROUNDER.to_bits().cast_signed() + 127) << 23;
    y * f32::from_bits(power.cast_unsigned())
}

/// To brain floating point, nearest, ties to even. What is not a number stays so.
#[inline(always)]
pub(super) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    if x.is_nan() { bf16::NAN.to_bits() } else { rounded }
}

/// From brain floating point.
#[inline(always)]
pub(super) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_whole_range() {
        let mut x = -86.9f32;
        while x < 87.9 {
            let exact = f64::from(x).exp();
            assert!(((f64::from(exp(x)) - exact) / exact).abs() < 2e-7, "{x}");
            x += 0.0137;
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 2e-38 && exp(f32::NEG_INFINITY) > 0.0 && exp(1e30).is_finite());
    }

    #[test]
    fn rounding_is_to_the_nearest_even() {
        for (x, expected) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.6, 127), (-127.4, -127)] {
            assert_eq!(round(x), expected, "{x}");
        }
    }

    #[test]
    fn bf16_agrees_with_its_crate() {
        for bits in (0..=u32::MAX).step_by(65_521) {
            let x = f32::from_bits(bits);
            let (ours, theirs) = (to_bf16(x), bf16::from_f32(x));
            assert!(ours == theirs.to_bits() || x.is_nan() && bf16::from_bits(ours).is_nan(), "{x}");
            assert!(x.is_nan() || from_bf16(ours) == theirs.to_f32());
        }
    }
}
