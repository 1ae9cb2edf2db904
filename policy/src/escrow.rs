//! One budget, several coordinators: the [`Holder`] has the budgets and their store, each [`Grantee`] spends
//! slices that it was granted, without asking for each request.
//!
//! Rules:
//! - What is granted and not yet settled is reserved at the holder, like its own requests. So what is settled,
//!   what is open anywhere and what is on its way are together never more than a budget's limit.
//! - Every amount in a message is absolute. A grantee gives up a part of a slice before it says so, the holder
//!   sets a slice aside before it says so, and a message that does not answer or follow the latest one is
//!   ignored: what is lost, doubled, late or out of order leaves too much reserved for a moment, never too
//!   little.
//! - Usage travels as records with a sequence that never ends. Those that are booked already are skipped. The
//!   holder finds by itself which budgets they count in: so the sum of the records is the sum of the budgets.
//! - A grantee spends as long as the last message that was answered is younger than the grant's time to live;
//!   then it fails closed, and only what is open may settle. The two clocks need not agree: each side measures
//!   spans of its own.
//! - A grantee that is not heard of keeps its slices: they count as spent until it comes back with its journal
//!   and says that all of it is told, or an operator has it forgotten. It then counts as idle and does not make
//!   the slices of others smaller.
//! - A slice outlives a window as a reservation does: it is reserved in the next, and counts in that in which the
//!   holder books what was spent.
//! - A budget that is new, has a new scope or a lower limit is known to a grantee with its next grant, so after
//!   the time to live at the latest. What it lets in until then counts, beyond the limit if need be.
//! - Slices are a part of what is left, smaller the more grantees there are and the less is left, and no larger
//!   than what is in demand. What is not in demand any more goes back.
//!
//! [`Holder::apply`] is deterministic: the same commands in the same order make the same state and the same
//! outputs, and times come with the commands. So Raft can carry its log later without a change here.
//!
//! Left to others: the store (see [`holder::Synced`]), the journal (see [`Grantee::settle`]), the wire.

use std::time::Duration;

use protocol::units::Nanos;

pub mod grantee;
pub mod holder;

pub use grantee::Grantee;
pub use holder::Holder;

/// The most records in a message: with the most tags that one can have, they fit.
const RECORDS: usize = 200;

/// How slices are cut and how long they are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often a grantee tells what was spent.
    pub interval: Duration,
    /// How soon after the last message it asks for more, if it must.
    pub pause: Duration,
    /// How long it waits for an answer until it tells all again.
    pub patience: Duration,
    /// How long a grant is good.
    pub ttl: Duration,
    /// How long after its last message a grantee counts as there.
    pub lease: Duration,
    /// A slice is not smaller, if so much is left.
    pub chunk: Nanos,
    /// The most records in a message.
    pub records: usize,
    /// The most that a grantee has open or not booked yet.
    pub backlog: usize,
    /// The most grantees that are known.
    pub grantees: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            pause: Duration::from_millis(20),
            patience: Duration::from_secs(2),
            ttl: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            chunk: Nanos(10_000_000),
            records: RECORDS,
            backlog: 100_000,
            grantees: 64,
        }
    }
}

impl Settings {
    /// For slices that are good for so long. Who is silent for as long has stopped spending; and within that time an
    /// answer that was lost is asked for again more than once, so that one lost message closes nobody.
    pub fn lasting(ttl: Duration) -> Self {
        let usual = Self::default();
        Self { patience: (ttl / 4).min(usual.patience), ttl, lease: ttl, ..usual }
    }
}

#[cfg(test)]
mod tests;
