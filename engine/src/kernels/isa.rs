//! Which instructions this processor has.

use std::fmt;

/// A set of instructions that this processor has: there is no other way to get one, so a kernel that is
/// chosen by it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isa(Level);

/// Slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    Portable,
    Avx2,
    Avx512,
}

impl Isa {
    /// Runs everywhere.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// The best that this processor has.
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// All that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
                all.push(Self(Level::Avx2));
            }
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512bf16");
            if wide && all.len() > 1 {
                all.push(Self(Level::Avx512));
            }
        }
        all
    }

    pub(super) fn level(self) -> Level {
        self.0
    }

    /// What a person who runs a node should know of it, if it is slow.
    pub fn advice(self) -> Option<&'static str> {
        match self.0 {
            Level::Avx512 => None,
            Level::Avx2 => {
                Some("this processor has no AVX-512 with VNNI and BF16: the AVX2 kernels are several times slower")
            }
            Level::Portable => {
                Some("this processor has neither AVX-512 nor AVX2: the portable kernels are many times slower")
            }
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        })
    }
}
