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
use policy::placement::{Candidate, Sent};
use protocol::answer::{ClusterStatus, ModelStatus, NodeState, NodeStatus};
use protocol::engine::{Card, HASHING};
use protocol::ids::NodeId;
use protocol::message::{Hello, Refusal, Report, WorkerReport};
use protocol::units::Tokens;
use tokio::sync::watch;
use transport::connection::Connection;
use transport::error::Code;

use super::Clock;

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
    sent: Sent,
    suspect: watch::Sender<bool>,
}

/// A node's place in the directory; to drop it is to take the node out.
#[derive(Debug)]
pub struct Membership {
    directory: Arc<Directory>,
    node: NodeId,
    link: u64,
}

/// How to reach a node.
#[derive(Clone, Debug)]
pub struct Reach {
    /// By what name people know it.
    pub name: String,
    /// The connection.
    pub connection: Arc<dyn Connection>,
    /// Whether it is suspect, as that changes.
    pub suspect: watch::Receiver<bool>,
}

impl Directory {
    /// An empty directory.
    pub fn new(clock: Clock, health: &protocol::config::Health, most: u32) -> Arc<Self> {
        Arc::new(Self {
            nodes: DashMap::new(),
            known: DashMap::new(),
            clock,
            rules: Rules::from(health),
            report_every: health.report_every.0,
            most,
            links: AtomicU64::new(0),
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
        self.check_blocks(&hello)?;
        let room = self.nodes.len() < self.most as usize;
        let (node, link) = (hello.node, self.links.fetch_add(1, Ordering::Relaxed));
        let cards = hello.cards.clone();
        let entry = Entry {
            link,
            connection,
            health: Health::new(self.clock.now(), self.report_every),
            workers: vec![WorkerReport::default(); hello.cards.len()],
            draining: false,
            sent: Sent::default(),
            suspect: watch::channel(false).0,
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
        for card in cards {
            self.known.insert(card.model.clone(), card);
        }
        Ok(Membership { directory: Arc::clone(self), node, link })
    }

    /// One index serves all nodes of a model: their blocks must be cut and named alike.
    fn check_blocks(&self, hello: &Hello) -> Result<(), Refusal> {
        if hello.hashing != HASHING {
            return Err(Refusal::Hashing { ours: HASHING, theirs: hello.hashing });
        }
        for other in self.nodes.iter().filter(|entry| entry.hello.node != hello.node) {
            for (ours, theirs) in
                other.hello.cards.iter().flat_map(|ours| hello.cards.iter().map(move |theirs| (ours, theirs)))
            {
                if ours.model == theirs.model && ours.block != theirs.block {
                    let model = theirs.model.clone();
                    return Err(Refusal::BlockSize { model, ours: ours.block, theirs: theirs.block });
                }
            }
        }
        Ok(())
    }

    /// Nodes that may be asked for a model with these words.
    pub fn candidates(&self, model: &str, text: [u8; 32]) -> Vec<Candidate> {
        let now = self.clock.now();
        let serving = |entry: &Entry| {
            let place = entry.hello.cards.iter().position(|card| card.model == model && card.text == text)?;
            let worker = entry.workers.get(place)?;
            let open = !entry.draining && worker.ready && entry.health.verdict(now, &self.rules) == Verdict::Trusted;
            open.then(|| Candidate {
                node: entry.hello.node,
                prefill: worker.load.prefill,
                context: worker.load.context,
                sent: entry.sent.tokens(),
            })
        };
        let mut found: Vec<Candidate> = self.nodes.iter().filter_map(|entry| serving(&entry)).collect();
        // The map's order changes from run to run; what is decided on it must not.
        found.sort_by_key(|candidate| candidate.node);
        found
    }

    /// How to reach a node, to which so many prompt tokens are sent now.
    pub fn reach(&self, node: NodeId, prompt: Tokens) -> Option<Reach> {
        let mut entry = self.nodes.get_mut(&node)?;
        entry.sent.add(prompt);
        Some(Reach {
            name: entry.hello.name.clone(),
            connection: Arc::clone(&entry.connection),
            suspect: entry.suspect.subscribe(),
        })
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
        } else {
            NodeState::Starting
        }
    }

    /// Looks at every node's health. To be called several times within `health.silence`.
    pub fn sweep(&self) {
        let now = self.clock.now();
        for entry in &self.nodes {
            let verdict = entry.health.verdict(now, &self.rules);
            let suspect = verdict != Verdict::Trusted;
            if entry.suspect.send_replace(suspect) != suspect {
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

    /// Sets the gauges of nodes by state.
    pub fn measure(&self) {
        let now = self.clock.now();
        let states: Vec<NodeState> = self.nodes.iter().map(|entry| self.state(&entry, now)).collect();
        for (state, name) in [
            (NodeState::Ready, "ready"),
            (NodeState::Starting, "starting"),
            (NodeState::Suspect, "suspect"),
            (NodeState::Draining, "draining"),
        ] {
            let count = states.iter().filter(|found| **found == state).count();
            metrics::gauge!("troupe_nodes", "state" => name).set(count as f64);
        }
    }

    /// The cluster, for people.
    pub fn status(&self, cluster: &str, requests: u64) -> ClusterStatus {
        let now = self.clock.now();
        let mut nodes: Vec<NodeStatus> = self.nodes.iter().map(|entry| self.node_status(&entry, now)).collect();
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        ClusterStatus { cluster: cluster.to_owned(), nodes, requests }
    }

    fn node_status(&self, entry: &Entry, now: std::time::Duration) -> NodeStatus {
        let model = |(card, worker): (&Card, &WorkerReport)| ModelStatus {
            model: card.model.clone(),
            dtype: card.dtype.clone(),
            device: card.device.clone(),
            context: card.context,
            running: worker.load.running,
            waiting: worker.load.waiting,
            prefill: worker.load.prefill,
            blocks_used: worker.load.blocks_used,
            blocks_total: card.blocks,
            steps: worker.load.step,
        };
        NodeStatus {
            id: entry.hello.node.to_string(),
            name: entry.hello.name.clone(),
            state: self.state(entry, now),
            build: entry.hello.build.clone(),
            address: entry.connection.peer().address.clone(),
            models: entry.hello.cards.iter().zip(&entry.workers).map(model).collect(),
            silent: entry.health.silent(now),
        }
    }
}

impl Membership {
    /// Takes a report in.
    pub fn report(&self, report: Report) {
        let now = self.directory.clock.now();
        self.change(|entry| {
            if entry.health.on_report(now, &report) {
                entry.sent.on_report();
                entry.draining |= report.draining;
                let places = entry.workers.len();
                entry.workers = report.workers;
                entry.workers.resize(places, WorkerReport::default());
            }
        });
    }

    /// The node takes nothing new from now on.
    pub fn drain(&self) {
        self.change(|entry| entry.draining = true);
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
        }
    }
}
