//! Which node is asked first.

use serde::{Deserialize, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::{millis, secs};
use crate::units::Span;

/// The longest span that means something here.
const LONGEST: Span = secs(24 * 3600);

/// Which node is asked first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// By what rule.
    pub policy: Policy,
    /// Nodes that a decision names: the best and its runners-up.
    pub candidates: u32,
    /// How much sooner another node must be before a request leaves its prefix.
    pub stick: Span,
    /// A node on which a prompt waits for so long is saturated.
    pub saturated: Span,
    /// Where all are saturated: how much longer a request waits at its prefix than it would elsewhere.
    pub pin: Span,
    /// Tokens that an answer is expected to have, where it may have more.
    pub answer: u32,
    /// How long a prompt that was sent to a node counts as cached there before the node says so.
    pub foresight: Span,
    /// How long a session's last node is remembered.
    pub session_ttl: Span,
    /// Sessions that are remembered.
    pub sessions: u32,
    /// Prompt tokens a second of a node, while nobody has measured any.
    pub prefill_rate: u32,
    /// A decode step, likewise.
    pub step: Span,
    /// What each sequence adds to it, likewise.
    pub sequence: Span,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            policy: Policy::Prefix,
            candidates: 3,
            stick: millis(50),
            saturated: secs(1),
            pin: secs(5),
            answer: 128,
            foresight: secs(2),
            session_ttl: secs(600),
            sessions: 65_536,
            prefill_rate: 2_000,
            step: millis(20),
            sequence: Span(std::time::Duration::from_micros(200)),
        }
    }
}

/// By what rule nodes are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// By cost: what must be computed, what waits, what decodes.
    #[default]
    Prefix,
    /// The node that carries the fewest tokens, whatever it has cached.
    LeastLoad,
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Prefix, Self::LeastLoad, Self::RoundRobin, Self::Random];

    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::LeastLoad => "least-load",
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
        }
    }
}

impl Placement {
    pub(super) fn check(&self, found: &mut Vec<ConfigFault>) {
        for (key, value, most) in [
            ("candidates", self.candidates, 16),
            ("answer", self.answer, 65_536),
            ("sessions", self.sessions, 16_777_216),
            ("prefill_rate", self.prefill_rate, 1_000_000),
        ] {
            count(found, format!("placement.{key}"), value, most);
        }
        for (key, value) in
            [("stick", self.stick), ("pin", self.pin), ("foresight", self.foresight), ("sequence", self.sequence)]
        {
            if value > LONGEST {
                found.push(fault(format!("placement.{key}"), format!("is {value}: give at most {LONGEST}")));
            }
        }
        for (key, value) in [("saturated", self.saturated), ("session_ttl", self.session_ttl), ("step", self.step)] {
            if value.0.is_zero() || value > LONGEST {
                let problem = format!("is {value}: give more than 0s and at most {LONGEST}");
                found.push(fault(format!("placement.{key}"), problem));
            }
        }
    }
}

#[cfg(test)]
mod tests;
