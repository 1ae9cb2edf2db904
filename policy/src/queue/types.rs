//! What is said to a queue, and what it says.

use std::time::Duration;

use protocol::job::Class;
use protocol::units::Tokens;

/// The bounds of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub requests: usize,
    /// Prompt tokens of all entries.
    pub tokens: Tokens,
    /// Entries that may be on trial at once.
    pub trials: usize,
    /// Who waits so long rises by a class, and once more after as long again.
    pub rise: Duration,
    /// What a tenant may send in one round.
    pub quantum: Tokens,
    /// The shortest time after which somebody is asked to come again.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            requests: 1024,
            tokens: Tokens(1 << 20),
            trials: 4,
            rise: Duration::from_secs(10),
            quantum: Tokens(2048),
            shortest: Duration::from_millis(250),
            longest: Duration::from_secs(600),
        }
    }
}

impl From<&protocol::config::Queue> for Bounds {
    fn from(queue: &protocol::config::Queue) -> Self {
        Self {
            requests: queue.requests as usize,
            tokens: Tokens(queue.tokens.into()),
            trials: queue.trials as usize,
            rise: queue.rise.0,
            ..Self::default()
        }
    }
}

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) u64);

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How urgent it is.
    pub class: Class,
    /// Whose it is.
    pub tenant: String,
    /// Its prompt.
    pub tokens: Tokens,
    /// Since when it waits: before now, if it was let out and comes back.
    pub since: Duration,
    /// Until when it may wait.
    pub deadline: Duration,
    /// It was turned away before, and comes when it was told to.
    pub again: bool,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// There is no room for anybody like it.
    #[error("{requests} requests with {tokens} wait already")]
    Full {
        /// How many wait.
        requests: usize,
        /// Their prompts.
        tokens: Tokens,
    },
    /// It would never fit.
    #[error("its prompt has {tokens}, and all that wait may have {limit}")]
    TooLarge {
        /// Of the entry.
        tokens: Tokens,
        /// The bound.
        limit: Tokens,
    },
    /// Somebody more urgent, or of a tenant with less, took its place.
    #[error("its place was given to a more urgent request")]
    PushedOut,
    /// Its deadline passed.
    #[error("no node had room for it in time")]
    Expired,
}

/// Somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct TurnedAway {
    /// Why.
    pub why: Why,
    /// When it is worth another try.
    pub retry_after: Duration,
    /// Whether it is the tenant's own share that is full.
    pub own: bool,
}

/// What a tenant holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) requests: usize,
    pub(super) tokens: Tokens,
}

impl Held {
    pub(super) fn add(&mut self, tokens: Tokens) {
        self.requests += 1;
        self.tokens += tokens;
    }

    pub(super) fn sub(&mut self, tokens: Tokens) {
        self.requests = self.requests.saturating_sub(1);
        self.tokens -= tokens;
    }

    pub(super) fn exceeds(&self, share: Self) -> bool {
        self.requests > share.requests || self.tokens > share.tokens
    }
}
