//! A fleet with full caches, as one coordinator sees it: system prompts that many nodes hold, conversations that one or
//! two hold.

use std::time::Duration;

use policy::index::Index;
use policy::placement::roster::{Nodes, Roster, View};
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
const SYSTEMS: usize = 20;
const MODEL: &str = "m";

/// Chains of conversations and who holds them.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) nodes: usize,
    pub(super) chains: Vec<Vec<BlockHash>>,
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
        // Of each two conversations of a node, its neighbour holds one too.
        let own = PROMPT.as_usize().div_ceil(BLOCK.as_usize()) - SYSTEM / BLOCK.as_usize();
        let each = (blocks.saturating_sub(SYSTEM / BLOCK.as_usize()) * 2 / (own * 3)).max(1);
        let mut chains = Vec::with_capacity(nodes * each);
        let mut held: Vec<Vec<usize>> = vec![Vec::new(); nodes];
        for node in 0..nodes {
            for number in 0..each {
                let conversation = chains.len();
                chains.push(chain(&tokens(node % SYSTEMS, conversation as u64)));
                for at in [Some(node), (number % 2 == 0).then_some((node + SYSTEMS) % nodes)].into_iter().flatten() {
                    if let Some(held) = held.get_mut(at) {
                        held.push(conversation);
                    }
                }
            }
        }
        let snapshot = |held: &Vec<usize>| {
            let all = held.iter().filter_map(|at| chains.get(*at)).flat_map(|chain| keys(chain));
            let mut all: Vec<BlockKey> = all.collect();
            all.sort_unstable();
            all.dedup();
            batch(1, 0, vec![CacheChange::Cleared, CacheChange::Stored(all)])
        };
        let snapshots = held.iter().map(snapshot).collect();
        let most = Blocks::of(blocks * 2);
        let views = (0..nodes).map(|_| view(most, random)).collect();
        Self { nodes, chains, snapshots, views, most }
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
        (0..self.nodes).for_each(|node| roster.serves(NodeId(node as u64), 1));
        roster
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
    pub(super) fleet: &'a Fleet,
    pub(super) index: &'a Index,
}

impl Nodes for Seen<'_> {
    fn view(&self, node: NodeId) -> Option<View> {
        self.fleet.views.get(usize::try_from(node.0).ok()?).copied()
    }

    fn known(&self, node: NodeId) -> bool {
        self.index.knows(node)
    }
}
