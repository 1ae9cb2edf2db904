//! Answers that are kept, for the same question asked again.

use serde::{Deserialize, Serialize};

use super::parse::{ConfigFault, fault};
use super::secs;
use crate::units::{ByteSize, Span};

/// Answers that are kept, for the same question asked again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    /// Of all answers together; `"0B"` for none.
    pub memory: ByteSize,
    /// How long an answer is fresh.
    pub ttl: Span,
    /// How long it may be served from rung 4 on.
    pub stale: Span,
}

impl Default for Answers {
    fn default() -> Self {
        Self { memory: ByteSize(64 << 20), ttl: secs(600), stale: secs(3600) }
    }
}

impl Answers {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        let most = secs(30 * 24 * 3600);
        if self.ttl.0.is_zero() || self.stale > most {
            found.push(fault("answers.ttl", format!("is {}: give more than 0s, and at most {most}", self.ttl)));
        }
        if self.stale < self.ttl {
            found.push(fault(
                "answers.stale",
                format!("is {}: it must not be below answers.ttl, {}", self.stale, self.ttl),
            ));
        }
    }
}
