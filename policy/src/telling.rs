//! How a node tells what its cache holds: changes in numbered batches, each epoch from its beginning.
//!
//! The other side is [`crate::index`]. Rules: an epoch begins with nothing and then has the whole cache; what cannot be
//! followed from there (the cache was emptied, the listener has lost something) begins the next one. Numbers have
//! no gap, so that a batch that is lost shows. Large changes go in pieces.

use protocol::cache::{BlockKey, CacheBatch, CacheChange};

/// Keys in one batch: some 40 KiB.
const PIECE: usize = 4096;

/// One model's cache, as one listener is told of it.
#[derive(Clone, Debug)]
pub struct Telling {
    model: String,
    epoch: u64,
    sequence: u64,
}

impl Telling {
    /// Nothing was told yet.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), epoch: 0, sequence: 0 }
    }

    /// Whose cache it is.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Tells all anew.
    pub fn all(&mut self, keys: &[BlockKey]) -> Vec<CacheBatch> {
        let mut batches = vec![self.begin()];
        batches.extend(keys.chunks(PIECE).map(|keys| self.batch(CacheChange::Stored(keys.to_vec()))));
        batches
    }

    /// Tells what has changed.
    pub fn changes(&mut self, changes: &[CacheChange]) -> Vec<CacheBatch> {
        let mut batches = Vec::new();
        for change in changes {
            match change {
                CacheChange::Cleared => batches.push(self.begin()),
                CacheChange::Stored(keys) => {
                    batches.extend(keys.chunks(PIECE).map(|keys| self.batch(CacheChange::Stored(keys.to_vec()))));
                }
                CacheChange::Removed(keys) => {
                    batches.extend(keys.chunks(PIECE).map(|keys| self.batch(CacheChange::Removed(keys.to_vec()))));
                }
            }
        }
        batches
    }

    /// The next epoch.
    fn begin(&mut self) -> CacheBatch {
        self.epoch += 1;
        self.sequence = 0;
        self.batch(CacheChange::Cleared)
    }

    fn batch(&mut self, change: CacheChange) -> CacheBatch {
        let sequence = self.sequence;
        self.sequence += change.count();
        CacheBatch { model: self.model.clone(), epoch: self.epoch, sequence, changes: vec![change] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Index, Outcome};
    use protocol::ids::NodeId;
    use protocol::units::Blocks;

    #[test]
    fn an_index_follows_what_is_told_and_notices_what_is_not() {
        let (node, mut index, mut telling) = (NodeId(1), Index::default(), Telling::new("m"));
        index.join(node, Blocks(10_000));
        let keys: Vec<BlockKey> = (0..5000).map(BlockKey).collect();
        let told = telling.all(&keys);
        assert_eq!(told.len(), 3, "the beginning and two pieces");
        assert!(told.iter().all(|batch| index.apply(node, batch) == Outcome::Taken));
        let gone =
            telling.changes(&[CacheChange::Removed(vec![BlockKey(7)]), CacheChange::Stored(vec![BlockKey(9000)])]);
        assert!(gone.iter().all(|batch| index.apply(node, batch) == Outcome::Taken));
        assert_eq!(index.held(), Blocks(5000));
        telling.changes(&[CacheChange::Removed(vec![BlockKey(8)])]);
        let late = telling.changes(&[CacheChange::Removed(vec![BlockKey(9)])]);
        assert!(late.iter().all(|batch| matches!(index.apply(node, batch), Outcome::Resync(_))));
        let anew = telling.changes(&[CacheChange::Cleared, CacheChange::Stored(vec![BlockKey(1)])]);
        assert!(anew.iter().all(|batch| index.apply(node, batch) == Outcome::Taken));
        assert_eq!(index.held(), Blocks(1));
    }
}
