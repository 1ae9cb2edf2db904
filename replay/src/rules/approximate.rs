//! An approximate prefix tree, as the router of SGLang has it (`cache_aware`, as described in the project's survey).
//!
//! It knows nothing of the caches but what it sent where. If the nodes are out of balance (the busiest has more than
//! 64 jobs more than the least busy, and more than half as many again) the least busy is taken. Else the node that was
//! sent the longest beginning of the prompt, if that is more than 0.3 of it; else the one with the smallest tree. What
//! was not used for the longest is forgotten when a node's tree has grown too large.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use policy::placement::roster::Wish;
use protocol::cache::BlockKey;
use protocol::ids::NodeId;
use protocol::units::Tokens;

use super::{Picked, reported, tried};
use crate::run::View;

/// Out of balance: by so many jobs,
const BALANCE_ABSOLUTE: u32 = 64;
/// and by so many times, in halves.
const BALANCE_HALVES: u32 = 3;
/// The share of a prompt that must match.
const THRESHOLD: f64 = 0.3;
/// Tokens in a node's tree, at most.
const LARGEST: u64 = 1 << 26;

/// One node's part of the tree.
#[derive(Debug, Default)]
struct Tree {
    /// When a block was last used; its depth.
    blocks: BTreeMap<BlockKey, (u64, Reverse<usize>)>,
    /// The same, the longest unused and deepest first.
    order: BTreeSet<(u64, Reverse<usize>, BlockKey)>,
}

/// What was sent where.
#[derive(Debug)]
pub(crate) struct Approximate {
    trees: Vec<Tree>,
    turn: u64,
}

impl Approximate {
    pub(super) fn new(nodes: usize) -> Self {
        Self { trees: (0..nodes).map(|_| Tree::default()).collect(), turn: 0 }
    }

    pub(super) fn choose(&mut self, wish: &Wish<'_>, view: &View, random: &mut impl FnMut() -> f64) -> Option<Picked> {
        let load = |place: usize| view.roster.open_at(NodeId(place as u64));
        let asked: Vec<usize> = reported(&view.workers).filter(|place| !tried(wish, *place)).collect();
        let (least, most) = (asked.iter().map(|p| load(*p)).min()?, asked.iter().map(|p| load(*p)).max()?);
        let place = if most - least > BALANCE_ABSOLUTE && most * 2 > least * BALANCE_HALVES {
            lowest(&asked, load, random)?
        } else {
            let depth = |place: usize| self.trees.get(place).map_or(0, |tree| tree.depth(wish));
            let deepest = lowest(&asked, |place| Reverse(depth(place)), random)?;
            if depth(deepest) as f64 > THRESHOLD * wish.chain.len() as f64 {
                deepest
            } else {
                lowest(&asked, |place| self.trees.get(place).map_or(0, |tree| tree.blocks.len()), random)?
            }
        };
        let blocks = self.trees.get(place).map_or(0, |tree| tree.depth(wish)) as u64;
        Some(Picked { node: NodeId(place as u64), cached: Tokens(blocks * wish.prompt.block.0) })
    }

    pub(super) fn sent(&mut self, wish: &Wish<'_>, picked: &Picked) {
        self.turn += 1;
        let Some(tree) = usize::try_from(picked.node.0).ok().and_then(|place| self.trees.get_mut(place)) else {
            return;
        };
        for (depth, hash) in wish.chain.iter().enumerate() {
            tree.touch((*hash).into(), self.turn, depth);
        }
        let most = LARGEST / wish.prompt.block.0.max(1);
        while tree.blocks.len() as u64 > most {
            let Some((_, _, key)) = tree.order.pop_first() else { break };
            tree.blocks.remove(&key);
        }
    }
}

impl Tree {
    /// Blocks of the prompt that it has, from the front.
    fn depth(&self, wish: &Wish<'_>) -> usize {
        wish.chain.iter().take_while(|hash| self.blocks.contains_key(&BlockKey::from(**hash))).count()
    }

    fn touch(&mut self, key: BlockKey, turn: u64, depth: usize) {
        let depth = Reverse(depth);
        if let Some((before, depth)) = self.blocks.insert(key, (turn, depth)) {
            self.order.remove(&(before, depth, key));
        }
        self.order.insert((turn, depth, key));
    }
}

/// The place with the lowest figure; equals by chance.
pub(super) fn lowest<T: PartialOrd>(
    places: &[usize],
    figure: impl Fn(usize) -> T,
    random: &mut impl FnMut() -> f64,
) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    let mut equals = 0.0;
    for &place in places {
        let figure = figure(place);
        match &best {
            Some((_, lowest)) if *lowest < figure => {}
            Some((_, lowest)) if *lowest == figure => {
                equals += 1.0;
                if random() * equals < 1.0 {
                    best = Some((place, figure));
                }
            }
            _ => {
                best = Some((place, figure));
                equals = 1.0;
            }
        }
    }
    best.map(|(place, _)| place)
}
