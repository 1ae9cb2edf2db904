//! By what rule a node is chosen: the cluster's own, plainer ones, and those of others, side by side.
//!
//! Rules: all of them hear the same, from the same view; each adds what its router counts itself. Whoever refused is
//! not asked again for the same request.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::placement::roster::{Nodes, Roster, Wish};
use policy::placement::{Policy, Settings};
use protocol::ids::NodeId;
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
                let View { index, roster, workers, cards, .. } = view;
                // Whoever does not look at prefixes need not look them up.
                let hits = if settings.policy == Policy::Prefix { hits(index, wish) } else { BTreeMap::new() };
                let known = |node| index.knows(node);
                let seen = Seen { look: |place| looked(workers, cards, place), known };
                decide(now, wish, &hits, &seen, roster, settings, random)
            }
            Self::PowerOfTwo => {
                let View { roster, workers, cards, .. } = view;
                let asked: Vec<usize> = reported(workers).filter(|place| !tried(wish, *place)).collect();
                let mut one = || asked.get((random() * asked.len() as f64) as usize).copied();
                let (first, mut second) = (one()?, one()?);
                for _ in 0..4 {
                    if second != first {
                        break;
                    }
                    second = one()?;
                }
                let look =
                    |place: usize| (place == first || place == second).then(|| looked(workers, cards, place)).flatten();
                let seen = Seen { look, known: |_| true };
                decide(now, wish, &BTreeMap::new(), &seen, roster, settings, random)
            }
            Self::Oracle => {
                let View { roster, .. } = view;
                let of = |node: &Node| node.has(wish.chain);
                let hits: BTreeMap<NodeId, Blocks> = (0u64..)
                    .map(NodeId)
                    .zip(nodes.iter().map(of))
                    .filter(|(_, blocks)| *blocks > Blocks::ZERO)
                    .collect();
                (0..nodes.len() as u64).for_each(|node| roster.reported(now, NodeId(node), 1));
                let look = |place: usize| {
                    let node: &Node = nodes.get(place)?;
                    Some(policy::placement::roster::View {
                        worker: node.report(now),
                        jobs: node.card().jobs,
                        blocks: node.card().blocks,
                    })
                };
                let seen = Seen { look, known: |_| true };
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

/// The nodes, as somebody sees them.
struct Seen<L, K> {
    look: L,
    known: K,
}

impl<L, K> Nodes for Seen<L, K>
where
    L: Fn(usize) -> Option<policy::placement::roster::View>,
    K: Fn(NodeId) -> bool,
{
    fn view(&self, node: NodeId) -> Option<policy::placement::roster::View> {
        (self.look)(usize::try_from(node.0).ok()?)
    }

    fn known(&self, node: NodeId) -> bool {
        (self.known)(node)
    }
}

fn decide(
    now: Duration,
    wish: &Wish<'_>,
    hits: &BTreeMap<NodeId, Blocks>,
    nodes: &impl Nodes,
    roster: &mut Roster,
    settings: &Settings,
    random: &mut impl FnMut() -> f64,
) -> Option<Picked> {
    let decision = roster.decide(now, wish, hits, nodes, settings, random)?;
    decision.choices.first().map(|choice| Picked { node: choice.node, cached: choice.cached })
}

/// Blocks of the prompt that the index believes to be cached, by node.
fn hits(index: &policy::index::Index, wish: &Wish<'_>) -> BTreeMap<NodeId, Blocks> {
    index.cached(wish.chain.iter().map(|hash| (*hash).into())).into_iter().collect()
}

fn looked(
    workers: &[Option<protocol::message::WorkerReport>],
    cards: &[(u32, Blocks)],
    place: usize,
) -> Option<policy::placement::roster::View> {
    let worker = workers.get(place).copied().flatten()?;
    let (jobs, blocks) = cards.get(place).copied()?;
    Some(policy::placement::roster::View { worker, jobs, blocks })
}

/// Places of nodes that have reported.
fn reported(workers: &[Option<protocol::message::WorkerReport>]) -> impl Iterator<Item = usize> + '_ {
    workers.iter().enumerate().filter(|(_, worker)| worker.is_some()).map(|(place, _)| place)
}

fn tried(wish: &Wish<'_>, place: usize) -> bool {
    wish.tried.contains(&NodeId(place as u64))
}
