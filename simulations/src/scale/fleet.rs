//! A fleet with full caches, as one coordinator sees it: one prompt that all nodes hold, system prompts that many hold,
//! conversations that one or two hold. And what its nodes say when others come and these must go.

use std::collections::VecDeque;
use std::time::Duration;

use policy::index::Index;
use policy::placement::roster::{Kind, Nodes, Roster, Told, View};
use policy::restart::Jitter;
use protocol::cache::{BlockKey, CacheBatch, CacheChange};
use protocol::engine::{BlockHash, Load};
use protocol::ids::{NodeId, TokenId};
use protocol::message::{Rates, WorkerReport};
use protocol::units::{Blocks, Tokens};

/// Tokens in a block.
pub(super) const BLOCK: Tokens = Tokens(32);
/// Tokens of a prompt: 125 blocks.
pub(super) const PROMPT: Tokens = Tokens(4_000);
/// Of these, of its system prompt: 32 blocks.
const SYSTEM: usize = 1_024;
/// System prompts; each node serves one of them.
pub(super) const SYSTEMS: usize = 20;
/// The system prompt of what all hold.
const COMMON: usize = 1_000_000;
const MODEL: &str = "m";

/// Chains of conversations and who holds them.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) nodes: usize,
    pub(super) chains: Vec<Vec<BlockHash>>,
    /// The prompt that every node holds to its end.
    pub(super) common: Vec<BlockHash>,
    /// Conversations that each node holds, the longest held first.
    held: Vec<VecDeque<usize>>,
    /// The snapshot of each node.
    pub(super) snapshots: Vec<CacheBatch>,
    views: Vec<View>,
    most: Blocks,
}

/// The tokens of a conversation: those of its system prompt, then its own.
pub(super) fn tokens(system: usize, conversation: u64) -> Vec<TokenId> {
    let own = (SYSTEM..PROMPT.as_usize()).map(|at| (conversation.wrapping_mul(0x9e37_79b9) as u32) ^ at as u32);
    (0..SYSTEM).map(|at| (system * SYSTEM + at) as u32).chain(own).map(TokenId).collect()
}

pub(super) fn chain(tokens: &[TokenId]) -> Vec<BlockHash> {
    BlockHash::chain([0; 16], tokens, BLOCK.as_usize()).collect()
}

pub(super) fn keys(chain: &[BlockHash]) -> impl Iterator<Item = BlockKey> {
    chain.iter().map(|hash| BlockKey::from(*hash))
}

pub(super) fn batch(epoch: u64, sequence: u64, changes: Vec<CacheChange>) -> CacheBatch {
    CacheBatch { model: MODEL.to_owned(), epoch, sequence, changes }
}

impl Fleet {
    /// So many nodes with about so many blocks each.
    pub(super) fn new(nodes: usize, blocks: usize, random: &mut Jitter) -> Self {
        // Of each two conversations of a node, another with its system prompt holds one too.
        let (system, prompt) = (SYSTEM / BLOCK.as_usize(), PROMPT.as_usize().div_ceil(BLOCK.as_usize()));
        let each = (blocks.saturating_sub(system + prompt) * 2 / ((prompt - system) * 3)).max(1);
        let mut chains = Vec::with_capacity(nodes * each);
        let mut held: Vec<VecDeque<usize>> = vec![VecDeque::new(); nodes];
        for node in 0..nodes {
            for number in 0..each {
                let conversation = chains.len();
                chains.push(chain(&tokens(node % SYSTEMS, conversation as u64)));
                let other = Some((node + SYSTEMS) % nodes).filter(|other| number % 2 == 0 && *other != node);
                for at in [Some(node), other].into_iter().flatten() {
                    if let Some(held) = held.get_mut(at) {
                        held.push_back(conversation);
                    }
                }
            }
        }
        let common = chain(&tokens(COMMON, 0));
        let snapshot = |held: &VecDeque<usize>| {
            let all = held.iter().filter_map(|at| chains.get(*at)).chain([&common]).flat_map(|chain| keys(chain));
            let mut all: Vec<BlockKey> = all.collect();
            all.sort_unstable();
            all.dedup();
            batch(1, 0, vec![CacheChange::Cleared, CacheChange::Stored(all)])
        };
        let snapshots = held.iter().map(snapshot).collect();
        let most = Blocks::of((blocks * 2).max(512));
        let views = (0..nodes).map(|_| view(most, random)).collect();
        Self { nodes, chains, common, held, snapshots, views, most }
    }

    pub(super) fn index(&self) -> Index {
        let mut index = Index::default();
        for (node, snapshot) in self.snapshots.iter().enumerate() {
            index.join(NodeId(node as u64), self.most);
            index.apply(NodeId(node as u64), snapshot);
        }
        index
    }

    pub(super) fn roster(&self) -> Roster {
        let mut roster = Roster::new(&protocol::config::Placement::default());
        for (node, view) in (0..).map(NodeId).zip(&self.views) {
            roster.serves(node, 1);
            roster.told(node, 1, 0, Some(Told { view: *view, until: Duration::MAX, kind: Kind::default() }));
        }
        roster
    }
}

/// What one node says when a conversation comes to it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) node: NodeId,
    /// What it had to give up for it, and what it stored.
    pub(super) batch: CacheBatch,
    /// The conversation's place in [`Fleet::chains`].
    pub(super) came: usize,
}

impl Event {
    /// Operations on blocks.
    pub(super) fn operations(&self) -> u64 {
        self.batch.changes.iter().map(CacheChange::count).sum()
    }
}

impl Fleet {
    /// Conversations come to nodes that are full: each in turn gives up what it has held longest, the last block first,
    /// and stores what came. Half of what comes is new, half is held by another node too. At least so many operations.
    pub(super) fn events(&mut self, operations: u64) -> Vec<Event> {
        let count = |snapshot: &CacheBatch| snapshot.changes.iter().map(CacheChange::count).sum();
        let mut sequences: Vec<u64> = self.snapshots.iter().map(count).collect();
        let (mut events, mut done, mut turn) = (Vec::new(), 0, 0);
        while done < operations && self.nodes > 0 {
            let node = turn % self.nodes;
            turn += 1;
            let changes = self.turn_over(node, turn);
            let (Some(sequence), Some(came)) = (sequences.get_mut(node), self.held.get(node).and_then(VecDeque::back))
            else {
                break;
            };
            let event = Event { node: NodeId(node as u64), batch: batch(1, *sequence, changes), came: *came };
            *sequence += event.operations();
            done += event.operations();
            events.push(event);
        }
        events
    }

    /// A conversation comes to a node and another goes; what it says of that.
    fn turn_over(&mut self, node: usize, turn: usize) -> Vec<CacheChange> {
        let other = (node + SYSTEMS) % self.nodes;
        let theirs = || self.held.get(other)?.back().copied();
        let copied =
            theirs().filter(|at| turn.is_multiple_of(2) && self.held.get(node).is_some_and(|h| !h.contains(at)));
        let came = copied.unwrap_or_else(|| {
            self.chains.push(chain(&tokens(node % SYSTEMS, (1 << 30) + turn as u64)));
            self.chains.len() - 1
        });
        let gone = self.held.get_mut(node).and_then(VecDeque::pop_front);
        let mut removed: Vec<BlockKey> = gone.map(|gone| self.alone(node, gone)).unwrap_or_default();
        removed.reverse();
        let stored = self.alone(node, came);
        if let Some(held) = self.held.get_mut(node) {
            held.push_back(came);
        }
        vec![CacheChange::Removed(removed), CacheChange::Stored(stored)]
    }

    /// The blocks of a conversation that no other one on a node has: two with the same first block have the whole
    /// system prompt in common, and nothing else.
    fn alone(&self, node: usize, conversation: usize) -> Vec<BlockKey> {
        let Some(chain) = self.chains.get(conversation) else { return Vec::new() };
        let others = self.held.get(node).into_iter().flatten().filter_map(|at| self.chains.get(*at));
        let shared = others.into_iter().any(|other| other.first() == chain.first());
        keys(chain.get(if shared { SYSTEM / BLOCK.as_usize() } else { 0 }..).unwrap_or_default()).collect()
    }
}

/// A node in the middle of its work.
fn view(blocks: Blocks, random: &mut Jitter) -> View {
    let mut upto = |most: f64| (random.draw() * most) as u64;
    let load = Load {
        running: upto(16.0) as u32,
        waiting: upto(3.0) as u32,
        prefill: Tokens(upto(8_000.0)),
        context: Tokens(upto(60_000.0)),
        blocks_total: blocks,
        blocks_used: Blocks(upto(blocks.0 as f64 / 2.0)),
        ..Load::default()
    };
    let rates = Rates {
        prefill: 9_000 + upto(1_000.0) as u32,
        step: Duration::from_micros(11_000 + upto(1_000.0)),
        sequence: Duration::from_micros(100 + upto(20.0)),
    };
    let worker = WorkerReport { ready: true, load, oldest: Duration::ZERO, still: Duration::ZERO, rates };
    View { worker, jobs: 256, blocks }
}

/// The fleet as a coordinator sees it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) index: &'a Index,
}

impl Nodes for Seen<'_> {
    fn meant(&self, _: NodeId, _: Kind) -> bool {
        true
    }

    fn known(&self, node: NodeId) -> bool {
        self.index.knows(node)
    }
}

#[cfg(test)]
mod tests;
