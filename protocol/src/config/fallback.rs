//! Who answers when a model cannot: a chain of models per kind of failure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Config;
use super::parse::{ConfigFault, fault};
use super::providers::is_model;

/// The most models of a chain.
const MAX_CHAIN: usize = 16;
/// The most models with chains.
const MAX_CHAINS: usize = 1024;

/// Chains of [`Fallbacks`] by the model that was asked for.
pub type FallbackTable = BTreeMap<String, Fallbacks>;

/// Who answers in a model's place, per kind of failure, the first first: models of the cluster's own or of providers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fallbacks {
    /// It cannot be reached, fails, or takes too long.
    pub down: Vec<String>,
    /// It takes no more requests for now.
    pub rate_limit: Vec<String>,
    /// Prompt and answer do not fit its context.
    pub context_window: Vec<String>,
    /// Its rules forbid the content.
    pub content_policy: Vec<String>,
    /// What may be spent on it is spent.
    pub budget: Vec<String>,
    /// Whatever the failure, after those that are named for it.
    pub any: Vec<String>,
}

impl Fallbacks {
    /// All chains by their keys.
    pub fn chains(&self) -> [(&'static str, &[String]); 6] {
        [
            ("down", &self.down),
            ("rate_limit", &self.rate_limit),
            ("context_window", &self.context_window),
            ("content_policy", &self.content_policy),
            ("budget", &self.budget),
            ("any", &self.any),
        ]
    }

    fn check(&self, model: &str, known: impl Fn(&str) -> bool, found: &mut Vec<ConfigFault>) {
        for (key, chain) in self.chains() {
            let mut bad = |problem: String| found.push(fault(format!("fallbacks.{model}.{key}"), problem));
            if chain.len() > MAX_CHAIN {
                bad(format!("has {} models: name at most {MAX_CHAIN}", chain.len()));
            }
            for (place, name) in chain.iter().enumerate() {
                if name == model {
                    bad("names the model itself: name others".to_owned());
                } else if !known(name) {
                    bad(format!(
                        "'{name}' is no model of [models] or of a provider: add it there, or correct the name"
                    ));
                } else if chain.iter().take(place).any(|before| before == name) {
                    bad(format!("names '{name}' twice: each is asked once"));
                }
            }
        }
    }
}

impl Config {
    /// Whether the cluster or a provider has the model.
    pub fn has_model(&self, name: &str) -> bool {
        self.models.contains_key(name) || self.providers.values().any(|provider| provider.models.0.contains_key(name))
    }

    pub(super) fn check_fallbacks(&self, found: &mut Vec<ConfigFault>) {
        if self.fallbacks.len() > MAX_CHAINS {
            found.push(fault("fallbacks", format!("has {}: give at most {MAX_CHAINS}", self.fallbacks.len())));
        }
        for (model, fallbacks) in &self.fallbacks {
            if !is_model(model) || !self.has_model(model) {
                let problem = "is no model of [models] or of a provider: add it there, or correct the name";
                found.push(fault(format!("fallbacks.{model}"), problem));
            }
            fallbacks.check(model, |name| self.has_model(name), found);
        }
    }
}

#[cfg(test)]
mod tests;
