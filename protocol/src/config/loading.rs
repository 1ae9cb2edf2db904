//! When the cluster loads a model on one more node by its own wish.

use serde::{Deserialize, Serialize};

use super::parse::{ConfigFault, fault};
use super::secs;
use crate::units::Span;

/// The longest span that means something here.
const LONGEST: Span = secs(24 * 3600);

/// When the cluster loads a model on one more node by its own wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loading {
    /// Whether it does.
    pub enabled: bool,
    /// Requests that wait so long are too much.
    pub delay: Span,
    /// How long it must be too much.
    pub after: Span,
    /// How long a node must have been without work.
    pub idle: Span,
    /// How long a node may need to say that it is about it.
    pub patience: Span,
}

impl Default for Loading {
    fn default() -> Self {
        Self { enabled: true, delay: secs(1), after: secs(10), idle: secs(30), patience: secs(10) }
    }
}

impl Loading {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        let spans = [
            ("loading.delay", self.delay),
            ("loading.after", self.after),
            ("loading.idle", self.idle),
            ("loading.patience", self.patience),
        ];
        for (path, span) in spans.into_iter().filter(|(_, span)| *span > LONGEST) {
            found.push(fault(path, format!("is {span}: give at most {LONGEST}")));
        }
    }
}
