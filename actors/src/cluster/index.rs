//! The prefix index of a coordinator: one [`policy::index::Index`] per model, fed by the events streams of its
//! nodes.
//!
//! Rules: a node is in it as long as its [`IndexedNode`] lives, which its link holds. A map of shards, one guard
//! per model: batches are small, and a look-up waits for one at most. It is soft: lost with the process, and
//! whole again as soon as the nodes have told what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use metrics::{Counter, counter, gauge};
use policy::index::{Hits, Index, Outcome};
use policy::invariants::Breach;
use policy::invariants::index::index_whole;
use protocol::cache::{BlockKey, CacheBatch};
use protocol::engine::{BlockHash, Card};
use protocol::ids::NodeId;
use protocol::units::Blocks;

use super::placing::Prefixes;

/// What is cached where.
#[derive(Debug)]
pub struct PrefixIndex {
    models: DashMap<String, Model>,
    links: AtomicU64,
    events: Counter,
}

#[derive(Debug, Default)]
struct Model {
    index: Index,
    /// By which link each node is here: of two links of one node the newer counts.
    links: BTreeMap<NodeId, u64>,
}

/// A node's place in the index; to drop it is to forget what the node holds.
#[derive(Debug)]
pub struct IndexedNode {
    index: Arc<PrefixIndex>,
    node: NodeId,
    link: u64,
    models: ArcSwap<Vec<String>>,
}

impl PrefixIndex {
    /// Nothing is known yet.
    pub fn new() -> Arc<Self> {
        let events = counter!("troupe_index_events_total");
        Arc::new(Self { models: DashMap::new(), links: AtomicU64::new(0), events })
    }

    /// A node has connected that serves these.
    pub fn join(self: &Arc<Self>, node: NodeId, cards: &[Card]) -> IndexedNode {
        let link = self.links.fetch_add(1, Ordering::Relaxed);
        let indexed = IndexedNode { index: Arc::clone(self), node, link, models: ArcSwap::default() };
        indexed.serves(cards);
        indexed
    }

    /// Blocks that nodes hold of a model, each counted for every node that has it.
    pub fn held(&self, model: &str) -> Blocks {
        self.models.get(model).map_or(Blocks::ZERO, |model| model.index.held())
    }

    /// What is known of a node's cache is what it holds.
    ///
    /// # Errors
    /// It is not, or nothing is known.
    pub fn check(&self, model: &str, node: NodeId, held: &BTreeSet<BlockKey>) -> Result<(), Breach> {
        match self.models.get(model) {
            Some(model) => index_whole(&model.index, node, held),
            None => index_whole(&Index::default(), node, held),
        }
    }

    /// Sets the gauges. Looks at every model: to be called now and then.
    pub fn measure(&self) {
        for model in &self.models {
            gauge!("troupe_index_blocks", "model" => model.key().clone()).set(model.index.held().0 as f64);
        }
    }
}

impl Prefixes for PrefixIndex {
    fn cached(&self, model: &str, chain: &[BlockHash]) -> Hits {
        let Some(model) = self.models.get(model) else { return Hits::default() };
        model.index.cached(chain.iter().map(|hash| (*hash).into()))
    }

    fn known(&self, model: &str, node: NodeId) -> bool {
        self.models.get(model).is_some_and(|model| model.index.knows(node))
    }
}

impl IndexedNode {
    /// The node serves these from now on, and no others. What it held of a model that it serves as before is kept.
    /// Whether that changes anything.
    pub(super) fn serves(&self, cards: &[Card]) -> bool {
        let before = self.models.load();
        let models: Vec<String> = cards.iter().map(|card| card.model.clone()).collect();
        let fresh = |card: &&Card| !before.contains(&card.model);
        for card in cards.iter().filter(fresh) {
            let mut model = self.index.models.entry(card.model.clone()).or_default();
            model.index.join(self.node, card.blocks);
            model.links.insert(self.node, self.link);
        }
        let gone: Vec<&String> = before.iter().filter(|name| !models.contains(name)).collect();
        gone.iter().for_each(|name| self.leave(name));
        let changed = !gone.is_empty() || models.len() != before.len();
        self.models.store(Arc::new(models));
        changed
    }

    /// Forgets what the node held of a model.
    fn leave(&self, name: &str) {
        if let Some(mut model) = self.index.models.get_mut(name)
            && model.links.get(&self.node) == Some(&self.link)
        {
            model.links.remove(&self.node);
            model.index.leave(self.node);
        }
        if self.index.models.remove_if(name, |_, model| model.index.is_empty()).is_some() {
            gauge!("troupe_index_blocks", "model" => name.to_owned()).set(0.0);
        }
    }

    /// Takes in what the node says of a cache.
    pub fn apply(&self, batch: &CacheBatch) -> Outcome {
        let Some(mut model) = self.index.models.get_mut(&batch.model) else { return Outcome::Ignored };
        if model.links.get(&self.node) != Some(&self.link) {
            return Outcome::Ignored;
        }
        let outcome = model.index.apply(self.node, batch);
        drop(model);
        self.index.events.increment(batch.changes.iter().map(protocol::cache::CacheChange::count).sum());
        if let Outcome::Resync(reason) = outcome {
            counter!("troupe_index_resyncs_total", "reason" => reason.as_str()).increment(1);
        }
        outcome
    }

    /// Nothing more is heard of the node's caches.
    pub(super) fn unheard(&self) {
        for name in self.models.load().iter() {
            if let Some(mut model) = self.index.models.get_mut(name)
                && model.links.get(&self.node) == Some(&self.link)
            {
                model.index.unheard(self.node);
            }
        }
    }
}

impl Drop for IndexedNode {
    fn drop(&mut self) {
        self.models.load().iter().for_each(|name| self.leave(name));
    }
}
