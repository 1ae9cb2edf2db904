//! What a node says of its prefix caches: which blocks can be found, as it changes.
//!
//! Rules:
//! - Blocks go by their keys, the first eight bytes of their hashes: an index only tells where a prefix is
//!   likely to be, and the node that is asked compares whole hashes. Nothing is said of parents, since a
//!   hash stands for all tokens up to its block's end.
//! - A batch belongs to an epoch, and its changes are numbered in it from 0, [`CacheChange::Cleared`] first.
//!   So each epoch needs nothing from before; a number that is missing or comes twice shows that something
//!   was lost, and the listener asks for the next epoch with [`CacheResync`].

use serde::{Deserialize, Serialize};

use crate::engine::BlockHash;

/// The short name of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockKey(pub u64);

impl From<BlockHash> for BlockKey {
    fn from(hash: BlockHash) -> Self {
        Self(hash.head())
    }
}

/// What happened to a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheChange {
    /// Nothing is cached. It opens an epoch.
    Cleared,
    /// These can be found now.
    Stored(Vec<BlockKey>),
    /// These cannot be found any more.
    Removed(Vec<BlockKey>),
}

impl CacheChange {
    /// How many numbers it takes.
    pub fn count(&self) -> u64 {
        match self {
            Self::Cleared => 1,
            Self::Stored(keys) | Self::Removed(keys) => keys.len() as u64,
        }
    }
}

/// Changes of one model's cache, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBatch {
    /// Whose.
    pub model: String,
    /// Grows with each time that all is told anew.
    pub epoch: u64,
    /// The number of its first change in the epoch.
    pub sequence: u64,
    /// The changes.
    pub changes: Vec<CacheChange>,
}

/// Something was lost: tell all anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheResync {
    /// Whose.
    pub model: String,
}
