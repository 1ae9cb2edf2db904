//! The cost of NVIDIA Dynamo's router, as described in the project's survey (`worker_logit`, temperature 0).
//!
//! ```text
//! cost = max(prefill blocks - overlap, 0) + decode blocks
//! ```
//!
//! Prefill blocks are the prompt and what this router sent to the node whose first token has not come; overlap is what
//! the node's events say to be cached; decode blocks are those of its running requests and of this one, each counted
//! once. A router knows only its own requests. Equals by chance.

use std::collections::BTreeMap;

use policy::placement::roster::Wish;
use protocol::cache::BlockKey;
use protocol::ids::NodeId;
use protocol::units::Tokens;

use super::approximate::lowest;
use super::{Picked, hits, reported, tried};
use crate::run::View;

/// What this router has at a node.
#[derive(Debug, Default)]
struct Active {
    prefill: Tokens,
    /// Blocks of its requests, and how many have each.
    blocks: BTreeMap<BlockKey, u32>,
    /// Blocks that are not full, one for each request.
    open: u64,
}

/// What this router has at all nodes.
#[derive(Debug)]
pub(crate) struct Dynamo {
    nodes: Vec<Active>,
}

impl Dynamo {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: (0..nodes).map(|_| Active::default()).collect() }
    }

    pub(super) fn choose(&mut self, wish: &Wish<'_>, view: &View, random: &mut impl FnMut() -> f64) -> Option<Picked> {
        let hits = hits(&view.index, wish);
        let asked: Vec<usize> = reported(&view.workers).filter(|place| !tried(wish, *place)).collect();
        let block = wish.prompt.block.0.max(1) as f64;
        let overlap = |place: usize| hits.of(NodeId(place as u64)).0;
        let cost = |place: usize| {
            let active = self.nodes.get(place);
            let due = active.map_or(0, |active| active.prefill.0) + wish.prompt.tokens.0;
            let prefill = (due as f64 / block - overlap(place) as f64).max(0.0);
            let decode = active.map_or(0, |active| {
                let new = wish.chain.iter().filter(|hash| !active.blocks.contains_key(&BlockKey::from(**hash)));
                active.blocks.len() as u64 + active.open + new.count() as u64
            });
            prefill + decode as f64
        };
        let place = lowest(&asked, cost, random)?;
        Some(Picked { node: NodeId(place as u64), cached: Tokens(overlap(place) * wish.prompt.block.0) })
    }

    pub(super) fn sent(&mut self, wish: &Wish<'_>, picked: &Picked) {
        let Some(active) = self.at(picked.node) else { return };
        active.prefill += wish.prompt.tokens - picked.cached;
        active.open += 1;
        for hash in wish.chain {
            *active.blocks.entry((*hash).into()).or_default() += 1;
        }
    }

    pub(super) fn computed(&mut self, node: NodeId, uncached: Tokens) {
        if let Some(active) = self.at(node) {
            active.prefill -= uncached;
        }
    }

    pub(super) fn ended(&mut self, node: NodeId, wish: &Wish<'_>) {
        let Some(active) = self.at(node) else { return };
        active.open = active.open.saturating_sub(1);
        for hash in wish.chain {
            let key = (*hash).into();
            if let Some(count) = active.blocks.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    active.blocks.remove(&key);
                }
            }
        }
    }

    /// Whether nothing is at any node.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let idle = |active: &Active| active.prefill == Tokens::ZERO && active.blocks.is_empty() && active.open == 0;
        self.nodes.iter().all(idle)
    }

    fn at(&mut self, node: NodeId) -> Option<&mut Active> {
        self.nodes.get_mut(usize::try_from(node.0).ok()?)
    }
}
