//! A store that stops at its first failure.
//!
//! Rules: what was spent of a budget is written as a sum, and the sum that is written after a failure has that in it
//! whose record the failure has cost. So after one nothing is written, until a batch comes that brings all that is
//! missing: then records and sums agree on disk at every moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use protocol::ids::RequestId;
use protocol::manage::UsageQuery;
use protocol::units::UnixMillis;
use store::{Compacted, Grouping, Hard, Receipt, Store, StoreError, Total, UsagePage, Write, WriterError};

use crate::guarded::Guarded;

/// A batch with this write brings a part of what is missing.
const PART: &str = "accounts/part";
/// It is the first part.
const FIRST: &str = "accounts/first";
/// It is the last.
const LAST: &str = "accounts/last";

/// Stops at its first failure.
#[derive(Debug)]
pub(super) struct Steady {
    inner: Arc<dyn Store>,
    failed: Guarded<Option<StoreError>>,
    /// A part of what was missing could not be written: the last part is of no use.
    spoiled: AtomicBool,
}

/// What lets a batch through after a failure; with the last of what is missing, all that come later too.
pub(super) fn brings(first: bool, last: bool) -> Vec<Write> {
    let marks = [(true, PART), (first, FIRST), (last, LAST)];
    marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| Write::RemoveBlob(mark.to_owned())).collect()
}

fn has(batch: &[Write], mark: &str) -> bool {
    batch.iter().any(|write| matches!(write, Write::RemoveBlob(name) if name == mark))
}

impl Steady {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, failed: Guarded::new(None), spoiled: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.failed.lock()
    }

    /// Whether something is missing on disk.
    pub(super) fn failed(&self) -> bool {
        self.lock().is_some()
    }

    /// A batch did not even come to the store.
    pub(super) fn missed(&self, error: &WriterError) {
        let error = match error {
            WriterError::Store(error) => error.clone(),
            other => StoreError::Disk { path: "the writer's queue".into(), why: other.to_string() },
        };
        self.fail(error);
    }

    fn fail(&self, error: StoreError) {
        let mut failed = self.lock();
        if failed.is_none() {
            tracing::error!("usage cannot be recorded, nothing new is taken in until it can: {error}");
        }
        *failed = Some(error);
    }
}

impl Store for Steady {
    fn load(&self) -> Result<Hard, StoreError> {
        self.inner.load()
    }

    fn commit(&self, batch: &[Write]) -> Result<Receipt, StoreError> {
        let (part, last) = (has(batch, PART), has(batch, LAST));
        if has(batch, FIRST) {
            self.spoiled.store(false, Ordering::Release);
        }
        if (!part || self.spoiled.load(Ordering::Acquire))
            && let Some(error) = self.lock().clone()
        {
            return Err(error);
        }
        match self.inner.commit(batch) {
            Ok(receipt) => {
                if last && self.lock().take().is_some() {
                    tracing::info!("usage is recorded again");
                }
                Ok(receipt)
            }
            Err(error) => {
                self.spoiled.fetch_or(part, Ordering::AcqRel);
                // Of a group that is refused, each batch is tried alone.
                if !matches!(error, StoreError::Refused(_)) {
                    self.fail(error.clone());
                }
                Err(error)
            }
        }
    }

    fn usage(&self, query: &UsageQuery) -> Result<UsagePage, StoreError> {
        self.inner.usage(query)
    }

    fn totals(
        &self,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
        by: Grouping,
    ) -> Result<BTreeMap<String, Total>, StoreError> {
        self.inner.totals(since, until, by)
    }

    fn compact(&self, before: UnixMillis) -> Result<Compacted, StoreError> {
        self.inner.compact(before)
    }

    fn usage_exists(&self, request: RequestId) -> Result<bool, StoreError> {
        self.inner.usage_exists(request)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests;
