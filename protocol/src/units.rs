//! Quantities with their unit in the type: tokens, KV blocks, bytes, money, time.
//!
//! Sums saturate: a wrong load figure must not take a coordinator down. Money that must be exact uses
//! the checked operations.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod percentile;

pub use percentile::{BadPercentile, Percentile};

macro_rules! count {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);

            /// From a length in memory.
            pub const fn of(len: usize) -> Self {
                Self(len as u64)
            }

            /// As an index or a length, saturating where the platform's word is smaller.
            pub fn as_usize(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }

            /// The sum, or none if it does not fit.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }

            /// The difference, or none if `other` is larger.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::ZERO, Add::add)
            }
        }
    };
}

count!(
    /// Tokens: of a prompt, an answer, a context, a load.
    Tokens, "tokens"
);
count!(
    /// KV blocks of fixed size.
    Blocks, "blocks"
);
count!(
    /// Money in billionths of the cluster's currency unit.
    Nanos, "nanos"
);

/// A moment: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// So much later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How much later it is than `earlier`; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Tokens {
    /// How many blocks of `size` tokens hold this many; a size of zero counts as one.
    pub fn blocks(self, size: Self) -> Blocks {
        Blocks(self.0.div_ceil(size.0.max(1)))
    }
}

/// An amount of memory, written as in `"512MiB"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Memory as an amount, or as a share of what is free when it is taken: `"512MiB"` or `"60%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// So much.
    Size(ByteSize),
    /// So many hundredths of what is free.
    Share(u8),
}

/// A span of time, written as in `"250ms"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A quantity that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUnit {
    /// Not a memory size.
    #[error(
        "'{0}' is not a memory size: write a number and a unit, such as \"512MiB\" or \"2GiB\" (B, KiB, MiB, GiB, TiB)"
    )]
    Bytes(String),
    /// Not a share.
    #[error("'{0}' is not a share: write whole hundredths, such as \"10%\"")]
    Percent(String),
    /// Neither a memory size nor a share.
    #[error("'{0}' is neither a memory size nor a share: write \"512MiB\", or \"60%\" of what is free")]
    Memory(String),
    /// Not a time span.
    #[error("'{0}' is not a time span: write a number and a unit, such as \"250ms\" or \"2s\" (us, ms, s, m, h)")]
    Span(String),
}

const BYTE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const SPAN_UNITS: [(&str, u64); 5] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// Splits `"250ms"` into 250 and the factor of its unit. Whole numbers only: 1.5GiB is 1536MiB.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The largest unit that divides the amount.
fn shortest(amount: u64, units: &[(&'static str, u64)]) -> (u64, &'static str) {
    units
        .iter()
        .filter(|(_, factor)| amount.is_multiple_of(*factor))
        .map(|(name, factor)| (amount / factor, *name))
        .min()
        .unwrap_or((amount, ""))
}

impl FromStr for ByteSize {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        quantity(text, &BYTE_UNITS).map(Self).ok_or_else(|| BadUnit::Bytes(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let (number, unit) = shortest(self.0, &BYTE_UNITS);
        write!(f, "{number}{unit}")
    }
}

impl Memory {
    /// What [`Memory::is_possible`] asks for, for messages.
    pub const POSSIBLE: &str = "give at least 1MiB, or 1% to 95% of what is free";

    /// Whether a cache can be made of it.
    pub fn is_possible(self) -> bool {
        match self {
            Self::Size(size) => size.0 >= 1 << 20,
            Self::Share(hundredths) => (1..=95).contains(&hundredths),
        }
    }
}

impl FromStr for Memory {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit::Memory(text.to_owned());
        match text.strip_suffix('%') {
            Some(number) => number.trim_end().parse().map(Self::Share).map_err(|_| bad()),
            None => text.parse().map(Self::Size).map_err(|_| bad()),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Share(hundredths) => write!(f, "{hundredths}%"),
        }
    }
}

impl FromStr for Span {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let nanos = quantity(text, &SPAN_UNITS).ok_or_else(|| BadUnit::Span(text.to_owned()))?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return f.write_str("0s");
        }
        if !nanos.is_multiple_of(1_000) {
            return write!(f, "{}us", nanos.div_ceil(1_000));
        }
        let (number, unit) = shortest(nanos, &SPAN_UNITS);
        write!(f, "{number}{unit}")
    }
}

/// Hundredths of a whole, as `10%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
        number.map(Self).ok_or_else(|| BadUnit::Percent(text.to_owned()))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(ByteSize);
as_text!(Memory);
as_text!(Percent);
as_text!(Percentile);
as_text!(Span);

#[cfg(test)]
mod tests;
