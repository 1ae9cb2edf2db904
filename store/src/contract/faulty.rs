//! A store whose disk fails on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::ids::RequestId;
use protocol::manage::UsageQuery;
use protocol::units::UnixMillis;

use crate::{Compacted, Grouping, Hard, MemoryStore, Receipt, Store, StoreError, Total, UsagePage, Write};

/// Its disk takes batches until it is told to fail; what it has taken can be read all the same.
#[derive(Debug)]
pub struct FaultyStore {
    inner: MemoryStore,
    /// Batches that still succeed.
    left: AtomicU64,
}

impl Default for FaultyStore {
    fn default() -> Self {
        Self::on(&MemoryStore::default())
    }
}

impl FaultyStore {
    /// Over what `inner` holds, which outlives it.
    pub fn on(inner: &MemoryStore) -> Self {
        Self { inner: inner.clone(), left: AtomicU64::new(u64::MAX) }
    }

    /// Fails from now on, or works again.
    pub fn fail(&self, fails: bool) {
        self.fail_after(if fails { 0 } else { u64::MAX });
    }

    /// Fails once so many more batches were taken.
    pub fn fail_after(&self, batches: u64) {
        self.left.store(batches, Ordering::SeqCst);
    }

    /// Takes the next batch.
    pub fn works(&self) -> bool {
        self.left.load(Ordering::SeqCst) > 0
    }
}

impl Store for FaultyStore {
    fn load(&self) -> Result<Hard, StoreError> {
        self.inner.load()
    }

    fn commit(&self, batch: &[Write]) -> Result<Receipt, StoreError> {
        let less = |left: u64| if left == u64::MAX { Some(left) } else { left.checked_sub(1) };
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => self.inner.commit(batch),
            Err(_) => Err(StoreError::Disk { path: "disk".into(), why: "it fails".into() }),
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
