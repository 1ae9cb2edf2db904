//! Where requests wait that no node takes now.

use std::time::Duration;

use protocol::job::Class;
use protocol::units::Tokens;

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The model it is for.
    pub model: String,
    /// How urgent it is.
    pub class: Class,
    /// Whose it is: tenants of a class share fairly.
    pub tenant: String,
    /// How long its prompt is.
    pub tokens: Tokens,
    /// How long it may wait.
    pub patience: Duration,
}

/// A request that waits no longer, and was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TurnedAway {
    /// For the client.
    pub reason: String,
    /// When it is worth another try.
    pub retry_after: Duration,
    /// Whether the tenant's own share is what is full: 429, not 503.
    pub own: bool,
}

/// All that wait.
#[derive(Debug, Default)]
pub struct Waiting {}

impl Waiting {
    /// Waits for its turn. To drop the future is to leave.
    ///
    /// # Errors
    /// There is no room, or its time is over.
    pub async fn turn(&self, entry: Entry) -> Result<(), TurnedAway> {
        let reason = format!("every node of '{}' is full: try again", entry.model);
        Err(TurnedAway { reason, retry_after: Duration::from_secs(1), own: false })
    }
}
