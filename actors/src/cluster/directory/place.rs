//! The directory's part in placement: what is known of a node, and the way to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::health::Verdict;
use protocol::ids::NodeId;
use protocol::units::{Blocks, Tokens};
use tokio::sync::watch;
use tokio::time::Instant;
use transport::connection::Connection;

use super::roster::{Entered, Key, Nodes, View};
use super::{Directory, Reach};
use crate::cluster::placing::{Placed, Reservation, Trial, Want, hint};

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
    now: Duration,
}

impl Nodes for Asked<'_> {
    type Way = Way;

    fn view(&self, node: NodeId) -> Option<View> {
        let Want { model, words, .. } = self.want;
        let entry = self.directory.nodes.get(&node)?;
        let place = entry.hello.cards.iter().position(|card| card.model == *model && card.text == *words)?;
        let (card, worker) = (entry.hello.cards.get(place)?, *entry.workers.get(place)?);
        let trusted = entry.health.verdict(self.now, &self.directory.rules) == Verdict::Trusted;
        let asked = !entry.draining && worker.ready && trusted;
        asked.then_some(View { worker, jobs: card.jobs, blocks: card.blocks })
    }

    fn way(&self, node: NodeId) -> Option<Way> {
        let entry = self.directory.nodes.get(&node)?;
        Some(Way {
            name: entry.hello.name.clone(),
            connection: Arc::clone(&entry.connection),
            suspect: entry.suspect.subscribe(),
        })
    }

    fn known(&self, node: NodeId) -> bool {
        self.directory.prefixes.known(&self.want.model, node)
    }
}

impl Directory {
    /// The best node for a job, or none. `random` gives numbers in [0, 1). The job counts as sent there as
    /// long as its [`Reach`] lives.
    pub fn place(&self, want: &Want, random: &mut impl FnMut() -> f64) -> Option<Placed> {
        let (begun, now) = (Instant::now(), self.clock.now());
        let hits = self.hits(want);
        let asked = Asked { directory: self, want, now };
        let Entered { way, choice, reason, key } = self.rosters.place(now, want, &hits, &asked, random)?;
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
        Some(Placed { node: choice.node, reach: self.reach_by(way, want, key, predicted), predicted, pull })
    }

    /// Whether any node serves the model, be it busy, suspect or left out for its faults.
    pub fn knows(&self, model: &str) -> bool {
        self.rosters.knows(model)
    }

    /// Jobs that were sent to nodes and have not ended.
    pub fn sent(&self) -> u64 {
        self.rosters.open()
    }

    /// Where other nodes reach a node that is trusted.
    fn peer_address(&self, now: Duration, node: NodeId) -> Option<String> {
        let entry = self.nodes.get(&node)?;
        let trusted = entry.health.verdict(now, &self.rules) == Verdict::Trusted;
        entry.hello.peer.clone().filter(|_| trusted)
    }

    fn hits(&self, want: &Want) -> BTreeMap<NodeId, Blocks> {
        self.prefixes.cached(&want.model, &want.chain).into_iter().collect()
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
