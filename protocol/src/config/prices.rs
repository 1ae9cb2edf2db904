//! What tokens cost.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parse::{ConfigFault, fault};
use crate::money::{Money, Price};
use crate::units::Nanos;

/// The most that a million tokens, or an hour, may cost: far beyond any price, far below overflow.
const MOST: Money = Money(Nanos(1_000_000 * 1_000_000_000));
/// The most GPUs that one model may run on.
const MOST_GPUS: u32 = 10_000;

/// What tokens cost. All prices are for a million tokens, in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// The currency of all amounts; only ever shown.
    pub currency: String,
    /// What a model costs of which nothing else is known.
    pub unknown: Unknown,
    /// Whether models of providers that are not named here have the price that the list in the program gives.
    pub list: bool,
    /// Prices by model; `provider/model` for those of providers.
    pub models: BTreeMap<String, ModelPrice>,
}

impl Default for Prices {
    fn default() -> Self {
        let (input, cached, output) = (milli(1_000), Some(milli(100)), milli(2_000));
        let unknown = Unknown::Price(Tokens { input, cached, output });
        Self { currency: "USD".into(), unknown, list: true, models: BTreeMap::new() }
    }
}

const fn milli(thousandths: u64) -> Money {
    Money(Nanos(thousandths * 1_000_000))
}

/// What a model costs of which nothing else is known: `"refuse"`, or a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Its requests are refused.
    Refuse,
    /// This.
    Price(Tokens),
}

/// What a million tokens cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Of a prompt.
    pub input: Money,
    /// Of a prompt, where they came from a cache; as `input` if left out.
    #[serde(default)]
    pub cached: Option<Money>,
    /// Of an answer.
    pub output: Money,
}

impl From<Tokens> for Price {
    fn from(tokens: Tokens) -> Self {
        let Tokens { input, cached, output } = tokens;
        Self { input: input.0, cached: cached.unwrap_or(input).0, output: output.0 }
    }
}

/// The price of one model: of its tokens, or of the GPUs that it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelPrice {
    /// Of a million tokens of a prompt.
    pub input: Option<Money>,
    /// Where they came from a cache; as `input` if left out. With `gpu_hour` a tenth of what computing them costs.
    pub cached: Option<Money>,
    /// Of a million tokens of an answer.
    pub output: Option<Money>,
    /// Of one GPU of a node, for an hour; the price of tokens follows from how fast the nodes are.
    pub gpu_hour: Option<Money>,
    /// GPUs of one node that serves the model; 1 if left out.
    pub gpus: Option<u32>,
    /// It may cost nothing: what is left out, or zero, is free. Without it a zero is taken for a mistake.
    pub free: bool,
}

/// What a price says, once it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A price for tokens.
    Tokens(Price),
    /// A price for time.
    Time {
        /// Of all GPUs of a node, for an hour.
        hour: Nanos,
        /// Of cached tokens, if it is said.
        cached: Option<Nanos>,
    },
}

impl ModelPrice {
    /// What it says.
    pub fn basis(&self) -> Basis {
        let nanos = |money: Option<Money>| money.unwrap_or_default().0;
        match self.gpu_hour {
            Some(hour) => {
                let hour = Nanos(hour.0.0.saturating_mul(self.gpus.unwrap_or(1).into()));
                Basis::Time { hour, cached: self.cached.map(|cached| cached.0) }
            }
            None => Basis::Tokens(Price {
                input: nanos(self.input),
                cached: nanos(self.cached.or(self.input)),
                output: nanos(self.output),
            }),
        }
    }

    fn check(&self, path: &str, found: &mut Vec<ConfigFault>) {
        let at = |key: &str| format!("{path}.{key}");
        let amounts =
            [("input", self.input), ("cached", self.cached), ("output", self.output), ("gpu_hour", self.gpu_hour)];
        for (key, amount) in amounts.into_iter().filter_map(|(key, amount)| Some((key, amount?))) {
            limit(&at(key), amount, self.free, found);
        }
        let cached = self.cached.or(self.input);
        let all = if self.gpu_hour.is_some() { vec![self.gpu_hour] } else { vec![self.input, cached, self.output] };
        if self.free && all.iter().all(|amount| amount.is_some_and(|amount| amount != Money::default())) {
            found.push(fault(at("free"), "is true, and nothing is: leave it out, or set what is free to \"0\""));
        }
        match (self.gpu_hour.is_some(), self.input.is_some() || self.output.is_some()) {
            (true, true) => found.push(fault(at("gpu_hour"), "stands beside input or output: give only one of both")),
            (false, false) if !self.free => {
                found.push(fault(path, "has no price: give input and output, or gpu_hour, or free = true"));
            }
            (false, true) if !self.free => {
                for (key, amount) in [("input", self.input), ("output", self.output)] {
                    if amount.is_none() {
                        found.push(fault(at(key), "is left out: give a price, or free = true if there is none"));
                    }
                }
            }
            _ => {}
        }
        match self.gpus {
            Some(gpus) if !(1..=MOST_GPUS).contains(&gpus) => {
                found.push(fault(at("gpus"), format!("is {gpus}: give 1 to {MOST_GPUS}")));
            }
            Some(_) if self.gpu_hour.is_none() => {
                found.push(fault(at("gpus"), "says nothing without gpu_hour: give what a GPU costs for an hour"));
            }
            _ => {}
        }
    }
}

fn limit(path: &str, amount: Money, free: bool, found: &mut Vec<ConfigFault>) {
    if amount > MOST {
        found.push(fault(path, format!("is {amount}: give at most {MOST}")));
    }
    if amount == Money::default() && !free {
        found.push(fault(path, "is 0: give a price, or free = true beside it if it costs nothing"));
    }
}

impl Prices {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        let letters = self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if self.currency.len() != 3 || !letters {
            found.push(fault("prices.currency", format!("is '{}': write a code such as \"USD\"", self.currency)));
        }
        if let Unknown::Price(tokens) = self.unknown {
            let amounts = [("input", Some(tokens.input)), ("cached", tokens.cached), ("output", Some(tokens.output))];
            for (key, amount) in amounts.into_iter().filter_map(|(key, amount)| Some((key, amount?))) {
                limit(&format!("prices.unknown.{key}"), amount, false, found);
            }
        }
        for (name, price) in &self.models {
            price.check(&format!("prices.models.{name}"), found);
        }
    }
}

const REFUSE: &str = "refuse";

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Refuse => serializer.serialize_str(REFUSE),
            Self::Price(tokens) => tokens.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadUnknown)
    }
}

struct ReadUnknown;

impl<'de> Visitor<'de> for ReadUnknown {
    type Value = Unknown;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"refuse\", or a price such as { input = \"1.00\", output = \"2.00\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Unknown, E> {
        if text == REFUSE {
            Ok(Unknown::Refuse)
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Unknown, A::Error> {
        Tokens::deserialize(MapAccessDeserializer::new(map)).map(Unknown::Price)
    }
}

#[cfg(test)]
mod tests;
