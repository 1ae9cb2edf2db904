//! Lists of prices in TOML: the one in the program, and those that people write.
//!
//! Rules: every price says whose it is, from when, and where it was read. An unknown key, a zero and a price that does
//! not fit are faults, with the entry they stand in. Names match exactly: `gpt-4o` is not `gpt-4o-2024-05-13`, which
//! costs twice as much.

use std::collections::BTreeMap;

use protocol::money::{Money, Price};
use protocol::units::Nanos;
use serde::Deserialize;

use super::Speed;

const BUILT_IN: &str = include_str!("list.toml");
/// The most that a million tokens, or an hour, may cost.
const MOST: Money = Money(Nanos(1_000_000 * 1_000_000_000));
/// The most tokens a second that hardware may be said to compute.
const FASTEST: u32 = 100_000_000;

/// A list of prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The currency of all of them.
    pub currency: String,
    /// Models, by the name that their provider knows.
    pub models: BTreeMap<String, Listed>,
    /// Hardware with what it runs, by name.
    pub hardware: BTreeMap<String, Hardware>,
}

/// The price of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Who asks it.
    pub provider: String,
    /// What a million tokens cost.
    pub price: Price,
    /// When it was read.
    pub date: String,
    /// Where.
    pub source: String,
    /// What else there is to know.
    pub note: String,
}

/// Hardware with a model on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// The model that the figures are for.
    pub model: String,
    /// What one GPU costs for an hour.
    pub gpu_hour: Money,
    /// GPUs that make up one unit; units are bought whole.
    #[serde(default = "one")]
    pub gpus: u32,
    /// Prompt tokens that a unit computes in a second, if it does nothing else.
    pub prefill: u32,
    /// Answer tokens, likewise, with as many sequences at once as fit.
    pub decode: u32,
    /// When the figures were read.
    #[serde(default)]
    pub date: String,
    /// Where they are from.
    #[serde(default)]
    pub source: String,
}

const fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "usd")]
    currency: String,
    #[serde(default)]
    date: String,
    #[serde(default)]
    models: BTreeMap<String, Row>,
    #[serde(default)]
    hardware: BTreeMap<String, Hardware>,
}

fn usd() -> String {
    "USD".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    provider: String,
    input: Money,
    cached: Option<Money>,
    output: Money,
    #[serde(default)]
    date: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    note: String,
}

/// A list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    /// It cannot be read.
    #[error("{0}")]
    Text(String),
    /// An amount cannot be.
    #[error("{entry}.{key} is {amount}: give more than 0 and at most {MOST}")]
    Amount {
        /// Where.
        entry: String,
        /// Which.
        key: &'static str,
        /// What stands there.
        amount: Money,
    },
    /// A number cannot be.
    #[error("{entry}.{key} is {number}: give 1 to {most}")]
    Number {
        /// Where.
        entry: String,
        /// Which.
        key: &'static str,
        /// What stands there.
        number: u32,
        /// The most.
        most: u32,
    },
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadList> {
        let file: File = toml::from_str(text).map_err(|error| BadList::Text(one_line(text, &error)))?;
        let date = |own: String| if own.is_empty() { file.date.clone() } else { own };
        let mut models = BTreeMap::new();
        for (name, row) in file.models {
            let entry = format!("models.\"{name}\"");
            let cached = row.cached.unwrap_or(row.input);
            for (key, amount) in [("input", row.input), ("cached", cached), ("output", row.output)] {
                amount_fits(&entry, key, amount)?;
            }
            let price = Price { input: row.input.0, cached: cached.0, output: row.output.0 };
            let (provider, source, note) = (row.provider, row.source, row.note);
            models.insert(name, Listed { provider, price, date: date(row.date), source, note });
        }
        let mut hardware = BTreeMap::new();
        for (name, mut found) in file.hardware {
            found.check(&format!("hardware.\"{name}\""))?;
            found.date = date(found.date);
            hardware.insert(name, found);
        }
        Ok(Self { currency: file.currency, models, hardware })
    }

    /// With another list behind it: what both have costs what this one says. A list of another currency is left out,
    /// since sums of two would mean nothing.
    #[must_use]
    pub fn over(mut self, behind: Self) -> Self {
        if self.currency == behind.currency {
            let Self { models, hardware, .. } = behind;
            models.into_iter().for_each(|(name, listed)| _ = self.models.entry(name).or_insert(listed));
            hardware.into_iter().for_each(|(name, listed)| _ = self.hardware.entry(name).or_insert(listed));
        }
        self
    }

    /// Says of entries without a source that they are from here.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        let models = self.models.values_mut().map(|listed| &mut listed.source);
        let all = models.chain(self.hardware.values_mut().map(|hardware| &mut hardware.source));
        all.filter(|own| own.is_empty()).for_each(|own| source.clone_into(own));
        self
    }

    /// The one in the program.
    pub fn built_in() -> Self {
        // A test holds that it can be read.
        Self::parse(BUILT_IN).unwrap_or_default()
    }
}

impl Hardware {
    /// What its tokens cost while it is busy, by the formula for own nodes ([`super::time`]): a unit that decodes `d`
    /// tokens a second spends `1 / d` seconds on one, whatever the batch.
    pub fn price(&self) -> Price {
        let second = self.gpu_hour.0.0 as f64 * f64::from(self.gpus) / 3600.0;
        let speed = Speed {
            prompt: 1.0 / f64::from(self.prefill.max(1)),
            step: 1.0 / f64::from(self.decode.max(1)),
            batch: 1.0,
        };
        speed.price(second, None)
    }

    /// Whether its figures can be.
    ///
    /// # Errors
    /// The first one that cannot. `entry` is where it stands.
    pub fn check(&self, entry: &str) -> Result<(), BadList> {
        amount_fits(entry, "gpu_hour", self.gpu_hour)?;
        for (key, number, most) in
            [("gpus", self.gpus, 10_000), ("prefill", self.prefill, FASTEST), ("decode", self.decode, FASTEST)]
        {
            if !(1..=most).contains(&number) {
                return Err(BadList::Number { entry: entry.to_owned(), key, number, most });
            }
        }
        Ok(())
    }
}

/// What is wrong with a TOML file, in one line: where, under which key, and what.
pub fn one_line(text: &str, error: &toml::de::Error) -> String {
    let what = error.message().replace('\n', " ");
    let Some(span) = error.span() else { return what };
    let line = text.get(..span.start).unwrap_or_default().matches('\n').count();
    let key = text.lines().nth(line).and_then(|line| line.split('=').next()).unwrap_or_default().trim();
    let key = if key.is_empty() { String::new() } else { format!(", {key}") };
    format!("line {}{key}: {what}", line + 1)
}

fn amount_fits(entry: &str, key: &'static str, amount: Money) -> Result<(), BadList> {
    if amount == Money::default() || amount > MOST {
        return Err(BadList::Amount { entry: entry.to_owned(), key, amount });
    }
    Ok(())
}
