//! The pool of KV blocks: who holds which, and which prefixes lie in them.
//!
//! Rules:
//! - A block is free or held. A held block counts its holders; it is free again when the last lets go.
//! - A full block may be published under the hash of all tokens up to its end. A free block keeps its
//!   hash and its content until it is handed out again, the least recently used first: that is the
//!   prefix cache, it costs nothing and cannot overflow.
//! - Blocks without a hash are handed out before any cached one. A released sequence's last blocks go
//!   before its first ones, since a longer prefix is of use to fewer.
//! - What is published and what loses its hash is noted in order, for whoever keeps an index.
//!
//! What lies in a block is the model's business.

use std::collections::HashMap;

pub use protocol::engine::BlockHash;
use protocol::engine::{CacheEvent, CacheLog};
use protocol::units::Blocks;

/// A block, by its place in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(u32);

impl BlockId {
    /// Its place in the cache.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Name {
    hash: BlockHash,
    parent: Option<BlockHash>,
}

#[derive(Clone, Debug)]
struct Entry {
    holders: u32,
    name: Option<Name>,
    before: u32,
    after: u32,
}

/// All blocks of one cache.
#[derive(Clone, Debug)]
pub struct BlockPool {
    entries: Vec<Entry>,
    cached: HashMap<BlockHash, BlockId>,
    log: CacheLog,
    /// Free blocks, the next to be handed out first: a list through the entries.
    first: u32,
    last: u32,
    free: u32,
}

impl BlockPool {
    /// A pool of so many free blocks; more than fit an id are left out.
    pub fn new(blocks: Blocks) -> Self {
        let count = u32::try_from(blocks.0).unwrap_or(NONE).min(NONE - 1);
        let entry = Entry { holders: 0, name: None, before: NONE, after: NONE };
        let entries = vec![entry; count as usize];
        // At most half full, the map cleans up after removals in place: it never grows again.
        let cached = HashMap::with_capacity(entries.len() * 2);
        let log = CacheLog::new(entries.len());
        let mut pool = Self { entries, cached, log, first: NONE, last: NONE, free: 0 };
        for id in 0..count {
            pool.push_last(id);
        }
        pool
    }

    /// All blocks.
    pub fn total(&self) -> usize {
        self.entries.len()
    }

    /// Blocks that nobody holds, cached ones among them.
    pub fn free(&self) -> usize {
        self.free as usize
    }

    /// Blocks in somebody's hands.
    pub fn used(&self) -> usize {
        self.total() - self.free()
    }

    /// How many of these hashes, from the front, are cached; and how many of those blocks are free,
    /// so that taking them leaves fewer for others.
    pub fn find(&self, hashes: &[BlockHash]) -> (usize, usize) {
        let found = hashes.iter().map_while(|hash| self.cached.get(hash));
        found.fold((0, 0), |(all, free), id| (all + 1, free + usize::from(self.holders(*id) == 0)))
    }

    /// Takes the cached blocks of these hashes, as far as they go from the front, and appends them to a
    /// table.
    pub fn take_cached(&mut self, hashes: &[BlockHash], table: &mut Vec<BlockId>) {
        for hash in hashes {
            let Some(id) = self.cached.get(hash).copied() else { return };
            if self.holders(id) == 0 {
                self.unlink(id.0);
            }
            if let Some(entry) = self.entries.get_mut(id.index()) {
                entry.holders += 1;
            }
            table.push(id);
        }
    }

    /// Where cached blocks lie, as far as they go from the front, each with the one before it.
    pub fn cached<'a>(
        &'a self,
        hashes: &'a [BlockHash],
    ) -> impl Iterator<Item = (BlockId, BlockHash, Option<BlockHash>)> + 'a {
        hashes.iter().map_while(|hash| {
            let id = *self.cached.get(hash)?;
            let name = self.entries.get(id.index())?.name?;
            Some((id, name.hash, name.parent))
        })
    }

    /// The hashes of a cached block and of all before it, from the first on; none if one of them is gone.
    pub fn ancestry(&self, last: BlockHash) -> Option<Vec<BlockHash>> {
        let mut hashes = Vec::new();
        let mut at = Some(last);
        while let Some(hash) = at {
            let name = self.entries.get(self.cached.get(&hash)?.index())?.name?;
            hashes.push(hash);
            at = name.parent;
            if hashes.len() > self.total() {
                return None;
            }
        }
        hashes.reverse();
        Some(hashes)
    }

    /// Hands out a block; its old content is forgotten. None if all are held.
    pub fn allocate(&mut self) -> Option<BlockId> {
        let id = self.first;
        let entry = self.entries.get_mut(id as usize)?;
        entry.holders = 1;
        self.unpublish(id);
        self.unlink(id);
        Some(BlockId(id))
    }

    /// Says what a held, full block holds, and what lies before it. If another block holds the same
    /// already, that one stays the cached one: tables of running sequences never change.
    pub fn publish(&mut self, id: BlockId, hash: BlockHash, parent: Option<BlockHash>) {
        if self.cached.contains_key(&hash) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(id.index())
            && entry.name.is_none()
        {
            entry.name = Some(Name { hash, parent });
            self.cached.insert(hash, id);
            self.log.note(CacheEvent::Stored { hash, parent });
        }
    }

    fn unpublish(&mut self, id: u32) {
        if let Some(Name { hash, .. }) = self.entry(id).and_then(|entry| entry.name.take()) {
            self.cached.remove(&hash);
            self.log.note(CacheEvent::Removed { hash });
        }
    }

    /// Tells what was published and what lost its hash since the last call, or all that is cached.
    pub fn cache_events(&mut self, events: &mut Vec<CacheEvent>) {
        let names = self.entries.iter().filter_map(|entry| entry.name);
        self.log.tell(events, names.map(|Name { hash, parent }| CacheEvent::Stored { hash, parent }));
    }

    /// Makes the next telling one of all that is cached.
    pub fn restart_cache_events(&mut self) {
        self.log.restart();
    }

    /// Lets go of a sequence's blocks, given in the order of the sequence.
    pub fn release(&mut self, ids: impl DoubleEndedIterator<Item = BlockId>) {
        for id in ids.rev() {
            let Some(entry) = self.entries.get_mut(id.index()) else { continue };
            entry.holders = entry.holders.saturating_sub(1);
            if entry.holders > 0 {
                continue;
            }
            if entry.name.is_some() { self.push_last(id.0) } else { self.push_first(id.0) }
        }
    }

    /// Unpublishes blocks; returns those with a single holder.
    pub fn forget(&mut self, ids: &[BlockId]) -> Vec<BlockId> {
        for id in ids {
            self.unpublish(id.0);
        }
        ids.iter().copied().filter(|id| self.holders(*id) == 1).collect()
    }

    fn holders(&self, id: BlockId) -> u32 {
        self.entries.get(id.index()).map_or(0, |entry| entry.holders)
    }

    fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.get_mut(id as usize)
    }

    fn push_last(&mut self, id: u32) {
        let last = self.last;
        if let Some(entry) = self.entry(id) {
            (entry.before, entry.after) = (last, NONE);
        }
        match self.entry(last) {
            Some(entry) => entry.after = id,
            None => self.first = id,
        }
        self.last = id;
        self.free += 1;
    }

    fn push_first(&mut self, id: u32) {
        let first = self.first;
        if let Some(entry) = self.entry(id) {
            (entry.before, entry.after) = (NONE, first);
        }
        match self.entry(first) {
            Some(entry) => entry.before = id,
            None => self.last = id,
        }
        self.first = id;
        self.free += 1;
    }

    fn unlink(&mut self, id: u32) {
        let Some(entry) = self.entry(id) else { return };
        let (before, after) = (entry.before, entry.after);
        (entry.before, entry.after) = (NONE, NONE);
        match self.entry(before) {
            Some(entry) => entry.after = after,
            None => self.first = after,
        }
        match self.entry(after) {
            Some(entry) => entry.before = before,
            None => self.last = before,
        }
        self.free -= 1;
    }

    /// Whether the pool agrees with itself and with what is held: `tables` are all block tables.
    /// For tests, after every step.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check<'a>(&self, tables: impl Iterator<Item = &'a [BlockId]>) -> Result<(), String> {
        let mut held = vec![0u32; self.total()];
        for id in tables.flatten() {
            *held.get_mut(id.index()).ok_or_else(|| format!("{id:?} is beyond the pool"))? += 1;
        }
        for (id, (entry, held)) in self.entries.iter().zip(&held).enumerate() {
            if entry.holders != *held {
                return Err(format!("block {id} counts {} holders, but {held} hold it", entry.holders));
            }
            if let Some(Name { hash, .. }) = entry.name
                && self.cached.get(&hash).map(|id| id.index()) != Some(id)
            {
                return Err(format!("block {id} has a hash that leads elsewhere"));
            }
        }
        let named = self.entries.iter().filter(|entry| entry.name.is_some()).count();
        if named != self.cached.len() {
            return Err(format!("{named} blocks have a hash, {} hashes lead to one", self.cached.len()));
        }
        let mut listed = 0;
        let mut at = self.first;
        while let Some(entry) = self.entries.get(at as usize) {
            if entry.holders > 0 {
                return Err(format!("block {at} is held and free"));
            }
            listed += 1;
            if listed > self.total() {
                return Err("the free list is a circle".to_owned());
            }
            at = entry.after;
        }
        let free = held.iter().filter(|held| **held == 0).count();
        if listed != free || self.free() != free {
            return Err(format!("{free} blocks are free, {listed} are listed, {} are counted", self.free()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
