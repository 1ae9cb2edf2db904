//! Percentiles: the share of requests that a promise is made for.

use std::fmt;
use std::str::FromStr;

/// A percentile in ten-thousandths, above 0 and below 1: written as `p99` or `0.99`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile(u16);

/// Text that is no percentile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no percentile: write a share above 0 and below 1, such as 0.99, or p99 (up to 4 decimals of a share)"
)]
pub struct BadPercentile(String);

/// All of them.
const WHOLE: u16 = 10_000;

impl Percentile {
    /// Half of all.
    pub const P50: Self = Self(5_000);
    /// 99 of a hundred.
    pub const P99: Self = Self(9_900);

    /// Which of `count` values in ascending order it is, from 0, by the nearest rank: at least this share of all are
    /// no larger. None of none.
    pub fn rank(self, count: usize) -> Option<usize> {
        let rank = (count as u64).saturating_mul(self.0.into()).div_ceil(WHOLE.into());
        usize::try_from(rank).ok()?.checked_sub(1)
    }

    /// As a share of 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }
}

impl Default for Percentile {
    fn default() -> Self {
        Self::P99
    }
}

impl FromStr for Percentile {
    type Err = BadPercentile;

    fn from_str(text: &str) -> Result<Self, BadPercentile> {
        let bad = || BadPercentile(text.chars().take(32).collect());
        // Exactly, digit by digit: 0.99 is no binary fraction.
        let (whole, parts, places) = match text.strip_prefix('p') {
            Some(hundredths) => {
                let (whole, parts) = hundredths.split_once('.').unwrap_or((hundredths, ""));
                (whole, parts, 2)
            }
            None => {
                let (whole, parts) = text.split_once('.').ok_or_else(bad)?;
                (whole, parts, 4)
            }
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 3 || parts.len() > places || !digits(whole) || !digits(parts) {
            return Err(bad());
        }
        let number: u32 = format!("{whole}{parts:0<places$}").parse().map_err(|_| bad())?;
        let inside = u16::try_from(number).ok().filter(|number| (1..WHOLE).contains(number));
        inside.map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / 100, self.0 % 100);
        match parts {
            0 => write!(f, "p{whole}"),
            tenths if tenths % 10 == 0 => write!(f, "p{whole}.{}", tenths / 10),
            parts => write!(f, "p{whole}.{parts:02}"),
        }
    }
}

#[cfg(test)]
mod tests;
