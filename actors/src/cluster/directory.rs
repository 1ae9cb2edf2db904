//! Who is there: every connected node with its load, its health and what was sent to it.
//!
//! Rules: an entry lives as long as its [`Membership`], which a link holds. Guards of the map never leave
//! this file. What is read here is a hint: the node itself grants or refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use policy::health::{Health, Rules, Verdict};
use protocol::answer::NodeState;
use protocol::engine::{Card, HASHING};
use protocol::ids::NodeId;
use protocol::message::{Hello, OrderAction, Refusal, Report, WorkerReport};
use protocol::serving::{MAX_MODELS, ModelPlace, Serving};
use protocol::tree::{Tree, TreeLine};
use tokio::sync::mpsc;
use transport::connection::Connection;
use transport::error::Code;

use super::Clock;
use crate::watch;

use super::placing::{NoPrefixes, PlacementMetrics, Prefixes, Reservation, Trial};

mod hosts;
mod order;
mod people;
mod place;
mod pressure;
pub(super) mod roster;

pub use place::Peek;
pub use pressure::{Machine, Pressure, Speed};
use roster::Rosters;

/// Orders on their way to one node.
const ORDERS: usize = 8;

/// An operator's wish that cannot be passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOrdered {
    /// Nobody is called so.
    #[error("no node is called '{node}'; there are: {there}")]
    Unknown {
        /// As it was given.
        node: String,
        /// Who is there.
        there: String,
    },
    /// Several are called so.
    #[error("{count} nodes are called '{node}': give an id, as `troupe status --json` shows it")]
    Ambiguous {
        /// As it was given.
        node: String,
        /// How many.
        count: usize,
    },
    /// Its settings have no such model.
    #[error("the settings of node '{node}' have no model '{model}'; they have: {there}")]
    NoModel {
        /// As it was given.
        node: String,
        /// As it was given.
        model: String,
        /// What they have.
        there: String,
    },
    /// There is nothing to do.
    #[error("the model '{model}' is {how} on node '{node}'")]
    Already {
        /// As it was given.
        node: String,
        /// As it was given.
        model: String,
        /// How it is.
        how: &'static str,
    },
    /// It has not heard the last ones yet.
    #[error("'{0}' has not taken the last {ORDERS} orders yet: try again")]
    Busy(String),
}

/// All connected nodes.
#[derive(Debug)]
pub struct Directory {
    nodes: DashMap<NodeId, Entry>,
    /// Models that were served since the start, by name.
    known: DashMap<String, Card>,
    clock: Clock,
    rules: Rules,
    report_every: std::time::Duration,
    most: u32,
    links: AtomicU64,
    rosters: Arc<Rosters>,
    prefixes: Arc<dyn Prefixes>,
    placements: PlacementMetrics,
    elsewhere: Option<place::Elsewhere>,
}

#[derive(Debug)]
struct Entry {
    /// Which link keeps it.
    link: u64,
    hello: Hello,
    connection: Arc<dyn Connection>,
    health: Health,
    workers: Vec<WorkerReport>,
    draining: bool,
    suspect: watch::Sender<bool>,
    /// What operators want of it, on the way.
    orders: mpsc::Sender<OrderAction>,
    /// Who runs there.
    tree: Vec<TreeLine>,
    /// What it serves or could serve.
    places: Vec<ModelPlace>,
    /// How often the rosters were told of it: what is told later counts.
    told: u64,
}

/// A node's place in the directory; to drop it is to take the node out.
#[derive(Debug)]
pub struct Membership {
    directory: Arc<Directory>,
    node: NodeId,
    link: u64,
    ordered: mpsc::Receiver<OrderAction>,
}

/// How to reach a node.
#[derive(Debug)]
pub struct Reach {
    /// By what name people know it.
    pub name: String,
    /// The connection.
    pub connection: Arc<dyn Connection>,
    /// Whether it is suspect, as that changes.
    pub suspect: watch::Receiver<bool>,
    /// What counts as sent there.
    pub sent: Reservation,
    /// The try, for the node's breaker.
    pub trial: Trial,
}

impl Directory {
    /// An empty directory that places by the default rules and knows no prefixes.
    pub fn new(clock: Clock, health: &protocol::config::Health, most: u32) -> Arc<Self> {
        let config = protocol::config::Config { health: health.clone(), ..Default::default() };
        Self::with(clock, &config, most, Arc::new(NoPrefixes))
    }

    /// An empty directory.
    pub fn with(clock: Clock, config: &protocol::config::Config, most: u32, prefixes: Arc<dyn Prefixes>) -> Arc<Self> {
        Arc::new(Self {
            nodes: DashMap::new(),
            known: DashMap::new(),
            clock,
            rules: Rules::from(&config.health),
            report_every: config.health.report_every.0,
            most,
            links: AtomicU64::new(0),
            rosters: Rosters::new(config.placement.clone(), (&config.breaker).into()),
            prefixes,
            placements: PlacementMetrics::new(),
            elsewhere: place::Elsewhere::of(&config.pull),
        })
    }

    /// How often nodes are to report.
    pub fn report_every(&self) -> std::time::Duration {
        self.report_every
    }

    /// Takes a node in. An older connection of the same node is closed.
    ///
    /// # Errors
    /// A newer start of the node is there already, there is no room, or its blocks are not as the others'.
    pub fn join(self: &Arc<Self>, hello: Hello, connection: Arc<dyn Connection>) -> Result<Membership, Refusal> {
        if hello.hashing != HASHING {
            return Err(Refusal::Hashing { ours: HASHING, theirs: hello.hashing });
        }
        self.check_blocks(hello.node, &hello.cards)?;
        let room = self.nodes.len() < self.most as usize;
        let (node, link) = (hello.node, self.links.fetch_add(1, Ordering::Relaxed));
        let (orders, ordered) = mpsc::channel(ORDERS);
        let cards = hello.cards.clone();
        let entry = Entry {
            link,
            connection,
            health: Health::new(self.clock.now(), self.report_every),
            workers: vec![WorkerReport::default(); hello.cards.len()],
            draining: false,
            suspect: watch::Sender::new(false),
            orders,
            tree: Vec::new(),
            places: Vec::new(),
            told: 0,
            hello,
        };
        match self.nodes.entry(node) {
            Slot::Occupied(mut old) => {
                let newer = old.get().hello.incarnation;
                if newer > entry.hello.incarnation {
                    return Err(Refusal::Superseded { newer });
                }
                let old = old.insert(entry);
                old.suspect.send_replace(true);
                old.connection.close(Code::Superseded, "the node has connected again");
            }
            Slot::Vacant(_) if !room => return Err(Refusal::Full { limit: self.most }),
            Slot::Vacant(place) => {
                place.insert(entry);
            }
        }
        self.rosters.serves(node, link, &cards);
        for card in cards {
            self.known.insert(card.model.clone(), card);
        }
        Ok(Membership { directory: Arc::clone(self), node, link, ordered })
    }

    /// One index serves all nodes of a model: their blocks must be cut and named alike.
    fn check_blocks(&self, node: NodeId, cards: &[Card]) -> Result<(), Refusal> {
        for other in self.nodes.iter().filter(|entry| entry.hello.node != node) {
            for (ours, theirs) in
                other.hello.cards.iter().flat_map(|ours| cards.iter().map(move |theirs| (ours, theirs)))
            {
                if ours.model == theirs.model && ours.block != theirs.block {
                    let model = theirs.model.clone();
                    return Err(Refusal::BlockSize { model, ours: ours.block, theirs: theirs.block });
                }
            }
        }
        Ok(())
    }

    /// Passes an operator's wish on to a node, by its name or id. Returns the node's name.
    ///
    /// # Errors
    /// There is no such node, or it does not listen.
    pub fn order(&self, node: &str, action: OrderAction) -> Result<String, NotOrdered> {
        let called = |entry: &Entry| entry.hello.name == node || entry.hello.node.to_string() == node;
        let found: Vec<NodeId> = self.nodes.iter().filter(|entry| called(entry)).map(|entry| *entry.key()).collect();
        let mut guard = match found.as_slice() {
            [one] => self.nodes.get_mut(one),
            [] => None,
            several => return Err(NotOrdered::Ambiguous { node: node.to_owned(), count: several.len() }),
        };
        let Some(entry) = guard.as_deref_mut() else {
            let names: BTreeSet<String> = self.nodes.iter().map(|entry| entry.hello.name.clone()).collect();
            let there = if names.is_empty() { "none".to_owned() } else { Vec::from_iter(names).join(", ") };
            return Err(NotOrdered::Unknown { node: node.to_owned(), there });
        };
        order::check(node, &entry.places, &action)?;
        let drains = matches!(action, OrderAction::Drain { .. });
        entry.orders.try_send(action).map_err(|_| NotOrdered::Busy(node.to_owned()))?;
        // It gets nothing from this moment on; its reports say when it does again.
        entry.draining |= drains;
        let (id, name) = (entry.hello.node, entry.hello.name.clone());
        drop(guard);
        self.tell(id);
        Ok(name)
    }

    /// By what name people know a node.
    pub fn name(&self, node: NodeId) -> Option<String> {
        self.nodes.get(&node).map(|entry| entry.hello.name.clone())
    }

    /// A connection to some node whose card names these words.
    pub fn speaker(&self, text: [u8; 32]) -> Option<Arc<dyn Connection>> {
        let speaks = |entry: &Entry| entry.hello.cards.iter().any(|card| card.text == text);
        self.nodes.iter().find(|entry| speaks(entry)).map(|entry| Arc::clone(&entry.connection))
    }

    /// The card of a model: of a node that serves it now, or else the last one that did.
    pub fn card(&self, model: &str) -> Option<Card> {
        let cards = |entry: &Entry| entry.hello.cards.iter().find(|card| card.model == model).cloned();
        let serving: BTreeMap<NodeId, Card> =
            self.nodes.iter().filter_map(|entry| cards(&entry).map(|card| (entry.hello.node, card))).collect();
        serving.into_values().next().or_else(|| self.known.get(model).map(|card| card.clone()))
    }

    /// Models that were served since the start, by name.
    pub fn models(&self) -> Vec<Card> {
        let names: BTreeSet<String> = self.known.iter().map(|card| card.key().clone()).collect();
        names.iter().filter_map(|name| self.card(name)).collect()
    }

    /// Whether some node serves.
    pub fn is_ready(&self) -> bool {
        let now = self.clock.now();
        self.nodes.iter().any(|entry| self.state(&entry, now) == NodeState::Ready)
    }

    fn state(&self, entry: &Entry, now: std::time::Duration) -> NodeState {
        if entry.draining {
            NodeState::Draining
        } else if entry.health.verdict(now, &self.rules) != Verdict::Trusted {
            NodeState::Suspect
        } else if entry.workers.iter().any(|worker| worker.ready) {
            NodeState::Ready
        } else if entry.workers.is_empty() {
            NodeState::Idle
        } else {
            NodeState::Starting
        }
    }

    /// Looks at every node's health. To be called several times within `health.silence`.
    pub fn sweep(&self) {
        let now = self.clock.now();
        // In the order of their ids: of nodes that are suspect together, the attempts move in the same order each time.
        let nodes: BTreeSet<NodeId> = self.nodes.iter().map(|entry| *entry.key()).collect();
        for node in nodes {
            let Some(entry) = self.nodes.get(&node) else { continue };
            let verdict = entry.health.verdict(now, &self.rules);
            let suspect = verdict != Verdict::Trusted;
            if entry.suspect.send_if_modified(|before| std::mem::replace(before, suspect) != suspect) {
                let name = &entry.hello.name;
                match verdict {
                    Verdict::Trusted => tracing::info!("node {name} is trusted again"),
                    Verdict::Silent(time) => tracing::warn!("node {name} is suspect: silent for {time:?}"),
                    Verdict::Stalled(time) => {
                        tracing::warn!("node {name} is suspect: work waits, and no step for {time:?}");
                    }
                }
            }
        }
    }
}

impl Membership {
    /// Takes a report in.
    pub fn report(&self, report: Report) {
        let now = self.directory.clock.now();
        let mut models = Vec::new();
        self.change(|entry| {
            if entry.health.on_report(now, &report) {
                models = entry.hello.cards.iter().map(|card| card.model.clone()).collect();
                entry.draining = report.draining;
                let places = entry.workers.len();
                entry.workers = report.workers;
                entry.workers.resize(places, WorkerReport::default());
            }
        });
        if !models.is_empty() {
            self.directory.tell(self.node);
        }
        self.directory.rosters.reported(now, self.node, self.link, &models);
    }

    /// The node serves these from now on. Jobs for models that it serves no more end as it ends them.
    ///
    /// # Errors
    /// Its blocks are not as the others'.
    pub fn serving(&self, serving: Serving) -> Result<(), Refusal> {
        let Serving { cards, mut models } = serving;
        self.directory.check_blocks(self.node, &cards)?;
        models.truncate(MAX_MODELS);
        let mut ours = false;
        self.change(|entry| {
            ours = true;
            let old = std::mem::take(&mut entry.workers);
            let before = |card: &Card| entry.hello.cards.iter().position(|known| known.model == card.model);
            let report = |card: &Card| before(card).and_then(|place| old.get(place)).copied().unwrap_or_default();
            let workers = cards.iter().map(report).collect();
            entry.workers = workers;
            entry.hello.cards.clone_from(&cards);
            entry.places = models;
        });
        if ours {
            self.directory.rosters.serves(self.node, self.link, &cards);
            self.directory.tell(self.node);
            for card in cards {
                self.directory.known.insert(card.model.clone(), card);
            }
        }
        Ok(())
    }

    /// What an operator wants of the node.
    pub(super) async fn ordered(&mut self) -> OrderAction {
        match self.ordered.recv().await {
            Some(action) => action,
            // The entry is gone: this link will be too.
            None => std::future::pending().await,
        }
    }

    /// The node takes nothing new from now on.
    pub fn drain(&self) {
        self.change(|entry| entry.draining = true);
        self.directory.tell(self.node);
    }

    /// Who runs there now.
    pub fn tree(&self, tree: Tree) {
        self.change(|entry| entry.tree = Tree::bounded(tree.lines).lines);
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.directory.nodes.get_mut(&self.node)
            && entry.link == self.link
        {
            change(&mut entry);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Attempts on it must not wait for a stream that is gone.
        if let Some((_, entry)) = self.directory.nodes.remove_if(&self.node, |_, entry| entry.link == self.link) {
            entry.suspect.send_replace(true);
            drop(entry);
            self.directory.rosters.leaves(self.node, self.link);
        }
    }
}
