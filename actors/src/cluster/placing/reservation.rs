//! A job that was sent to a node, in the coordinator's own count: until it ends, is refused or is given up.

use std::sync::Arc;

use policy::placement::roster::Key;
use protocol::engine::BlockHash;
use protocol::units::Tokens;

use super::PlacementMetrics;
use crate::cluster::Clock;
use crate::cluster::directory::roster::Rosters;

/// Counts while it lives.
#[derive(Debug)]
pub struct Reservation {
    rosters: Arc<Rosters>,
    metrics: PlacementMetrics,
    clock: Clock,
    model: String,
    chain: Arc<[BlockHash]>,
    key: Key,
    predicted: Tokens,
    taken: bool,
    computed: bool,
}

impl Reservation {
    pub(crate) fn new(
        rosters: Arc<Rosters>,
        metrics: PlacementMetrics,
        clock: Clock,
        model: String,
        chain: Arc<[BlockHash]>,
        key: Key,
        predicted: Tokens,
    ) -> Self {
        Self { rosters, metrics, clock, model, chain, key, predicted, taken: false, computed: false }
    }

    /// What the index believed to be cached there.
    pub fn predicted(&self) -> Tokens {
        self.predicted
    }

    /// The node has taken the job, with so much of it cached: its reports hold it from a moment later on.
    pub fn granted(&mut self, cached: Tokens) {
        if !std::mem::replace(&mut self.taken, true) {
            self.rosters.granted(self.clock.now(), &self.model, &self.key);
            self.metrics.granted(self.predicted, cached);
        }
    }

    /// Its prefill has begun, with so much from the cache.
    pub fn begun(&self, cached: Tokens) {
        self.metrics.delivered(cached);
    }

    /// Its first token is there: its prompt is no load any more.
    pub fn computed(&mut self) {
        if !std::mem::replace(&mut self.computed, true) {
            self.rosters.computed(&self.model, &self.key);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.rosters.ended(&self.model, &self.key, &self.chain, self.taken);
    }
}
