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
const MOST_TIERS: usize = 8;

/// Which model answers requests for `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// From the cheapest to the best. Without any, `auto` is not served.
    pub tiers: Vec<Tier>,
    /// Cuts between the tiers for `auto:cheap`: above the first a request goes to the second tier, and so on. A cut is
    /// the share of ordinary requests that stay below.
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
            cheap: vec![0.95, 0.9975],
            balanced: vec![0.8, 0.96],
            best: vec![0.4, 0.64],
            sticky: secs(600),
            margin: 0.1,
            conversations: 65_536,
            unsure: 0.0,
            cascade_time: millis(5_000),
            cascade_money: Money(Nanos(50_000_000)),
        }
    }
}

/// Whether a model's name asks the cluster to choose.
pub fn is_auto(model: &str) -> bool {
    model.split_once(':').map_or(model, |(front, _)| front) == AUTO
}

impl Routing {
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
                if is_auto(model) {
                    found.push(fault(format!("routing.tiers[{at}].models"), format!("names '{model}': name a model")));
                } else if !models.insert(model) {
                    let problem = format!("names '{model}' again: a model has one tier");
                    found.push(fault(format!("routing.tiers[{at}].models"), problem));
                }
            }
        }
        for (path, thresholds) in
            [("routing.cheap", &self.cheap), ("routing.balanced", &self.balanced), ("routing.best", &self.best)]
        {
            self.check_thresholds(path, thresholds, found);
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

    fn check_thresholds(&self, path: &str, thresholds: &[f64], found: &mut Vec<ConfigFault>) {
        if thresholds.len() + 1 < self.tiers.len() {
            let problem =
                format!("has {} scores for {} tiers: give one between each two", thresholds.len(), self.tiers.len());
            found.push(fault(path, problem));
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
