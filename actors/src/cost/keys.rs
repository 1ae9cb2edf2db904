//! Who may ask: keys by the hash of their secret.
//!
//! Rules: a secret is never kept, only its hash; two keys never have the same. Guards of the map never leave this
//! file. That a key is stored is its manager's affair ([`super::manage`]).

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use dashmap::DashMap;
use protocol::account::KeyRecord;
use protocol::units::UnixMillis;

use crate::guarded::Guarded;

/// The most keys.
pub const MOST_KEYS: usize = 1 << 20;

/// The keys of a cluster.
#[derive(Debug, Default)]
pub struct Keys {
    by_hash: DashMap<[u8; 32], Arc<KeyRecord>>,
    /// The hash of each, by id.
    ids: Guarded<BTreeMap<String, [u8; 32]>>,
}

/// A key that is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Nobody knows it.
    #[error("the API key is not known: ask whoever runs the cluster for one (`troupe key create`)")]
    Unknown,
    /// It was taken back.
    #[error("the API key {0} was revoked: ask whoever runs the cluster for another")]
    Revoked(String),
    /// Its time is over.
    #[error("the API key {0} has expired: ask whoever runs the cluster for more time (`troupe key update`)")]
    Expired(String),
}

impl Keys {
    /// These.
    pub fn of(records: impl IntoIterator<Item = (String, KeyRecord)>) -> Self {
        let keys = Self::default();
        for (_, record) in records {
            keys.put(record);
        }
        keys
    }

    /// Whose secret has this hash.
    ///
    /// # Errors
    /// Nobody's, or it is of no use any more.
    pub fn find(&self, hash: &[u8; 32], now: UnixMillis) -> Result<Arc<KeyRecord>, KeyFault> {
        // The hash of a secret of 192 random bits: how long a look-up takes tells nobody anything.
        let record = self.by_hash.get(hash).map(|record| Arc::clone(record.value())).ok_or(KeyFault::Unknown)?;
        if record.revoked {
            return Err(KeyFault::Revoked(record.id.clone()));
        }
        if record.settings.expires.is_some_and(|end| end <= now) {
            return Err(KeyFault::Expired(record.id.clone()));
        }
        Ok(record)
    }

    /// By its id.
    pub fn get(&self, id: &str) -> Option<Arc<KeyRecord>> {
        let hash = *self.ids().get(id)?;
        self.by_hash.get(&hash).map(|record| Arc::clone(record.value()))
    }

    /// All of them, by id.
    pub fn all(&self) -> Vec<Arc<KeyRecord>> {
        let hashes: Vec<[u8; 32]> = self.ids().values().copied().collect();
        hashes.iter().filter_map(|hash| self.by_hash.get(hash).map(|record| Arc::clone(record.value()))).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ids().len()
    }

    /// A key comes, or takes the place of the one with its id.
    pub fn put(&self, record: KeyRecord) -> Arc<KeyRecord> {
        let record = Arc::new(record);
        let old = self.ids().insert(record.id.clone(), record.hash);
        self.by_hash.insert(record.hash, Arc::clone(&record));
        if let Some(old) = old.filter(|old| *old != record.hash) {
            self.by_hash.remove(&old);
        }
        record
    }

    /// These and no others.
    pub fn replace(&self, records: Vec<KeyRecord>) {
        let kept: std::collections::BTreeSet<String> = records.iter().map(|record| record.id.clone()).collect();
        records.into_iter().for_each(|record| drop(self.put(record)));
        let gone: Vec<[u8; 32]> = {
            let mut ids = self.ids();
            let gone = ids.iter().filter(|(id, _)| !kept.contains(*id)).map(|(_, hash)| *hash).collect();
            ids.retain(|id, _| kept.contains(id));
            gone
        };
        for hash in gone {
            self.by_hash.remove(&hash);
        }
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<String, [u8; 32]>> {
        self.ids.lock()
    }
}

#[cfg(test)]
mod tests;
