//! Where requests wait that no node takes now.

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::secs;
use crate::units::Span;

/// The longest span that means something here.
const LONGEST: Span = secs(24 * 3600);

/// Where requests wait that no node takes now: a queue for each model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Requests that may wait.
    pub requests: u32,
    /// Prompt tokens of all that wait.
    pub tokens: u32,
    /// How long a request may wait.
    pub patience: Span,
    /// Who waits so long counts as of the next class.
    pub rise: Span,
    /// Requests that ask nodes again at once when there may be room.
    pub trials: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { requests: 1024, tokens: 1 << 20, patience: secs(10), rise: secs(10), trials: 4 }
    }
}

impl Queue {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        count(found, "queue.requests".into(), self.requests, 1_000_000);
        count(found, "queue.tokens".into(), self.tokens, u32::MAX);
        count(found, "queue.trials".into(), self.trials, 1_000);
        for (path, value) in [("queue.patience", self.patience), ("queue.rise", self.rise)] {
            if value.0.is_zero() || value > LONGEST {
                found.push(fault(path, format!("is {value}: give more than 0s and at most {LONGEST}")));
            }
        }
    }
}
