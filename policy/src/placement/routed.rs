//! Prompts that were just sent: they will be cached where they went, though no node has said so yet.
//!
//! Without this, prompts that come together and begin alike each find no node that has their beginning, and
//! are computed on as many nodes. With it, the second is drawn to the first; how strongly is placement's to
//! decide, for the first's prefill is due there.
//!
//! Rules: a prediction is void after a while, by when the node's own events have come; at once, when the
//! node does not take the job. It is bounded: the oldest go first, the deepest blocks of a prompt before those
//! in front, for a block is of use only behind all those before it. What the index knows is not noted again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::units::Blocks;

/// Blocks of one prompt that are noted: beyond them, a burst of equal prompts is told by its front.
const DEEPEST: usize = 512;

#[derive(Clone, Copy, Debug)]
struct Record {
    hash: BlockHash,
    node: NodeId,
    until: Duration,
}

/// What was sent lately.
#[derive(Clone, Debug)]
pub struct Routed {
    most: usize,
    ttl: Duration,
    /// Who will have a block, and until when that is believed.
    nodes: BTreeMap<BlockHash, Vec<(NodeId, Duration)>>,
    order: VecDeque<Record>,
}

impl Routed {
    /// Nothing yet; at most so many blocks, for so long.
    pub fn new(most: usize, ttl: Duration) -> Self {
        Self { most: most.max(1), ttl, nodes: BTreeMap::new(), order: VecDeque::new() }
    }

    /// A prompt goes to a node that has its first blocks already.
    pub fn note(&mut self, now: Duration, node: NodeId, chain: &[BlockHash], cached: Blocks) {
        self.expire(now);
        if self.ttl.is_zero() {
            return;
        }
        let until = now.saturating_add(self.ttl);
        let fresh = chain.get(cached.as_usize()..).unwrap_or_default();
        for &hash in fresh.iter().take(DEEPEST).rev() {
            if self.order.len() >= self.most {
                self.drop_oldest();
            }
            let nodes = self.nodes.entry(hash).or_default();
            match nodes.iter_mut().find(|(other, _)| *other == node) {
                Some((_, known)) => *known = until,
                None => nodes.push((node, until)),
            }
            self.order.push_back(Record { hash, node, until });
        }
    }

    /// The node did not take it. Others that went there may have begun alike: they are forgotten too, which
    /// costs no more than a guess.
    pub fn forget(&mut self, node: NodeId, chain: &[BlockHash], cached: Blocks) {
        let fresh = chain.get(cached.as_usize()..).unwrap_or_default();
        for hash in fresh.iter().take(DEEPEST) {
            self.remove(hash, node, Duration::MAX);
        }
    }

    /// A node's connection is new: what was on its way there is lost.
    pub fn leave(&mut self, node: NodeId) {
        self.nodes.retain(|_, nodes| {
            nodes.retain(|(other, _)| *other != node);
            !nodes.is_empty()
        });
    }

    /// How many blocks of a prompt a node will have that has so many now.
    pub fn reach(&self, now: Duration, node: NodeId, chain: &[BlockHash], cached: Blocks) -> Blocks {
        let fresh = chain.get(cached.as_usize()..).unwrap_or_default();
        let will = |hash: &&BlockHash| {
            self.nodes.get(hash).is_some_and(|nodes| nodes.iter().any(|(other, until)| *other == node && *until > now))
        };
        cached + Blocks::of(fresh.iter().take_while(will).count())
    }

    /// Nodes that will have a block.
    pub fn nodes(&self, now: Duration, hash: &BlockHash) -> impl Iterator<Item = NodeId> {
        let nodes = self.nodes.get(hash).map(Vec::as_slice).unwrap_or_default();
        nodes.iter().filter(move |(_, until)| *until > now).map(|(node, _)| *node)
    }

    /// Blocks that are noted.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn expire(&mut self, now: Duration) {
        while self.order.front().is_some_and(|record| record.until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(record) = self.order.pop_front() {
            self.remove(&record.hash, record.node, record.until);
        }
    }

    /// Takes a belief out, unless it was renewed.
    fn remove(&mut self, hash: &BlockHash, node: NodeId, until: Duration) {
        let Some(nodes) = self.nodes.get_mut(hash) else { return };
        nodes.retain(|(other, known)| *other != node || *known > until);
        if nodes.is_empty() {
            self.nodes.remove(hash);
        }
    }
}

#[cfg(test)]
mod tests;
