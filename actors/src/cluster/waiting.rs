//! Where requests wait that no node takes now.

use std::time::Duration;

use protocol::answer::{ErrorKind, JobError};
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
    /// Its client has seen a part of it: it goes before those that have not begun, and waits for as long as it has.
    pub begun: bool,
    /// How long it has waited already.
    pub waited: Duration,
    /// What is left of its time.
    pub left: Duration,
    /// When some node wants to be asked again, at the earliest.
    pub retry_after: Option<Duration>,
}

/// A request that waits no longer, and was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TurnedAway {
    /// For the client.
    pub reason: String,
    /// When it is worth another try.
    pub retry_after: Duration,
}

impl From<TurnedAway> for JobError {
    fn from(away: TurnedAway) -> Self {
        Self::new(ErrorKind::Overloaded, away.reason).retry_after(away.retry_after)
    }
}

/// How long a request waits that has not begun.
const PATIENCE: Duration = Duration::from_secs(5);
/// When it is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// All that wait.
#[derive(Debug, Default)]
pub struct Waiting {}

impl Waiting {
    /// Waits for its turn. To drop the future is to leave.
    ///
    /// # Errors
    /// There is no room, or its time is over.
    pub async fn turn(&self, entry: Entry) -> Result<(), TurnedAway> {
        let patience = if entry.begun { entry.left } else { PATIENCE.min(entry.left) };
        if entry.waited >= patience {
            let reason = format!("every node of '{}' is full, and was for {:?}: try again", entry.model, entry.waited);
            return Err(TurnedAway { reason, retry_after: entry.retry_after.unwrap_or(Duration::from_secs(1)) });
        }
        tokio::time::sleep(AGAIN.min(patience - entry.waited)).await;
        Ok(())
    }
}
