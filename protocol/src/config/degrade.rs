//! How the cluster bends under load before it refuses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::{millis, secs};
use crate::job::Class;
use crate::units::Span;

/// How the cluster bends under load: a ladder for each model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Degrade {
    /// Whether it does.
    pub enabled: bool,
    /// Requests that wait so long are too much.
    pub delay_high: Span,
    /// Below it the wait is well.
    pub delay_low: Span,
    /// The share of KV blocks in the hands of jobs that is too much.
    pub cache_high: f64,
    /// Below it memory is well.
    pub cache_low: f64,
    /// The share of requests that fail by the cluster's fault that is too much.
    pub errors_high: f64,
    /// Below it that is well.
    pub errors_low: f64,
    /// How long it must be too much for the next rung.
    pub climb: Span,
    /// How long all must be well for the rung below.
    pub rest: Span,
    /// From rung 2: tokens of a conversation, by class; a longer one loses its oldest turns.
    pub context: Contexts,
    /// From rung 2: the longest answer.
    pub max_tokens: u32,
    /// From rung 3: who answers in place of whom, the best first.
    pub lighter: BTreeMap<String, Vec<String>>,
}

/// Tokens by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contexts {
    /// Somebody sits and waits.
    pub interactive: u32,
    /// The usual.
    pub standard: u32,
    /// It may wait for hours.
    pub bulk: u32,
}

impl Default for Contexts {
    fn default() -> Self {
        Self { interactive: 8192, standard: 4096, bulk: 2048 }
    }
}

impl Contexts {
    /// Of a class.
    pub fn of(&self, class: Class) -> u32 {
        match class {
            Class::Interactive => self.interactive,
            Class::Standard => self.standard,
            Class::Bulk => self.bulk,
        }
    }
}

impl Default for Degrade {
    fn default() -> Self {
        Self {
            enabled: true,
            delay_high: secs(2),
            delay_low: millis(500),
            cache_high: 0.95,
            cache_low: 0.8,
            errors_high: 0.5,
            errors_low: 0.1,
            climb: secs(2),
            rest: secs(10),
            context: Contexts::default(),
            max_tokens: 512,
            lighter: BTreeMap::new(),
        }
    }
}

impl Degrade {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        for (path, value) in
            [("degrade.delay_low", self.delay_low), ("degrade.climb", self.climb), ("degrade.rest", self.rest)]
        {
            if value.0.is_zero() || value > secs(24 * 3600) {
                found.push(fault(path, format!("is {value}: give more than 0s and at most 24h")));
            }
        }
        if self.delay_low >= self.delay_high {
            let message = format!("is {}: it must be below degrade.delay_high, {}", self.delay_low, self.delay_high);
            found.push(fault("degrade.delay_low", message));
        }
        for (path, low, high) in [
            ("degrade.cache_low", self.cache_low, self.cache_high),
            ("degrade.errors_low", self.errors_low, self.errors_high),
        ] {
            if !(low > 0.0 && low < high && high <= 1.0) {
                found.push(fault(path, format!("is {low}, and the high mark {high}: give 0 < low < high, at most 1")));
            }
        }
        for (path, value) in [
            ("degrade.context.interactive", self.context.interactive),
            ("degrade.context.standard", self.context.standard),
            ("degrade.context.bulk", self.context.bulk),
            ("degrade.max_tokens", self.max_tokens),
        ] {
            count(found, path.into(), value, 1 << 26);
        }
        for (model, lighter) in &self.lighter {
            if lighter.contains(model) {
                found.push(fault(format!("degrade.lighter.{model}"), "names the model itself: name others"));
            }
        }
    }
}
