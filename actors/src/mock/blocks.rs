//! Counted blocks with a prefix cache. A block that nobody holds keeps its hash until it is needed
//! for something else, the longest unused first.

use std::collections::{BTreeMap, HashMap};

use protocol::engine::{BlockData, BlockHash, CacheEvent, CacheLog, ImportRefusal, Imported};
use protocol::units::Blocks;

/// A block's place in the pool.
pub(super) type BlockId = usize;

#[derive(Clone, Debug, Default)]
struct Block {
    holders: u32,
    hash: Option<BlockHash>,
    /// The hash of the block before it, if there is one.
    parent: Option<BlockHash>,
    /// Its place in `free` while nobody holds it.
    freed: u64,
}

/// All blocks of an engine.
#[derive(Debug)]
pub(super) struct Pool {
    blocks: Vec<Block>,
    /// Blocks without a holder, by when they lost the last.
    free: BTreeMap<u64, BlockId>,
    /// Full blocks by the hash of all tokens up to their end.
    cached: HashMap<BlockHash, BlockId>,
    log: CacheLog,
    clock: u64,
    size: usize,
}

impl Pool {
    pub(super) fn new(blocks: usize, size: usize) -> Self {
        let free = (0..blocks).map(|id| (id as u64, id)).collect();
        let (cached, log) = (HashMap::new(), CacheLog::new(blocks));
        let all = (0..blocks).map(|id| Block { freed: id as u64, ..Block::default() }).collect();
        Self { blocks: all, free, cached, log, clock: blocks as u64, size }
    }

    /// Tokens in a block.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn used(&self) -> usize {
        self.blocks.len() - self.free.len()
    }

    /// How many of these hashes, from the first on, are cached.
    pub(super) fn cached(&self, chain: &[BlockHash]) -> usize {
        chain.iter().take_while(|hash| self.cached.contains_key(hash)).count()
    }

    /// Takes the cached blocks of `chain` and enough fresh ones for `count` in all; nothing if there are too few.
    pub(super) fn take(&mut self, chain: &[BlockHash], count: usize) -> Option<Vec<BlockId>> {
        let hits: Vec<BlockId> = chain.iter().map_while(|hash| self.cached.get(hash).copied()).collect();
        let idle = hits.iter().filter(|id| self.blocks.get(**id).is_some_and(|block| block.holders == 0)).count();
        if count.saturating_sub(hits.len()) > self.free.len() - idle {
            return None;
        }
        let mut taken = hits;
        for id in &taken {
            if let Some(block) = self.blocks.get_mut(*id) {
                if block.holders == 0 {
                    self.free.remove(&block.freed);
                }
                block.holders += 1;
            }
        }
        while taken.len() < count {
            taken.push(self.fresh()?);
        }
        Some(taken)
    }

    /// The block that was free for the longest.
    pub(super) fn fresh(&mut self) -> Option<BlockId> {
        let (_, id) = self.free.pop_first()?;
        let block = self.blocks.get_mut(id)?;
        block.holders = 1;
        if let Some(hash) = block.hash.take() {
            self.cached.remove(&hash);
            self.log.note(CacheEvent::Removed { hash });
        }
        Some(id)
    }

    /// Makes a full block findable, unless another one with the same content is.
    pub(super) fn publish(&mut self, id: BlockId, hash: BlockHash, parent: Option<BlockHash>) {
        if let Some(block) = self.blocks.get_mut(id)
            && block.hash.is_none()
            && !self.cached.contains_key(&hash)
        {
            (block.hash, block.parent) = (Some(hash), parent);
            self.cached.insert(hash, id);
            self.log.note(CacheEvent::Stored { hash, parent });
        }
    }

    pub(super) fn cache_events(&mut self, events: &mut Vec<CacheEvent>) {
        let stored = |block: &Block| block.hash.map(|hash| CacheEvent::Stored { hash, parent: block.parent });
        self.log.tell(events, self.blocks.iter().filter_map(stored));
    }

    pub(super) fn restart_cache_events(&mut self) {
        self.log.restart();
    }

    /// Lets blocks go, the last of a sequence first, so that prefixes live longest.
    pub(super) fn release(&mut self, blocks: Vec<BlockId>) {
        for id in blocks.into_iter().rev() {
            if let Some(block) = self.blocks.get_mut(id) {
                block.holders = block.holders.saturating_sub(1);
                if block.holders == 0 {
                    block.freed = self.clock;
                    self.free.insert(self.clock, id);
                    self.clock += 1;
                }
            }
        }
    }

    /// Cached blocks, as far as they go from the front, each with the one before it.
    pub(super) fn export(&self, hashes: &[BlockHash], bytes: usize, out: &mut Vec<BlockData>) {
        let blocks = hashes.iter().map_while(|hash| self.blocks.get(*self.cached.get(hash)?));
        out.extend(
            blocks
                .filter_map(|block| Some(BlockData { hash: block.hash?, parent: block.parent, bytes: vec![0; bytes] })),
        );
    }

    /// The hashes of a cached block and of all before it; none if one of them is gone.
    pub(super) fn ancestry(&self, last: BlockHash) -> Option<Vec<BlockHash>> {
        let (mut hashes, mut at) = (Vec::new(), Some(last));
        while let Some(hash) = at {
            hashes.push(hash);
            at = self.blocks.get(*self.cached.get(&hash)?)?.parent;
        }
        hashes.reverse();
        Some(hashes)
    }

    /// Takes checked blocks in behind those of `before`.
    pub(super) fn import(&mut self, before: &[BlockHash], blocks: &[BlockData]) -> Imported {
        let mut imported = Imported::default();
        let mut held = self.take(before, before.len()).unwrap_or_default();
        for (number, block) in blocks.iter().enumerate() {
            let known = self.cached.contains_key(&block.hash);
            let taken = if known { self.take(&[block.hash], 1) } else { self.fresh().map(|id| vec![id]) };
            let Some(taken) = taken else {
                imported.refused = Some(ImportRefusal::NoRoom { left: Blocks::of(blocks.len() - number) });
                break;
            };
            if !known {
                taken.iter().for_each(|id| self.publish(*id, block.hash, block.parent));
                imported.taken += Blocks(1);
            }
            held.extend(taken);
        }
        self.release(held);
        imported
    }
}
