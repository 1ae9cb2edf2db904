//! Prompts that were just sent: they will be cached where they went, though no node has said so yet.
//!
//! Without this, prompts that come together and begin alike each find no node that has their beginning, and
//! are computed on as many nodes. With it, the second is drawn to the first; how strongly is placement's to
//! decide, for the first's prefill is due there.
//!
//! Rules: a prediction is void after a while, by when the node's own events have come; at once, when the
//! node does not take the job. It is bounded: the oldest go first, the deepest blocks of a prompt before those
//! in front, for a block is of use only behind all those before it. What the index knows is not noted again.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use protocol::cache::BlockKey;
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::units::Blocks;

use crate::hashing::Hashed;

/// Blocks of one prompt that are noted: beyond them, a burst of equal prompts is told by its front.
const DEEPEST: usize = 512;

#[derive(Clone, Copy, Debug)]
struct Record {
    key: BlockKey,
    node: NodeId,
    until: Duration,
}

/// Who will have a block, and until when that is believed: one node, most often.
#[derive(Clone, Debug)]
struct Believed {
    first: (NodeId, Duration),
    more: Vec<(NodeId, Duration)>,
}

/// What was sent lately.
#[derive(Clone, Debug)]
pub struct Routed {
    most: usize,
    ttl: Duration,
    /// By the first bytes of the hash, as in the index: a mistake costs no more than a guess.
    nodes: HashMap<BlockKey, Believed, Hashed>,
    order: VecDeque<Record>,
}

impl Routed {
    /// Nothing yet; at most so many blocks, for so long.
    pub fn new(most: usize, ttl: Duration) -> Self {
        Self { most: most.max(1), ttl, nodes: HashMap::default(), order: VecDeque::new() }
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
            let key = BlockKey::from(hash);
            match self.nodes.entry(key) {
                Entry::Occupied(known) => known.into_mut().renew(node, until),
                Entry::Vacant(free) => {
                    free.insert(Believed { first: (node, until), more: Vec::new() });
                }
            }
            self.order.push_back(Record { key, node, until });
        }
    }

    /// The node did not take it. Others that went there may have begun alike: they are forgotten too, which
    /// costs no more than a guess.
    pub fn forget(&mut self, node: NodeId, chain: &[BlockHash], cached: Blocks) {
        let fresh = chain.get(cached.as_usize()..).unwrap_or_default();
        for &hash in fresh.iter().take(DEEPEST) {
            self.remove(hash.into(), node, Duration::MAX);
        }
    }

    /// A node's connection is new: what was on its way there is lost.
    #[expect(clippy::disallowed_methods, reason = "each entry is judged by itself: their order does not matter")]
    pub fn leave(&mut self, node: NodeId) {
        self.nodes.retain(|_, believed| believed.keep(|other, _| other != node));
    }

    /// How many blocks of a prompt a node will have that has so many now.
    pub fn reach(&self, now: Duration, node: NodeId, chain: &[BlockHash], cached: Blocks) -> Blocks {
        let fresh = chain.get(cached.as_usize()..).unwrap_or_default();
        let will = |hash: &&BlockHash| {
            let believed = self.nodes.get(&BlockKey::from(**hash));
            believed.is_some_and(|believed| believed.all().any(|(other, until)| other == node && until > now))
        };
        cached + Blocks::of(fresh.iter().take_while(will).count())
    }

    /// Nodes that will have a block.
    pub fn nodes(&self, now: Duration, hash: &BlockHash) -> impl Iterator<Item = NodeId> {
        let believed = self.nodes.get(&BlockKey::from(*hash));
        believed.into_iter().flat_map(Believed::all).filter(move |(_, until)| *until > now).map(|(node, _)| node)
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
            self.remove(record.key, record.node, record.until);
        }
    }

    /// Takes a belief out, unless it was renewed.
    fn remove(&mut self, key: BlockKey, node: NodeId, until: Duration) {
        let Entry::Occupied(mut believed) = self.nodes.entry(key) else { return };
        if !believed.get_mut().keep(|other, known| other != node || known > until) {
            believed.remove();
        }
    }
}

/// Who will have more of one prompt than the index knows of. Many have the same beginning: who was sent what follows on
/// it is looked up once for all of them.
#[derive(Debug)]
pub struct Ahead<'a> {
    routed: &'a Routed,
    now: Duration,
    chain: &'a [BlockHash],
    /// By the blocks that one has: who will have the next, in order.
    next: Vec<Option<Vec<NodeId>>>,
}

impl<'a> Ahead<'a> {
    /// Of a prompt.
    pub fn new(routed: &'a Routed, now: Duration, chain: &'a [BlockHash]) -> Self {
        let blocks = if routed.is_empty() { 0 } else { chain.len() };
        Self { routed, now, chain, next: vec![None; blocks] }
    }

    /// Who will have the block after so many, in order.
    pub fn at(&mut self, cached: Blocks) -> &[NodeId] {
        let place = cached.as_usize();
        let (Some(next), Some(hash)) = (self.next.get_mut(place), self.chain.get(place)) else { return &[] };
        next.get_or_insert_with(|| {
            let mut nodes: Vec<NodeId> = self.routed.nodes(self.now, hash).collect();
            nodes.sort_unstable();
            nodes
        })
    }

    /// How many blocks of the prompt a node will have that has so many now.
    pub fn reach(&mut self, node: NodeId, cached: Blocks) -> Blocks {
        if self.at(cached).binary_search(&node).is_err() {
            return cached;
        }
        self.routed.reach(self.now, node, self.chain, cached)
    }
}

impl Believed {
    fn all(&self) -> impl Iterator<Item = (NodeId, Duration)> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    fn renew(&mut self, node: NodeId, until: Duration) {
        let mut all = std::iter::once(&mut self.first).chain(&mut self.more);
        match all.find(|(other, _)| *other == node) {
            Some((_, known)) => *known = until,
            None => self.more.push((node, until)),
        }
    }

    /// Keeps some of it. False if nothing is left.
    fn keep(&mut self, wanted: impl Fn(NodeId, Duration) -> bool) -> bool {
        self.more.retain(|(node, until)| wanted(*node, *until));
        if wanted(self.first.0, self.first.1) {
            return true;
        }
        let next = self.more.pop();
        self.first = next.unwrap_or(self.first);
        next.is_some()
    }
}

#[cfg(test)]
mod tests;
