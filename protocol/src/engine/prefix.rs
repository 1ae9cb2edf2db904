//! Which prefixes an engine's KV cache holds, as those see it who send jobs there.
//!
//! Rules:
//! - A full block is named by a hash of all tokens up to its end and of the tenant's salt. Every engine
//!   and every index names alike, so an index can tell how much of a prompt is cached where.
//! - An engine tells in order what it stored and removed. [`CacheEvent::Cleared`] comes first of all,
//!   when somebody asks to hear all from the start, and when nobody listened for too long; what is cached
//!   follows it. So each of them opens an epoch that needs nothing from before. Whoever puts events on
//!   the wire numbers epochs and events: an engine does not outlive its worker, the numbers must.
//! - A block is of use only behind all those before it. A block may stay while the one before it goes,
//!   so an index keeps it and counts from the front.

use std::fmt;
use std::iter::successors;

use serde::{Deserialize, Serialize};

use crate::ids::TokenId;

/// The scheme by which blocks are named: it grows when the hash, or what goes into it, changes.
pub const HASHING: u16 = 1;

/// Tokens that are hashed together.
const AT_ONCE: usize = 16;

/// Names the tokens of a block and of all blocks before it, and who may share them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockHash([u8; 32]);

impl BlockHash {
    /// Its first eight bytes.
    pub fn head(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The hash before the first block: tenants with different salts share nothing.
    pub fn root(salt: [u8; 16]) -> Self {
        Self(*blake3::Hasher::new().update(b"troupe kv 1").update(&salt).finalize().as_bytes())
    }

    /// The hash of the block that holds these tokens after a parent.
    #[must_use]
    pub fn child(self, tokens: &[TokenId]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        // A few long pieces are hashed much faster than many short ones.
        for some in tokens.chunks(AT_ONCE) {
            let mut bytes = [[0; 4]; AT_ONCE];
            for (bytes, token) in bytes.iter_mut().zip(some) {
                *bytes = token.0.to_le_bytes();
            }
            hasher.update(bytes.get(..some.len()).unwrap_or_default().as_flattened());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// The hashes of all full blocks of these tokens. A block of 0 tokens is never full.
    pub fn chain(salt: [u8; 16], tokens: &[TokenId], block: usize) -> impl Iterator<Item = Self> {
        let mut blocks = tokens.chunks_exact(block.max(1)).take(if block == 0 { 0 } else { usize::MAX });
        successors(Some(Self::root(salt)), move |parent| blocks.next().map(|tokens| parent.child(tokens))).skip(1)
    }
}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

/// What happened to an engine's prefix cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheEvent {
    /// What was said before is void: all that is cached follows.
    Cleared,
    /// A block can be found now; it could not before.
    Stored {
        /// Its name.
        hash: BlockHash,
        /// The block before it; none if it is the first of a prompt.
        parent: Option<BlockHash>,
    },
    /// A block cannot be found any more; it could before.
    Removed {
        /// Its name.
        hash: BlockHash,
    },
}

/// What an engine has not told yet. It is bounded: an event too many, and all that is cached is told
/// instead, which is shorter.
#[derive(Clone, Debug)]
pub struct CacheLog {
    events: Vec<CacheEvent>,
    most: usize,
    anew: bool,
}

impl CacheLog {
    /// The log of a cache with so many blocks. A step removes and stores each block once at most, so
    /// whoever listens after every step hears each event.
    pub fn new(blocks: usize) -> Self {
        Self { events: Vec::new(), most: blocks.saturating_mul(2), anew: true }
    }

    /// Notes an event. It allocates nothing.
    pub fn note(&mut self, event: CacheEvent) {
        if self.anew {
            return;
        }
        if self.events.len() < self.most { self.events.push(event) } else { self.restart() }
    }

    /// The next telling begins anew.
    pub fn restart(&mut self) {
        self.events.clear();
        self.anew = true;
    }

    /// Tells what was not told yet; `cached` is what can be found now, as [`CacheEvent::Stored`].
    pub fn tell(&mut self, events: &mut Vec<CacheEvent>, cached: impl Iterator<Item = CacheEvent>) {
        if std::mem::take(&mut self.anew) {
            // Nobody who never listens pays for this.
            self.events.reserve_exact(self.most);
            events.push(CacheEvent::Cleared);
            events.extend(cached);
        } else {
            events.append(&mut self.events);
        }
    }
}

#[cfg(test)]
mod tests;
