//! `economics.toml`: the workload, the mixes and the budgets.
//!
//! Rules: an unknown key, a number that cannot be and a contradiction are faults; each is one line that names the
//! field, what stands there and what helps.

use policy::prices::list::one_line;
use protocol::account::Period;
use protocol::money::Money;
use protocol::units::{Percent, Span, Tokens};
use serde::Deserialize;

const BUILT_IN: &str = include_str!("../../economics.toml");
/// The most requests in a day.
const REQUESTS: u32 = 10_000_000;
/// The longest prompt or answer.
const LENGTH: u64 = 10_000_000;
/// The most that the hours of a day may add up to.
const HOURS: u32 = 1_000_000;

/// All of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What is asked.
    pub workload: Workload,
    /// Who answers.
    pub mixes: Vec<Mix>,
    /// What may be spent.
    #[serde(default)]
    pub budgets: Vec<Limit>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Requests in a day.
    pub requests: u32,
    /// Tokens of a prompt.
    pub prompt: Tokens,
    /// Tokens of an answer.
    pub answer: Tokens,
    /// The longest answer that is asked for.
    pub max_tokens: Tokens,
    /// Days of a month.
    pub days: u32,
    /// How long an answer takes.
    pub takes: Span,
    /// How requests fall over the hours of a day, in any unit.
    pub hours: Vec<u32>,
    /// How much of the prompts comes from a cache.
    #[serde(skip)]
    pub cached: Percent,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub about: String,
    /// From the cheapest to the best.
    pub tiers: Vec<Tier>,
}

/// One tier of a mix.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// An entry of a price list.
    pub model: String,
    /// Whose scores it has.
    #[serde(default)]
    pub labels: Vec<String>,
    /// They are another model's.
    #[serde(default)]
    pub stands_in: bool,
}

/// A budget.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Its name.
    pub id: String,
    /// The most, in each window.
    pub limit: Money,
    /// When it begins anew.
    pub every: Period,
    /// Shares of the limit at which somebody is told, in hundredths.
    #[serde(default)]
    pub alerts: Vec<u8>,
    /// Only what this tier costs counts.
    pub tier: Option<String>,
    /// It only tells.
    #[serde(default)]
    pub soft: bool,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// It cannot be read.
    #[error("{0}")]
    Text(String),
    /// A field of it.
    #[error("{field} is {value}: give {remedy}")]
    Field {
        /// Which.
        field: String,
        /// What stands there.
        value: String,
        /// What helps.
        remedy: String,
    },
}

pub(super) fn bad(field: impl Into<String>, value: impl ToString, remedy: impl Into<String>) -> BadSetting {
    BadSetting::Field { field: field.into(), value: value.to_string(), remedy: remedy.into() }
}

impl Setting {
    /// Reads it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadSetting> {
        let setting: Self = toml::from_str(text).map_err(|error| BadSetting::Text(one_line(text, &error)))?;
        setting.check()?;
        Ok(setting)
    }

    /// The one that comes with the program.
    ///
    /// # Errors
    /// Never: a test holds that it can be read.
    pub fn built_in() -> Result<Self, BadSetting> {
        Self::parse(BUILT_IN)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), BadSetting> {
        self.workload.check()?;
        if self.mixes.is_empty() {
            return Err(bad("mixes", "empty", "at least one [[mixes]]"));
        }
        for (at, mix) in self.mixes.iter().enumerate() {
            if self.mixes.iter().take(at).any(|other| other.name == mix.name) {
                return Err(bad(format!("mixes[{at}].name"), format!("'{}' again", mix.name), "each mix its own name"));
            }
            mix.check(at)?;
        }
        for (at, limit) in self.budgets.iter().enumerate() {
            let field = format!("budgets[{at}]");
            if self.budgets.iter().take(at).any(|other| other.id == limit.id) {
                return Err(bad(format!("{field}.id"), format!("'{}' again", limit.id), "each budget its own id"));
            }
            // Tiers are checked against the mix that is run.
            policy::ledger::Ledger::check_budget(&limit.budget(None))
                .map_err(|error| BadSetting::Text(format!("{field}: {error}")))?;
        }
        Ok(())
    }
}

impl Workload {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), BadSetting> {
        let within = |field: &str, value: u64, most: u64| {
            let remedy = format!("1 to {most}");
            if (1..=most).contains(&value) { Ok(()) } else { Err(bad(format!("workload.{field}"), value, remedy)) }
        };
        within("requests", self.requests.into(), REQUESTS.into())?;
        within("prompt", self.prompt.0, LENGTH)?;
        within("answer", self.answer.0, LENGTH)?;
        within("max_tokens", self.max_tokens.0, LENGTH)?;
        within("days", self.days.into(), 366)?;
        if self.max_tokens < self.answer {
            let remedy = format!("at least workload.answer, {}", self.answer.0);
            return Err(bad("workload.max_tokens", self.max_tokens.0, remedy));
        }
        if self.takes.0 > std::time::Duration::from_secs(3600) {
            return Err(bad("workload.takes", self.takes, "at most 1h"));
        }
        if self.hours.len() != 24 {
            return Err(bad("workload.hours", format!("{} numbers", self.hours.len()), "one for each of 24 hours"));
        }
        let sum = self.hours.iter().fold(0_u32, |sum, hour| sum.saturating_add(*hour));
        if !(1..=HOURS).contains(&sum) {
            return Err(bad("workload.hours", format!("{sum} together"), format!("1 to {HOURS} together")));
        }
        if self.cached.0 > 100 {
            return Err(bad("--cached", self.cached, "0% to 100%"));
        }
        Ok(())
    }

    /// How many times the mean the busiest hour has, in hundredths, rounded up.
    pub fn peak(&self) -> u32 {
        let (most, sum) = (self.hours.iter().copied().max().unwrap_or(1), self.hours.iter().sum::<u32>());
        (u64::from(most) * 24 * 100).div_ceil(u64::from(sum.max(1))).try_into().unwrap_or(u32::MAX)
    }

    /// Tokens of a prompt that come from a cache.
    pub fn cached_tokens(&self) -> Tokens {
        Tokens(self.prompt.0.saturating_mul(self.cached.0.into()) / 100)
    }

    /// As `troupe cost plan` has it, for so many requests.
    pub fn plan(&self, requests: u64) -> policy::plan::Workload {
        let Self { prompt, answer, cached, days, .. } = *self;
        policy::plan::Workload { requests, prompt, answer, cached, peak: self.peak().max(100), days }
    }
}

impl Mix {
    fn check(&self, at: usize) -> Result<(), BadSetting> {
        let most = policy::complexity::tiers::MAX_TIERS;
        if !(2..=most).contains(&self.tiers.len()) {
            let value = format!("{} of them", self.tiers.len());
            return Err(bad(
                format!("mixes[{at}].tiers"),
                value,
                format!("2 to {most}, from the cheapest to the best"),
            ));
        }
        let labelled = self.tiers.iter().filter(|tier| !tier.labels.is_empty()).count();
        for (place, tier) in self.tiers.iter().enumerate() {
            let field = format!("mixes[{at}].tiers[{place}]");
            if self.tiers.iter().take(place).any(|other| other.name == tier.name) {
                return Err(bad(format!("{field}.name"), format!("'{}' again", tier.name), "each tier its own name"));
            }
            if tier.labels.is_empty() && labelled > 0 {
                let remedy = "the models whose scores it has, or none in any tier of the mix: quality needs all";
                return Err(bad(format!("{field}.labels"), "left out", remedy));
            }
            if tier.labels.is_empty() && tier.stands_in {
                return Err(bad(format!("{field}.stands_in"), "true without labels", "labels, or leave it out"));
            }
        }
        Ok(())
    }
}

impl Limit {
    /// As the ledger has it; `model` is what its tier asks.
    pub fn budget(&self, model: Option<&str>) -> protocol::account::Budget {
        let scope = protocol::account::Scope { model: model.map(str::to_owned), ..Default::default() };
        let window = protocol::account::Window { every: self.every, zone: None };
        let (id, limit, alerts, soft) = (self.id.clone(), self.limit.0, self.alerts.clone(), self.soft);
        protocol::account::Budget { id, scope, limit, window, alerts, soft, increase: None }
    }
}

#[cfg(test)]
mod tests;
