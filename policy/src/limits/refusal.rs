//! Why a key may not ask now, and when it may.

use std::fmt;
use std::time::Duration;

use protocol::units::Tokens;

/// A limit of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Requests in any minute.
    Requests,
    /// Tokens in any minute.
    Tokens,
    /// Requests at once.
    Parallel,
}

impl Which {
    /// The field of [`protocol::account::KeyLimits`].
    pub fn field(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::Parallel => "parallel",
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests a minute",
            Self::Tokens => "tokens a minute",
            Self::Parallel => "requests at once",
        })
    }
}

/// Why a key may not ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// It has used up what it may.
    #[error("{used} of {limit} {which} are used: come again in {}", super::span(*.retry_after))]
    Used {
        /// Of several limits, the one for which it waits longest.
        which: Which,
        /// The most.
        limit: u64,
        /// What counts now.
        used: u64,
        /// Who comes after so long is let in, if nobody else took the room.
        retry_after: Duration,
        /// That holds whatever runs. Otherwise requests of the key must end first, and it is a guess from how long
        /// they usually take.
        sure: bool,
    },
    /// It alone is more than what any minute may have.
    #[error(
        "the prompt and max_tokens are {asked} together, and the key may use {limit} a minute: lower max_tokens, shorten the prompt, or have tokens_per_minute raised"
    )]
    TooLarge {
        /// The prompt and `max_tokens`.
        asked: Tokens,
        /// The key's tokens a minute.
        limit: Tokens,
    },
    /// The key may have none at all.
    #[error("the key may have 0 {which}: have {} raised", which.field())]
    Nothing {
        /// Which limit is 0.
        which: Which,
    },
    /// More keys are in use than can be counted.
    #[error("{0} keys were in use in the last minute, the most that are counted: come again in a minute")]
    Crowded(usize),
}

impl Limited {
    /// When to come again; none if it is of no use.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Used { retry_after, .. } => Some(*retry_after),
            Self::Crowded(_) => Some(super::WINDOW),
            Self::TooLarge { .. } | Self::Nothing { .. } => None,
        }
    }
}
