//! Times as a profile writes them: a decimal number with a unit, exact to the nanosecond.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// From the largest; with the decimals that a nanosecond leaves each.
const UNITS: [(&str, u32); 4] = [("s", 9), ("ms", 6), ("us", 3), ("ns", 0)];

/// A time, written as in `"2.1us"`. Finer than `protocol::units::Span`, which is for settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is not a time: write a number and a unit, such as \"2.1us\" or \"15ms\" (ns, us, ms, s), not finer than 1ns"
)]
pub(super) struct BadTime(String);

impl FromStr for Time {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        exact(text.trim())
            .map(|nanos| Self(Duration::from_nanos(nanos)))
            .ok_or_else(|| BadTime(text.chars().take(40).collect()))
    }
}

/// Nanoseconds; none if the text is no time, has a fraction of one, or does not fit.
fn exact(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at_checked(digits)?;
    let decimals = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part = part.trim_end_matches('0');
    let missing = decimals.checked_sub(u32::try_from(part.len()).ok()?)?;
    let all: u64 = format!("{whole}{part}").parse().ok()?;
    (!whole.is_empty()).then_some(all)?.checked_mul(10_u64.checked_pow(missing)?)
}

impl fmt::Display for Time {
    /// In the largest unit of which there is at least one, with the decimals it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        let fits = UNITS.iter().find(|(_, decimals)| nanos >= 10_u64.pow(*decimals));
        let Some((unit, decimals)) = fits else { return f.write_str("0ns") };
        let factor = 10_u64.pow(*decimals);
        write!(f, "{}", nanos / factor)?;
        let part = format!("{:0width$}", nanos % factor, width = *decimals as usize);
        match part.trim_end_matches('0') {
            "" => f.write_str(unit),
            part => write!(f, ".{part}{unit}"),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
