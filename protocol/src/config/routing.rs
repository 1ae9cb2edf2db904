//! Which model answers requests for `auto`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::{millis, secs};
use crate::money::Money;
use crate::units::{Nanos, Span};

/// The name that asks the cluster to choose; `auto:cheap` and so on ask for a mode.
pub const AUTO: &str = "auto";
/// The most tiers.
pub const MOST_TIERS: usize = 8;

/// Which model answers requests for `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// From the cheapest to the best. Without any, `auto` is not served.
    pub tiers: Vec<Tier>,
    /// Scores between the tiers for `auto:cheap`: from the first on a request goes to the second tier, and so on.
    pub cheap: Vec<f64>,
    /// Likewise for `auto:balanced`, and for `auto`.
    pub balanced: Vec<f64>,
    /// Likewise for `auto:best`.
    pub best: Vec<f64>,
    /// How long a conversation stays on its tier, unless it becomes harder.
    pub sticky: Span,
    /// How much harder it must become to go up before that.
    pub margin: f64,
    /// Conversations that are remembered.
    pub conversations: u32,
    /// An answer of a lower tier with a mean token probability below it is thrown away, and the next tier is asked;
    /// 0 for never.
    pub unsure: f64,
    /// An answer that took longer than that is not thrown away.
    pub cascade_time: Span,
    /// Nor is one where the next would cost more than that.
    pub cascade_money: Money,
}

/// Models that are as good as each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tier {
    /// As headers and reports call it.
    pub name: String,
    /// Models of nodes or providers, in the order of preference among equals.
    pub models: Vec<String>,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            tiers: Vec::new(),
            cheap: vec![0.75, 0.95],
            balanced: vec![0.5, 0.9],
            best: vec![0.25, 0.6],
            sticky: secs(600),
            margin: 0.1,
            conversations: 65_536,
            unsure: 0.0,
            cascade_time: millis(5_000),
            cascade_money: Money(Nanos(50_000_000)),
        }
    }
}

/// How `auto` weighs cost against quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// As little as possible.
    Cheap,
    /// The usual.
    #[default]
    Balanced,
    /// As good as possible.
    Best,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cheap, Self::Balanced, Self::Best];

    /// As it stands behind `auto:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cheap => "cheap",
            Self::Balanced => "balanced",
            Self::Best => "best",
        }
    }

    /// Of a model's name that asks the cluster to choose; none if it names a model, an error if it names no mode.
    ///
    /// # Errors
    /// What stands behind `auto:`, if that is no mode.
    pub fn of(model: &str) -> Option<Result<Self, String>> {
        let rest = model.strip_prefix(AUTO)?;
        if rest.is_empty() {
            return Some(Ok(Self::default()));
        }
        let word = rest.strip_prefix(':')?;
        Some(Self::ALL.into_iter().find(|mode| mode.as_str() == word).ok_or_else(|| word.to_owned()))
    }
}

impl Routing {
    /// The scores between tiers.
    pub fn thresholds(&self, mode: Mode) -> &[f64] {
        match mode {
            Mode::Cheap => &self.cheap,
            Mode::Balanced => &self.balanced,
            Mode::Best => &self.best,
        }
    }

    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        if self.tiers.len() > MOST_TIERS {
            found.push(fault("routing.tiers", format!("has {}: give at most {MOST_TIERS}", self.tiers.len())));
        }
        let (mut names, mut models) = (BTreeSet::new(), BTreeSet::new());
        for (at, tier) in self.tiers.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if tier.name.is_empty() || tier.name.len() > 64 || !tier.name.chars().all(plain) {
                let problem = format!("is '{}': give 1 to 64 letters, digits, '-' or '_'", tier.name);
                found.push(fault(format!("routing.tiers[{at}].name"), problem));
            } else if !names.insert(&tier.name) {
                found.push(fault(format!("routing.tiers[{at}].name"), format!("is '{}', like another's", tier.name)));
            }
            if tier.models.is_empty() {
                found.push(fault(format!("routing.tiers[{at}].models"), "is empty: name at least one model"));
            }
            for model in &tier.models {
                if Mode::of(model).is_some() {
                    found.push(fault(format!("routing.tiers[{at}].models"), format!("names '{model}': name a model")));
                } else if !models.insert(model) {
                    let problem = format!("names '{model}' again: a model has one tier");
                    found.push(fault(format!("routing.tiers[{at}].models"), problem));
                }
            }
        }
        for mode in Mode::ALL {
            self.check_thresholds(mode, found);
        }
        if self.sticky > secs(30 * 24 * 3600) {
            found.push(fault("routing.sticky", format!("is {}: give at most 720h", self.sticky)));
        }
        for (key, value) in [("margin", self.margin), ("unsure", self.unsure)] {
            if !(0.0..=1.0).contains(&value) {
                found.push(fault(format!("routing.{key}"), format!("is {value}: give 0 to 1")));
            }
        }
        if self.cascade_time > secs(3600) {
            found.push(fault("routing.cascade_time", format!("is {}: give at most 1h", self.cascade_time)));
        }
        count(found, "routing.conversations".to_owned(), self.conversations, 16_777_216);
    }

    fn check_thresholds(&self, mode: Mode, found: &mut Vec<ConfigFault>) {
        let (thresholds, path) = (self.thresholds(mode), format!("routing.{}", mode.as_str()));
        if thresholds.len() + 1 < self.tiers.len() {
            let problem =
                format!("has {} scores for {} tiers: give one between each two", thresholds.len(), self.tiers.len());
            found.push(fault(path.clone(), problem));
        }
        if !thresholds.iter().all(|score| (0.0..=1.0).contains(score)) {
            found.push(fault(path, format!("is {thresholds:?}: scores are from 0 to 1")));
        } else if !thresholds.is_sorted() {
            found.push(fault(path, format!("is {thresholds:?}: give scores in growing order")));
        }
    }
}

#[cfg(test)]
mod tests;
