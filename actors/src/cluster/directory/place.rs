//! The directory's part in placement: what is known of a node, and the way to it.

use std::sync::Arc;
use std::time::Duration;

use policy::health::Verdict;
use policy::index::Hits;
use policy::placement::Choice;
use policy::placement::roster::{Key, Kind, Nodes, Told, View};
use policy::pull::{self, Offer, Terms};
use protocol::engine::Card;
use protocol::ids::NodeId;
use protocol::message::{Pull, Role, WorkerReport};
use protocol::units::{Blocks, Tokens};
use tokio::time::Instant;
use transport::connection::Connection;

use super::roster::{Entered, Ways};
use super::{Directory, Reach};
use crate::cluster::placing::{First, Part, Placed, Reservation, Trial, Want, hint};
use crate::promises::Promises;
use crate::watch;

/// When prompts are computed on a node for prompts first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elsewhere {
    terms: Terms,
    /// Fewer tokens are computed where the answer is written.
    threshold: Tokens,
}

impl Elsewhere {
    /// None where nobody fetches.
    pub(super) fn of(config: &protocol::config::Pull) -> Option<Self> {
        let threshold = Tokens(config.elsewhere_tokens.into());
        config.enabled.then(|| Self { terms: config.into(), threshold })
    }
}

/// Where a job would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The node's name.
    pub node: String,
    /// What the index believes to be cached there, in whole blocks.
    pub cached: Tokens,
    /// When its answer is expected to be complete, as far as it is expected to be long.
    pub time: Duration,
}

/// The way to a node.
struct Way {
    name: String,
    connection: Arc<dyn Connection>,
    suspect: watch::Receiver<bool>,
}

/// The directory, asked about one request.
struct Asked<'a> {
    directory: &'a Directory,
    want: &'a Want,
    part: Part,
    /// The first bytes of its tokenizer's hash.
    words: u64,
}

impl<'a> Asked<'a> {
    fn new(directory: &'a Directory, want: &'a Want, part: Part) -> Self {
        Self { directory, want, part, words: words(&want.words) }
    }
}

/// The first bytes of a tokenizer's hash: they tell apart those that nodes of one model have.
fn words(hash: &[u8; 32]) -> u64 {
    hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

impl Nodes for Asked<'_> {
    fn meant(&self, _: NodeId, kind: Kind) -> bool {
        self.part.takes(kind.role) && kind.words == self.words
    }

    fn known(&self, node: NodeId) -> bool {
        self.directory.prefixes.known(&self.want.model, node)
    }
}

impl Ways for Asked<'_> {
    type Way = Way;

    fn way(&self, node: NodeId) -> Option<Way> {
        let entry = self.directory.nodes.get(&node)?;
        Some(Way {
            name: entry.hello.name.clone(),
            connection: Arc::clone(&entry.connection),
            suspect: entry.suspect.subscribe(),
        })
    }
}

impl Directory {
    /// Passes on to the rosters what is known of a node now.
    pub(super) fn tell(&self, node: NodeId) {
        let Some((link, serial, told)) = self.nodes.get_mut(&node).map(|mut entry| {
            entry.told += 1;
            let until = entry.health.until(&self.rules).filter(|_| !entry.draining);
            let of = |(card, worker): (&Card, &WorkerReport)| {
                let kind = Kind { role: entry.hello.role, words: words(&card.text) };
                let view = View { worker: *worker, jobs: card.jobs, blocks: card.blocks };
                let told = until.filter(|_| worker.ready).map(|until| Told { view, until, kind });
                (card.model.clone(), told)
            };
            let all: Vec<(String, Option<Told>)> = entry.hello.cards.iter().zip(&entry.workers).map(of).collect();
            (entry.link, entry.told, all)
        }) else {
            return;
        };
        self.rosters.told(node, link, serial, told);
    }

    /// The best node for a job, or none. `random` gives numbers in [0, 1). The job counts as sent there as
    /// long as its [`Reach`] lives.
    pub fn place(&self, want: &Want, random: &mut impl FnMut() -> f64) -> Option<Placed> {
        let (begun, now) = (Instant::now(), self.clock.now());
        let hits = self.hits(want);
        let mut enter = |part| {
            let asked = Asked::new(self, want, part);
            self.rosters.place(now, want, &hits, &asked, random)
        };
        let Entered { way, choice, reason, key } = enter(Part::Answer).or_else(|| enter(Part::Any))?;
        self.placements.decided(reason, begun.elapsed());
        tracing::debug!(
            model = want.model,
            node = way.name,
            reason = reason.as_str(),
            cached = choice.cached.0,
            prefill_us = choice.price.prefill,
            queue_us = choice.price.queue,
            decode_us = choice.price.decode,
            "placed"
        );
        // Only whole blocks are taken from a cache.
        let block = want.block.0.max(1);
        let predicted = Tokens(choice.cached.0 / block * block);
        let pull = hint::hint(&hits, (choice.node, predicted), want.block, |node| self.peer_address(now, node));
        let first = self.first(now, want, &hits, (&choice, pull.as_ref()), random);
        Some(Placed { node: choice.node, reach: self.reach_by(way, want, key, predicted), predicted, pull, first })
    }

    /// Where a job would go and what it would cost there, if it went now. Nothing is entered.
    pub fn peek(&self, want: &Want, random: &mut impl FnMut() -> f64) -> Option<Peek> {
        let (now, hits) = (self.clock.now(), self.hits(want));
        let mut look = |part| {
            let asked = Asked::new(self, want, part);
            self.rosters.look(now, want, &hits, &asked, random)
        };
        let choice = look(Part::Answer).or_else(|| look(Part::Any))?;
        let block = want.block.0.max(1);
        Some(Peek {
            node: self.name(choice.node).unwrap_or_else(|| choice.node.to_string()),
            cached: Tokens(choice.cached.0 / block * block),
            time: Duration::from_micros(choice.price.total()),
        })
    }

    /// Who computes the prompt first, if there is a node for that and it pays: the same sum as for a pull.
    fn first(
        &self,
        now: Duration,
        want: &Want,
        hits: &Hits,
        (choice, pull): (&Choice, Option<&Pull>),
        random: &mut impl FnMut() -> f64,
    ) -> Option<First> {
        let Elsewhere { terms, threshold } = self.elsewhere.as_ref()?;
        let known = choice.cached.max(pull.map_or(Tokens::ZERO, |pull| Tokens(pull.blocks.0 * want.block.0)));
        let missing = want.prompt - known;
        if missing < *threshold || self.role(choice.node)? == Role::Prefill {
            return None;
        }
        // What it computes is not the conversation's place, and nobody was tried for it.
        let prompt = Want { session: None, answer: Tokens(1), tried: Vec::new(), ..want.clone() };
        let asked = Asked::new(self, &prompt, Part::Prompt);
        let Entered { way, choice: there, key, .. } = self.rosters.place(now, &prompt, hits, &asked, random)?;
        let reach = self.reach_by(way, &prompt, key, there.cached);
        let address = self.peer_address(now, there.node)?;
        let bytes = self.card(&want.model)?.block_bytes as f64;
        let offer = Offer {
            missing,
            bytes_per_token: bytes / want.block.0.max(1) as f64,
            bandwidth: None,
            latency: Duration::ZERO,
            prefill: None,
            queue: Tokens::ZERO,
        };
        let time = |choice: &Choice| Duration::from_micros(choice.price.prefill.saturating_add(choice.price.queue));
        let limit = time(choice);
        // Of one that has measured nothing its role says that it is fast; its first prompt will tell.
        let there_time = if self.has_measured(there.node, &want.model) { time(&there) } else { Duration::ZERO };
        let pays = pull::elsewhere(*threshold, limit, there_time, &offer, terms);
        let pull = Pull { node: there.node, address, blocks: Blocks::of(want.chain.len()) };
        // A reach that is dropped gives back what it took.
        pays.then_some(First { reach, pull, limit })
    }

    fn has_measured(&self, node: NodeId, model: &str) -> bool {
        self.nodes.get(&node).is_some_and(|entry| {
            let workers = entry.hello.cards.iter().zip(&entry.workers);
            workers.into_iter().any(|(card, worker)| card.model == model && worker.rates.prefill > 0)
        })
    }

    fn role(&self, node: NodeId) -> Option<Role> {
        self.nodes.get(&node).map(|entry| entry.hello.role)
    }

    /// Whether any node serves the model, be it busy, suspect or left out for its faults.
    pub fn knows(&self, model: &str) -> bool {
        self.rosters.knows(model)
    }

    /// Jobs that were sent to nodes and have not ended.
    pub fn sent(&self) -> u64 {
        self.rosters.open()
    }

    /// What must hold of these jobs.
    pub fn promises(&self) -> &Promises {
        self.rosters.promises()
    }

    /// Where other nodes reach a node that is trusted.
    fn peer_address(&self, now: Duration, node: NodeId) -> Option<String> {
        let entry = self.nodes.get(&node)?;
        let trusted = entry.health.verdict(now, &self.rules) == Verdict::Trusted;
        entry.hello.peer.clone().filter(|_| trusted)
    }

    fn hits(&self, want: &Want) -> Hits {
        self.prefixes.cached(&want.model, &want.chain)
    }

    fn reach_by(&self, way: Way, want: &Want, key: Key, predicted: Tokens) -> Reach {
        let Way { name, connection, suspect } = way;
        let (rosters, metrics) = (Arc::clone(&self.rosters), self.placements.clone());
        let (model, chain) = (want.model.clone(), Arc::clone(&want.chain));
        let trial = Trial::new(Arc::clone(&rosters), self.clock, model.clone(), name.clone(), key);
        let sent = Reservation::new(rosters, metrics, self.clock, model, chain, key, predicted);
        Reach { name, connection, suspect, sent, trial }
    }
}
