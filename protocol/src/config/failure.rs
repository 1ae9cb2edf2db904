//! What failures mean: when a node is not asked for a while, and how much is tried again.

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::{millis, secs};
use crate::units::{Percent, Span};

/// The longest span that means something here.
const LONGEST: Span = secs(24 * 3600);

/// When a node that fails is not asked for a while, per model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Faults in a row that open it.
    pub faults: u32,
    /// For how long, the first time; it doubles.
    pub cooldown: Span,
    /// The longest.
    pub max_cooldown: Span,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { faults: 3, cooldown: secs(2), max_cooldown: secs(60) }
    }
}

impl Breaker {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        count(found, "breaker.faults".to_owned(), self.faults, 1000);
        waits(found, ("breaker.cooldown", self.cooldown), ("breaker.max_cooldown", self.max_cooldown));
    }
}

/// How much is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Retries, as a share of all requests.
    pub budget: Percent,
    /// Retries that are allowed whatever the traffic.
    pub floor: u32,
    /// The wait before the second retry (the first goes elsewhere at once); it doubles, and is drawn at random
    /// between nothing and the whole.
    pub backoff: Span,
    /// The longest wait.
    pub max_backoff: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self { budget: Percent(10), floor: 10, backoff: millis(50), max_backoff: secs(2) }
    }
}

impl Retry {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        if self.budget.0 > 100 {
            found.push(fault("retry.budget", format!("is {}: give \"0%\" to \"100%\"", self.budget)));
        }
        if self.floor > 1_000_000 {
            found.push(fault("retry.floor", format!("is {}: give at most 1000000", self.floor)));
        }
        waits(found, ("retry.backoff", self.backoff), ("retry.max_backoff", self.max_backoff));
    }
}

fn waits(found: &mut Vec<ConfigFault>, first: (&'static str, Span), longest: (&'static str, Span)) {
    for (path, value) in [first, longest] {
        if value.0.is_zero() || value > LONGEST {
            found.push(fault(path, format!("is {value}: give more than 0s and at most {LONGEST}")));
        }
    }
    if first.1 > longest.1 {
        found.push(fault(first.0, format!("is {}: it must not be above {}, {}", first.1, longest.0, longest.1)));
    }
}
