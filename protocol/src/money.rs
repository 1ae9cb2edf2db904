//! Money as people write it, and prices.
//!
//! Rules: amounts are whole [`Nanos`]; what is written is read exactly or not at all, never rounded; what
//! does not fit is an error, never a wrong amount. A cost is rounded up, once, at its end.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::{Nanos, Tokens};

/// Nanos in a unit of the currency.
const UNIT: u64 = 1_000_000_000;
/// Prices are for so many tokens.
const MILLION: u128 = 1_000_000;

/// An amount of money, written as in `"12.50"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub Nanos);

/// Text that is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not an amount of money: write it as \"12.50\", with at most nine decimals, not negative, at most 18000000000"
)]
pub struct BadMoney(String);

impl FromStr for Money {
    type Err = BadMoney;

    fn from_str(text: &str) -> Result<Self, BadMoney> {
        let bad = || BadMoney(text.chars().take(64).collect());
        let plain = text.trim();
        let (whole, part) = plain.split_once('.').unwrap_or((plain, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 9 {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let part: u64 = format!("{part:0<9}").parse().map_err(|_| bad())?;
        let nanos = whole.checked_mul(UNIT).and_then(|whole| whole.checked_add(part));
        nanos.filter(|_| whole <= 18_000_000_000).map(|nanos| Self(Nanos(nanos))).ok_or_else(bad)
    }
}

impl fmt::Display for Money {
    /// With two decimals, or as many as it has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.0 / UNIT, self.0.0 % UNIT);
        let part = format!("{part:09}");
        let part = part.trim_end_matches('0');
        write!(f, "{whole}.{part:0<2}")
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Of a prompt.
    pub input: Nanos,
    /// Of a prompt, where they came from a cache.
    pub cached: Nanos,
    /// Of an answer.
    pub output: Nanos,
}

/// A cost that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cost of {prompt} and {completion} does not fit: lower the price or the number of tokens")]
pub struct TooCostly {
    /// Of the prompt.
    pub prompt: Tokens,
    /// Of the answer.
    pub completion: Tokens,
}

impl Price {
    /// What so many tokens cost, rounded up. `prompt` counts the cached ones too; more cached than that count as
    /// that many.
    ///
    /// # Errors
    /// It does not fit.
    pub fn cost(&self, prompt: Tokens, cached: Tokens, completion: Tokens) -> Result<Nanos, TooCostly> {
        let cached = cached.min(prompt);
        let of = |tokens: Tokens, price: Nanos| u128::from(tokens.0) * u128::from(price.0);
        let sum = of(prompt - cached, self.input)
            .checked_add(of(cached, self.cached))
            .and_then(|sum| sum.checked_add(of(completion, self.output)));
        let nanos = sum.and_then(|sum| u64::try_from(sum.div_ceil(MILLION)).ok());
        nanos.map(Nanos).ok_or(TooCostly { prompt, completion })
    }
}

#[cfg(test)]
mod tests;
