//! By what rule a node is chosen: the cluster's own, plainer ones, and those of others, side by side.
//!
//! Rules: all of them hear the same, from the same view; each adds what its router counts itself. Whoever refused is
//! not asked again for the same request.

use std::time::Duration;

use policy::index::Hits;
use policy::placement::roster::{Kind, Nodes, Roster, Told, Wish};
use policy::placement::{Policy, Settings};
use protocol::ids::NodeId;
use protocol::message::WorkerReport;
use protocol::units::{Blocks, Tokens};
use serde::Serialize;

use crate::run::{Node, View};

mod approximate;
mod dynamo;

use approximate::Approximate;
use dynamo::Dynamo;

/// By what rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The cluster's own: what costs least time, cached tokens, queues and decoding counted.
    Prefix,
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
    /// The fewest tokens due.
    LeastLoad,
    /// Of any two, the one with fewer tokens due.
    PowerOfTwo,
    /// SGLang's router: a tree of what was sent where, unless the nodes are out of balance.
    Approximate,
    /// Dynamo's router: blocks to compute, less those cached, and blocks that decode.
    Dynamo,
    /// The cluster's own, but knowing at every moment what every node holds and does.
    Oracle,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Prefix,
        Self::Dynamo,
        Self::Approximate,
        Self::LeastLoad,
        Self::PowerOfTwo,
        Self::RoundRobin,
        Self::Random,
        Self::Oracle,
    ];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::LeastLoad => "least-load",
            Self::PowerOfTwo => "power-of-two",
            Self::Approximate => "approximate",
            Self::Dynamo => "dynamo",
            Self::Oracle => "oracle",
        }
    }

    /// The rule of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }

    /// By which of the cluster's own the roster decides for it.
    pub(crate) fn policy(self) -> Policy {
        match self {
            Self::Prefix | Self::Oracle | Self::Approximate | Self::Dynamo => Policy::Prefix,
            Self::Random => Policy::Random,
            Self::RoundRobin => Policy::RoundRobin,
            Self::LeastLoad | Self::PowerOfTwo => Policy::LeastLoad,
        }
    }
}

/// Who was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) node: NodeId,
    /// What is believed to be cached there.
    pub(crate) cached: Tokens,
}

/// A rule, and what it counts itself.
#[derive(Debug)]
pub(crate) enum Chooser {
    /// The roster decides.
    Own,
    PowerOfTwo,
    Approximate(Approximate),
    Dynamo(Dynamo),
    Oracle,
}

impl Chooser {
    pub(crate) fn new(rule: Rule, nodes: usize) -> Self {
        match rule {
            Rule::Prefix | Rule::Random | Rule::RoundRobin | Rule::LeastLoad => Self::Own,
            Rule::PowerOfTwo => Self::PowerOfTwo,
            Rule::Approximate => Self::Approximate(Approximate::new(nodes)),
            Rule::Dynamo => Self::Dynamo(Dynamo::new(nodes)),
            Rule::Oracle => Self::Oracle,
        }
    }

    /// Whom to ask; none if there is nobody.
    pub(crate) fn choose(
        &mut self,
        now: Duration,
        wish: &Wish<'_>,
        view: &mut View,
        nodes: &[Node],
        settings: &Settings,
        random: &mut impl FnMut() -> f64,
    ) -> Option<Picked> {
        match self {
            Self::Approximate(tree) => tree.choose(wish, view, random),
            Self::Dynamo(dynamo) => dynamo.choose(wish, view, random),
            Self::Own => {
                let View { index, roster, .. } = view;
                // Whoever does not look at prefixes need not look them up.
                let hits = if settings.policy == Policy::Prefix { hits(index, wish) } else { Hits::default() };
                let seen = Seen { meant: |_| true, known: |node| index.knows(node) };
                decide(now, wish, &hits, &seen, roster, settings, random)
            }
            Self::PowerOfTwo => {
                let View { roster, workers, .. } = view;
                let asked: Vec<usize> = reported(workers).filter(|place| !tried(wish, *place)).collect();
                let mut one = || asked.get((random() * asked.len() as f64) as usize).copied();
                let (first, mut second) = (one()?, one()?);
                for _ in 0..4 {
                    if second != first {
                        break;
                    }
                    second = one()?;
                }
                let meant = |node| [first, second].map(|place| NodeId(place as u64)).contains(&node);
                let seen = Seen { meant, known: |_| true };
                decide(now, wish, &Hits::default(), &seen, roster, settings, random)
            }
            Self::Oracle => {
                let View { roster, .. } = view;
                let of = |node: &Node| node.has(wish.chain);
                let hits: Hits = (0u64..).map(NodeId).zip(nodes.iter().map(of)).collect();
                for (place, node) in (0..).map(NodeId).zip(nodes) {
                    let (jobs, blocks) = (node.card().jobs, node.card().blocks);
                    roster.told(place, 1, 0, Some(told(node.report(now), jobs, blocks)));
                    roster.reported(now, place, 1);
                }
                let seen = Seen { meant: |_| true, known: |_| true };
                decide(now, wish, &hits, &seen, roster, settings, random)
            }
        }
    }

    /// Whether it counts nothing at any node.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Dynamo(dynamo) => dynamo.is_idle(),
            // These count what the roster does.
            Self::Own | Self::PowerOfTwo | Self::Approximate(_) | Self::Oracle => true,
        }
    }

    /// A job was sent.
    pub(crate) fn sent(&mut self, wish: &Wish<'_>, picked: &Picked) {
        match self {
            Self::Approximate(tree) => tree.sent(wish, picked),
            Self::Dynamo(dynamo) => dynamo.sent(wish, picked),
            Self::Own | Self::PowerOfTwo | Self::Oracle => {}
        }
    }

    /// Its first token is there.
    pub(crate) fn computed(&mut self, node: NodeId, uncached: Tokens) {
        if let Self::Dynamo(dynamo) = self {
            dynamo.computed(node, uncached);
        }
    }

    /// It has ended there.
    pub(crate) fn ended(&mut self, node: NodeId, wish: &Wish<'_>) {
        if let Self::Dynamo(dynamo) = self {
            dynamo.ended(node, wish);
        }
    }
}

/// Which nodes are meant, and of which all is known.
struct Seen<M, K> {
    meant: M,
    known: K,
}

impl<M: Fn(NodeId) -> bool, K: Fn(NodeId) -> bool> Nodes for Seen<M, K> {
    fn meant(&self, node: NodeId, _: Kind) -> bool {
        (self.meant)(node)
    }

    fn known(&self, node: NodeId) -> bool {
        (self.known)(node)
    }
}

fn decide(
    now: Duration,
    wish: &Wish<'_>,
    hits: &Hits,
    nodes: &impl Nodes,
    roster: &mut Roster,
    settings: &Settings,
    random: &mut impl FnMut() -> f64,
) -> Option<Picked> {
    let decision = roster.decide(now, wish, hits, nodes, settings, random)?;
    decision.choices.first().map(|choice| Picked { node: choice.node, cached: choice.cached })
}

/// Blocks of the prompt that the index believes to be cached, by node.
fn hits(index: &policy::index::Index, wish: &Wish<'_>) -> Hits {
    index.cached(wish.chain.iter().map(|hash| (*hash).into()))
}

/// What a node tells of itself. It is trusted whatever happens.
pub(crate) fn told(worker: WorkerReport, jobs: u32, blocks: Blocks) -> Told {
    let view = policy::placement::roster::View { worker, jobs, blocks };
    Told { view, until: Duration::MAX, kind: Kind::default() }
}

/// Places of nodes that have reported.
fn reported(workers: &[Option<WorkerReport>]) -> impl Iterator<Item = usize> + '_ {
    workers.iter().enumerate().filter(|(_, worker)| worker.is_some()).map(|(place, _)| place)
}

fn tried(wish: &Wish<'_>, place: usize) -> bool {
    wish.tried.contains(&NodeId(place as u64))
}
