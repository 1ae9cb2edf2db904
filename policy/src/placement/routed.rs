//! Prompts that were just sent: they will be cached where they went, though no node has said so yet.
//!
//! Without this, prompts that come together and begin alike each find no node that has their beginning, and
//! are computed on as many nodes. With it, the second is drawn to the first; how strongly is placement's to
//! decide, for the first's prefill is due there.
//!
//! Rules: a prediction is void after a while, by when the node's own events have come; at once, when the
//! node does not take the job. It is bounded: the oldest go first, the deepest blocks of a prompt before those
//! in front, for a block is of use only behind all those before it. What the index knows, or what was sent there before,
//! is not noted again: of each prompt there is one piece, from where it was new to that node, and pieces follow on each
//! other. So to note a prompt costs one entry and not one for each block, and to look one up costs a look into a small
//! table for each block that somebody has or will have. Where one beginning is on its way to many nodes it costs as much as
//! it has blocks, for each of these nodes: until their events have come.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use protocol::cache::BlockKey;
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::units::Blocks;

use crate::hashing::Hashed;

/// Blocks of one prompt that are noted: beyond them, a burst of equal prompts is told by its front.
const DEEPEST: usize = 512;

/// What of a prompt was new to a node.
#[derive(Clone, Debug)]
struct Piece {
    node: NodeId,
    /// It is believed until then.
    until: Duration,
    /// Its blocks, by the first bytes of their hashes, as in the index: a mistake costs no more than a guess.
    blocks: Vec<BlockKey>,
}

/// When a piece was noted, in order: its first block says where it is.
#[derive(Clone, Copy, Debug)]
struct Record {
    first: BlockKey,
    node: NodeId,
    until: Duration,
}

/// What was sent lately.
#[derive(Clone, Debug)]
pub(super) struct Routed {
    most: usize,
    ttl: Duration,
    /// By the first block, one for each node.
    pieces: HashMap<BlockKey, Vec<Piece>, Hashed>,
    order: VecDeque<Record>,
    /// Of all pieces together.
    blocks: usize,
}

/// What a node will have of a prompt: who has `from` blocks already will have `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ahead {
    /// Who.
    pub(super) node: NodeId,
    /// Blocks that it must have already.
    pub(super) from: Blocks,
    /// Blocks that it will have then.
    pub(super) to: Blocks,
}

/// How many blocks one will have that has so many now, by what is ahead there: in the order of [`Routed::ahead`].
pub(super) fn reach(ahead: &[Ahead], cached: Blocks) -> Blocks {
    let further = |reached: Blocks, next: &Ahead| if next.from <= reached { reached.max(next.to) } else { reached };
    ahead.iter().fold(cached, further)
}

impl Routed {
    /// Nothing yet; at most so many blocks, for so long.
    pub(super) fn new(most: usize, ttl: Duration) -> Self {
        Self { most: most.max(1), ttl, pieces: HashMap::default(), order: VecDeque::new(), blocks: 0 }
    }

    /// A prompt goes to a node that has its first blocks already.
    pub(super) fn note(&mut self, now: Duration, node: NodeId, chain: &[BlockHash], cached: Blocks) {
        self.expire(now);
        let fresh = chain.get(cached.as_usize()..).unwrap_or_default();
        let blocks: Vec<BlockKey> = fresh.iter().take(DEEPEST.min(self.most)).map(|hash| (*hash).into()).collect();
        let Some(&first) = blocks.first().filter(|_| !self.ttl.is_zero()) else { return };
        let until = now.saturating_add(self.ttl);
        self.remove(first, node, Duration::MAX);
        self.shrink(self.most - blocks.len());
        self.blocks += blocks.len();
        self.pieces.entry(first).or_insert_with(|| Vec::with_capacity(1)).push(Piece { node, until, blocks });
        self.order.push_back(Record { first, node, until });
    }

    /// The node did not take it. Another that went there may have begun alike: it is forgotten too, which
    /// costs no more than a guess.
    pub(super) fn forget(&mut self, node: NodeId, chain: &[BlockHash], cached: Blocks) {
        if let Some(first) = chain.get(cached.as_usize()) {
            self.remove((*first).into(), node, Duration::MAX);
        }
    }

    /// A node's connection is new: what was on its way there is lost.
    #[expect(clippy::disallowed_methods, reason = "each entry is judged by itself: their order does not matter")]
    pub(super) fn leave(&mut self, node: NodeId) {
        self.pieces.retain(|_, pieces| {
            pieces.retain(|piece| piece.node != node);
            !pieces.is_empty()
        });
        self.blocks = self.pieces.values().flatten().map(|piece| piece.blocks.len()).sum();
    }

    /// Who will have what of a prompt, of which nobody has more than so much now: in the order of the nodes, the pieces of
    /// each from the front.
    pub(super) fn ahead(&self, now: Duration, chain: &[BlockHash], deepest: Blocks) -> Vec<Ahead> {
        let (mut ahead, mut deepest) = (Vec::new(), deepest);
        if self.pieces.is_empty() {
            return ahead;
        }
        for (from, hash) in chain.iter().enumerate() {
            // Nothing leads to what begins further on.
            if Blocks::of(from) > deepest {
                break;
            }
            let pieces = self.pieces.get(&BlockKey::from(*hash)).into_iter().flatten();
            ahead.extend(pieces.filter(|piece| piece.until > now).map(|piece| {
                let rest = chain.get(from..).unwrap_or_default().iter();
                let same = rest.zip(&piece.blocks).take_while(|(hash, block)| BlockKey::from(**hash) == **block);
                let to = Blocks::of(from + same.count());
                deepest = deepest.max(to);
                Ahead { node: piece.node, from: Blocks::of(from), to }
            }));
        }
        ahead.sort_unstable();
        ahead
    }

    /// Blocks that are noted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.blocks
    }

    /// Whether none is.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.blocks == 0
    }

    fn expire(&mut self, now: Duration) {
        while let Some(record) = self.order.front().filter(|record| record.until <= now).copied() {
            self.order.pop_front();
            self.remove(record.first, record.node, record.until);
        }
    }

    /// Until there are no more blocks than that, and a place for one more record: those of what did not come to be are
    /// here until their time is over.
    fn shrink(&mut self, most: usize) {
        while (self.blocks > most || self.order.len() >= self.most)
            && let Some(&Record { first, node, until }) = self.order.front()
        {
            let of = self.pieces.get_mut(&first);
            let piece = of.and_then(|of| of.iter_mut().find(|piece| piece.node == node && piece.until <= until));
            if let Some(Piece { blocks, .. }) = piece
                && self.order.len() < self.most
                && blocks.len() > self.blocks - most
            {
                blocks.truncate(blocks.len() - (self.blocks - most));
                self.blocks = most;
                return;
            }
            self.order.pop_front();
            self.remove(first, node, until);
        }
    }

    /// Takes a piece out, unless it was noted anew since.
    fn remove(&mut self, first: BlockKey, node: NodeId, until: Duration) {
        let Some(pieces) = self.pieces.get_mut(&first) else { return };
        if let Some(at) = pieces.iter().position(|piece| piece.node == node && piece.until <= until) {
            self.blocks -= pieces.swap_remove(at).blocks.len();
        }
        if pieces.is_empty() {
            self.pieces.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests;
