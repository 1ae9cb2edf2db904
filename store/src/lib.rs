//! What must survive a restart: keys, budgets and what was spent of them, prices set at run time, open
//! reservations, usage records, and small states that other parts keep for themselves.
//!
//! Rules:
//! - Everything goes through the one trait [`Store`]. A batch of [`Write`]s is there whole and for good once
//!   [`Store::commit`] has returned, or not at all.
//! - Writes are data without clock or chance: the same batches in the same order make the same store, wherever
//!   they are applied. So a replicated log of batches can stand behind the trait without a change to it.
//! - A usage record is counted once, however often it comes.
//! - Calls block. Who may not wait gives its batches to a [`Writer`], which has a thread and commits in groups.
//! - What is allowed and what it costs is decided elsewhere; here it is only kept.

#[cfg(feature = "contract")]
pub mod contract;
mod embedded;
mod error;
mod hard;
mod memory;
mod report;
mod sealed;
mod write;
mod writer;

use std::collections::BTreeMap;
use std::fmt;

use protocol::ids::RequestId;
use protocol::manage::UsageQuery;
use protocol::units::UnixMillis;

pub use embedded::{Opener, RedbStore};
pub use error::{OpenError, StoreError};
pub use hard::{Counters, Hard, OpenReservation};
pub use memory::MemoryStore;
pub use report::{Compacted, DEFAULT_PAGE, Grouping, MAX_PAGE, MAX_SCAN, Total, UsagePage};
pub use write::{BadBatch, MAX_NAME, MAX_SIZE, MAX_WRITES, Receipt, Write};
pub use writer::{Flushed, Pending, Settings, Stats, Writer, WriterError};

/// What must survive a restart. Every call may block for as long as the disk takes.
pub trait Store: Send + Sync + fmt::Debug {
    /// All but the usage records: what a coordinator needs to know when it starts.
    ///
    /// # Errors
    /// The store cannot be read, or holds what this version cannot read.
    fn load(&self) -> Result<Hard, StoreError>;

    /// Applies the writes in their order. Once it has returned they are on disk, all of them; after an error, none
    /// is, except where the disk itself failed: then it shows with the next call that succeeds whether the batch
    /// is there, whole, or not.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the batch can never be taken; else the store cannot be written.
    fn commit(&self, batch: &[Write]) -> Result<Receipt, StoreError>;

    /// Usage records that are not yet folded into daily totals, by time, then by request. A limit of 0 means
    /// [`DEFAULT_PAGE`], more than [`MAX_PAGE`] means that. After [`MAX_SCAN`] records that do not match, a page
    /// ends too, so that one question cannot hold the store for long: only a page without `next` is the last.
    ///
    /// # Errors
    /// The store cannot be read.
    fn usage(&self, query: &UsageQuery) -> Result<UsagePage, StoreError>;

    /// Sums over all that was ever used, `since` included, `until` not. Of days that were folded, a day counts
    /// whole if its beginning, in UTC, lies in the span.
    ///
    /// # Errors
    /// The store cannot be read, or a sum does not fit.
    fn totals(
        &self,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
        by: Grouping,
    ) -> Result<BTreeMap<String, Total>, StoreError>;

    /// Folds usage records of whole days (UTC) that ended by `before` into one total for each day and subject, and
    /// gives room back. Totals stay as they were; the records' ids stay known, so that a replay stays harmless.
    ///
    /// # Errors
    /// The store cannot be read or written; what is folded until then stays folded.
    fn compact(&self, before: UnixMillis) -> Result<Compacted, StoreError>;

    /// Whether the usage of a request was ever recorded.
    ///
    /// # Errors
    /// The store cannot be read.
    fn usage_exists(&self, request: RequestId) -> Result<bool, StoreError>;

    /// Lets go of what the store holds; every later call is refused with [`StoreError::Closed`]. What is dropped
    /// without it is closed as well, but does not say how that went.
    ///
    /// # Errors
    /// The store cannot be written.
    fn close(&self) -> Result<(), StoreError>;
}
