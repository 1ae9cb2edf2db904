//! What came of a world: the figures, and the breach if there was one.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::invariants::Breach;

use super::client;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events.
    pub events: u64,
    /// Datagrams that were lost.
    pub lost: u64,
    /// Packets of streams that came later for a loss or a cut.
    pub held: u64,
    /// Packets that came twice.
    pub doubled: u64,
    /// Datagrams that could overtake each other.
    pub reordered: u64,
    /// Batches of cache events that were lost.
    pub lost_events: u64,
    /// Reports that an older one was overtaken by.
    pub stale: u64,
    /// Times that a cache was told anew.
    pub resyncs: u64,
    /// Times that a node was found suspect.
    pub suspects: u64,
    /// Times that a breaker opened.
    pub opened: u64,
    /// Placements.
    pub decisions: u64,
    /// Retries.
    pub retries: u64,
    /// Answers that went on elsewhere.
    pub migrations: u64,
    /// Times that a request waited for room.
    pub waits: u64,
    /// Nodes that did not answer in time.
    pub unanswered: u64,
    /// Writes that a full disk did not take.
    pub unwritten: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

/// Names and figures of a tally.
type Figures<'a> = [(&'static str, &'a mut u64); 16];

impl Tally {
    fn figures(&mut self) -> Figures<'_> {
        [
            ("events", &mut self.events),
            ("placements", &mut self.decisions),
            ("retries", &mut self.retries),
            ("migrations", &mut self.migrations),
            ("waits for room", &mut self.waits),
            ("nodes suspected", &mut self.suspects),
            ("breakers opened", &mut self.opened),
            ("grants that never came", &mut self.unanswered),
            ("caches told anew", &mut self.resyncs),
            ("datagrams lost", &mut self.lost),
            ("packets doubled", &mut self.doubled),
            ("packets held up", &mut self.held),
            ("datagrams reordered", &mut self.reordered),
            ("cache batches lost", &mut self.lost_events),
            ("reports overtaken", &mut self.stale),
            ("writes refused", &mut self.unwritten),
        ]
    }

    /// Adds another one's figures.
    pub fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for ((_, mine), (_, theirs)) in self.figures().into_iter().zip(other.figures()) {
            *mine += *theirs;
        }
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }

    /// All figures, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut own = self.clone();
        let figures: Vec<String> =
            own.figures().iter().skip(1).map(|(name, count)| format!("{count} {name}")).collect();
        figures.chunks(5).map(|some| some.join(", ")).collect()
    }
}

/// What came of a world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What was counted.
    pub tally: Tally,
    /// How requests ended.
    pub ends: BTreeMap<client::Outcome, u64>,
    /// Virtual time until all was well again.
    pub took: Duration,
    /// Of that, from the last fault on.
    pub healed: Duration,
    /// Of the whole history.
    pub hash: u64,
    /// What did not hold.
    pub breach: Option<Breach>,
    /// The history, if it was kept.
    pub history: Vec<String>,
}
