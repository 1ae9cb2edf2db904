//! Which node has which blocks of one model in its prefix cache, by what the nodes say themselves.
//!
//! Rules:
//! - Batches of a node are taken in order. A gap, a number that comes twice, or an epoch that does not begin at
//!   its beginning means that something was lost: all that is believed of the node is dropped, and it is asked
//!   to tell all anew. Nothing false is believed meanwhile; of an older epoch nothing is.
//! - A block is here only while some node holds it, and a node holds no more blocks than its card says: one
//!   that claims more is asked anew, and after [`LIES`] times not believed until it connects again. Likewise one that
//!   loses the thread again and again, after [`LOSSES`] times; each is forgotten after [`FORGIVE`] batches in order. So the
//!   index is bounded by the pages of the nodes that live, and what a node held goes with it.
//! - A block counts only behind all those before it: look-ups go from the front of a prompt and carry the set of
//!   nodes that have had everything so far. They cost what the prompt's blocks and the holders of its first
//!   one cost, not what the fleet does.
//!
//! Memory: about 60 bytes for each block of a node ([`holders`] has the sets).

use std::collections::{BTreeMap, HashMap, HashSet};

use protocol::cache::{BlockKey, CacheBatch, CacheChange};
use protocol::ids::NodeId;
use protocol::units::Blocks;

use crate::hashing::Hashed;
use crate::planted::{Bug, Planted};

mod hits;
mod holders;

pub use hits::Hits;
use holders::{Holders, Set, View};

/// How often a node may claim more blocks than it has.
pub const LIES: u32 = 3;
/// How often a node may lose the thread; to tell all anew costs both sides.
pub const LOSSES: u32 = 16;
/// So many batches in order make one loss forgotten.
pub const FORGIVE: u32 = 256;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken in.
    Taken,
    /// It says nothing: an older epoch, a node that is not here or is not believed.
    Ignored,
    /// The node must tell all anew.
    Resync(Reason),
}

/// Why a node must tell all anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A number was missing, or came twice.
    Gap,
    /// An epoch did not begin with its beginning.
    NoBeginning,
    /// It claims more blocks than it has.
    TooMany,
}

impl Reason {
    /// For metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::NoBeginning => "no_beginning",
            Self::TooMany => "too_many",
        }
    }
}

#[derive(Debug)]
struct Node {
    id: NodeId,
    /// What it holds.
    keys: HashSet<BlockKey, Hashed>,
    /// What its card says that it can hold.
    most: Blocks,
    epoch: u64,
    /// The number of the next change; none while a new epoch is awaited.
    next: Option<u64>,
    lies: u32,
    losses: u32,
    /// Batches in order since the last loss was made or forgotten.
    good: u32,
}

/// Who has what of one model.
#[derive(Debug, Default)]
pub struct Index {
    places: BTreeMap<NodeId, u32>,
    nodes: Vec<Option<Node>>,
    free: Vec<u32>,
    holders: HashMap<BlockKey, Holders, Hashed>,
    planted: Planted,
}

impl Index {
    /// Makes this mistake from now on.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
    }

    /// A node serves the model, with so many blocks. What was known of it before is forgotten.
    pub fn join(&mut self, node: NodeId, most: Blocks) {
        self.leave(node);
        let fresh =
            Node { id: node, keys: HashSet::default(), most, epoch: 0, next: None, lies: 0, losses: 0, good: 0 };
        let place = self.free.pop().unwrap_or(self.nodes.len() as u32);
        match self.nodes.get_mut(place as usize) {
            Some(empty) => *empty = Some(fresh),
            None => self.nodes.push(Some(fresh)),
        }
        self.places.insert(node, place);
    }

    /// A node is gone, and all that it held.
    pub fn leave(&mut self, node: NodeId) {
        let Some(place) = self.places.remove(&node) else { return };
        self.forget(place);
        if let Some(slot) = self.nodes.get_mut(place as usize) {
            *slot = None;
            self.free.push(place);
        }
    }

    /// A node can be heard no more, though it is here: nothing is believed of it until its next epoch begins.
    pub fn unheard(&mut self, node: NodeId) {
        let Some(&place) = self.places.get(&node) else { return };
        self.forget(place);
        if let Some(Some(state)) = self.nodes.get_mut(place as usize) {
            state.next = None;
        }
    }

    /// Whether all is known that a node has cached.
    pub fn knows(&self, node: NodeId) -> bool {
        let place = self.places.get(&node).and_then(|place| self.nodes.get(*place as usize));
        place.is_some_and(|slot| slot.as_ref().is_some_and(|node| node.next.is_some()))
    }

    /// Whether a node is listened to: it has neither lied nor lost the thread too often.
    pub fn believes(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| node.lies < LIES && node.losses < LOSSES)
    }

    /// Whether it is believed that a node has a block.
    pub fn holds(&self, node: NodeId, key: BlockKey) -> bool {
        self.node(node).is_some_and(|node| node.keys.contains(&key))
    }

    /// Blocks that a node is believed to have.
    pub fn held_by(&self, node: NodeId) -> Blocks {
        self.node(node).map_or(Blocks::ZERO, |node| Blocks::of(node.keys.len()))
    }

    fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(*self.places.get(&node)? as usize)?.as_ref()
    }

    /// Blocks that some node has, each counted once for every node that has it.
    pub fn held(&self) -> Blocks {
        self.nodes.iter().flatten().map(|node| Blocks::of(node.keys.len())).sum()
    }

    /// Blocks that some node has, each counted once.
    pub fn blocks(&self) -> Blocks {
        Blocks::of(self.holders.len())
    }

    /// Whether no node is here.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Takes in what a node says.
    pub fn apply(&mut self, node: NodeId, batch: &CacheBatch) -> Outcome {
        let Some(&place) = self.places.get(&node) else { return Outcome::Ignored };
        let Some(Some(state)) = self.nodes.get_mut(place as usize) else { return Outcome::Ignored };
        if state.lies >= LIES || state.losses >= LOSSES || batch.epoch < state.epoch {
            return Outcome::Ignored;
        }
        let begins = batch.sequence == 0 && matches!(batch.changes.first(), Some(CacheChange::Cleared));
        match state.next {
            _ if begins && (batch.epoch > state.epoch || state.next.is_none()) => {
                (state.epoch, state.next) = (batch.epoch, Some(0));
            }
            Some(next) if batch.epoch == state.epoch && batch.sequence == next => {}
            Some(_) if batch.epoch == state.epoch && self.planted.has(Bug::IgnoredGap) => {
                state.next = Some(batch.sequence);
            }
            // What was on its way when a new epoch was asked for.
            None if batch.epoch == state.epoch => return Outcome::Ignored,
            _ if batch.epoch > state.epoch => {
                // Asked once: the rest of this epoch is then passed over, however many pieces it has.
                state.epoch = batch.epoch;
                return self.resync(place, Reason::NoBeginning);
            }
            _ => return self.resync(place, Reason::Gap),
        }
        for change in &batch.changes {
            if !self.change(place, change) {
                return self.resync(place, Reason::TooMany);
            }
        }
        self.forgive(place);
        Outcome::Taken
    }

    /// How many blocks of a prompt, from the front, each node has.
    pub fn cached(&self, prompt: impl IntoIterator<Item = BlockKey>) -> Hits {
        let mut prompt = prompt.into_iter();
        let Some(first) = prompt.next().and_then(|key| self.holders.get(&key)) else { return Hits::default() };
        // All are looked up before any is looked at: none waits for the memory of the one before.
        let mut held: Vec<View<'_>> = Vec::with_capacity(prompt.size_hint().0);
        held.extend(prompt.map_while(|key| self.holders.get(&key)).map(Holders::view));
        let mut left = Set::of(first.view());
        let mut found = Vec::with_capacity(left.len());
        let mut depth = 1;
        for holders in held {
            left.keep(holders, |place| found.push((place, depth)));
            if left.is_empty() {
                break;
            }
            depth += 1;
        }
        left.each(|place| found.push((place, depth)));
        let name = |place: u32| self.nodes.get(place as usize)?.as_ref().map(|node| node.id);
        found.into_iter().filter_map(|(place, depth)| Some((name(place)?, Blocks(depth)))).collect()
    }

    /// False if the node claims too much.
    fn change(&mut self, place: u32, change: &CacheChange) -> bool {
        if matches!(change, CacheChange::Cleared) {
            self.forget(place);
        }
        let Some(Some(node)) = self.nodes.get_mut(place as usize) else { return true };
        node.next = node.next.map(|next| next.saturating_add(change.count()));
        match change {
            CacheChange::Cleared => {}
            CacheChange::Stored(keys) => {
                for key in keys {
                    if !node.keys.insert(*key) {
                        continue;
                    }
                    if node.keys.len() as u64 > node.most.0 {
                        node.keys.remove(key);
                        return false;
                    }
                    self.holders.entry(*key).or_default().insert(place);
                }
            }
            CacheChange::Removed(keys) => {
                for key in keys {
                    if node.keys.remove(key) {
                        drop_holder(&mut self.holders, *key, place);
                    }
                }
            }
        }
        true
    }

    fn resync(&mut self, place: u32, reason: Reason) -> Outcome {
        self.forget(place);
        if let Some(Some(node)) = self.nodes.get_mut(place as usize) {
            node.next = None;
            node.good = 0;
            match reason {
                Reason::TooMany => node.lies += 1,
                Reason::Gap | Reason::NoBeginning => node.losses += 1,
            }
        }
        Outcome::Resync(reason)
    }

    /// A batch was in order.
    fn forgive(&mut self, place: u32) {
        let Some(Some(node)) = self.nodes.get_mut(place as usize) else { return };
        node.good += 1;
        if node.good == FORGIVE {
            node.good = 0;
            node.losses = node.losses.saturating_sub(1);
        }
    }

    /// Drops all that a node held.
    fn forget(&mut self, place: u32) {
        let Some(Some(node)) = self.nodes.get_mut(place as usize) else { return };
        for key in std::mem::take(&mut node.keys) {
            drop_holder(&mut self.holders, key, place);
        }
    }
}

fn drop_holder(holders: &mut HashMap<BlockKey, Holders, Hashed>, key: BlockKey, place: u32) {
    if let Some(set) = holders.get_mut(&key)
        && set.remove(place)
    {
        holders.remove(&key);
    }
}

#[cfg(test)]
mod tests;
