//! What a decision and an event cost on this machine: the index and the roster as the coordinator uses them, with a full
//! fleet in them.
//!
//! Rules: a placement is all between the names of a prompt's blocks and the job's entry in the ledger: look-up, prices,
//! choice, entry. The names are hashed once for each request, and timed apart. Events come in an open loop, at a fixed
//! rate whatever is done with them, while placements go on; the time until the queue is empty counts.

#![expect(clippy::disallowed_methods, reason = "what is measured here is this machine's time, and is said to be")]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use policy::index::{Index, Outcome};
use policy::placement::roster::{Key, Roster, Wish};
use policy::placement::{Prompt, Settings};
use policy::restart::Jitter;
use protocol::cache::{CacheBatch, CacheChange};
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::units::{Blocks, Tokens};
use serde::Serialize;

use super::fleet::{self, Fleet, PROMPT, Seen};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Nodes.
    pub nodes: usize,
    /// Blocks that each holds.
    pub blocks: usize,
    /// Placements that are timed.
    pub placements: usize,
    /// Operations on blocks that come.
    pub operations: u64,
    /// In a second.
    pub rate: u64,
    /// For the fleet and its prompts.
    pub seed: u64,
}

/// Times, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// Half of them are at most so long.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The longest.
    pub longest: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Nodes.
    pub nodes: usize,
    /// Blocks in the index, each counted once for every node that has it.
    pub held: u64,
    /// Names of a prompt's blocks.
    pub hashing: Times,
    /// Look-up in the index, a part of the placement.
    pub lookup: Times,
    /// A placement.
    pub placement: Times,
    /// Placements while events come.
    pub under_events: Times,
    /// Operations on blocks that came in a second.
    pub offered: u64,
    /// Operations on blocks in a second, until the last was applied.
    pub applied: f64,
    /// From when the last event came until it was applied, in milliseconds.
    pub drain: f64,
    /// Placements meanwhile.
    pub meanwhile: usize,
    /// Bytes of the index for each held block; none where the system does not tell.
    pub bytes_per_block: Option<f64>,
    /// Bytes of the roster for each node.
    pub bytes_per_node: Option<f64>,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let micros = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6);
        let last = times.len().saturating_sub(1);
        Self { p50: micros(times.len() / 2), p99: micros(times.len() * 99 / 100), longest: micros(last) }
    }
}

/// Measures.
pub fn measure(load: &Load) -> Measured {
    let mut random = Jitter::new(load.seed);
    let fleet = Fleet::new(load.nodes, load.blocks, &mut random);
    let before = resident();
    let index = fleet.index();
    let with_index = resident();
    let mut desk = Desk::new(&fleet, random);
    let with_roster = resident();
    let hashing = Times::of((0..load.placements.min(1_000) as u64).map(hashed).collect());
    let each = |before: Option<u64>, after: Option<u64>, count: u64| {
        Some(after?.saturating_sub(before?) as f64 / count.max(1) as f64)
    };
    let bytes_per_block = each(before, with_index, index.held().0);
    let bytes_per_node = each(with_index, with_roster, load.nodes as u64);
    // What is measured first must not pay for cold caches.
    (0..load.placements / 10).for_each(|_| {
        desk.place(&index);
    });
    let (lookups, placements) = (0..load.placements).map(|_| desk.place(&index)).unzip();
    let held = index.held().0;
    let events = Events::new(&fleet, load.operations);
    let storm = desk.storm(index, &events, load.rate);
    Measured {
        nodes: load.nodes,
        held,
        hashing,
        lookup: Times::of(lookups),
        placement: Times::of(placements),
        meanwhile: storm.placements.len(),
        under_events: Times::of(storm.placements),
        offered: load.rate,
        applied: events.operations as f64 / storm.took.as_secs_f64(),
        drain: storm.drain.as_secs_f64() * 1e3,
        bytes_per_block,
        bytes_per_node,
    }
}

/// How long the names of a prompt's blocks take.
fn hashed(number: u64) -> Duration {
    let tokens = fleet::tokens(0, number);
    let begun = Instant::now();
    std::hint::black_box(fleet::chain(&tokens));
    begun.elapsed()
}

/// Memory of this process.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
}

/// Where requests are placed.
struct Desk<'a> {
    fleet: &'a Fleet,
    roster: Roster,
    settings: Settings,
    random: Jitter,
    /// Jobs that run, and their chains' places.
    open: VecDeque<(Key, usize)>,
    now: Duration,
    turn: u64,
}

/// What came of a time with events.
struct Storm {
    placements: Vec<Duration>,
    took: Duration,
    drain: Duration,
}

impl<'a> Desk<'a> {
    fn new(fleet: &'a Fleet, random: Jitter) -> Self {
        let settings = Settings::from(&protocol::config::Placement::default());
        let roster = fleet.roster();
        Self { fleet, roster, settings, random, open: VecDeque::new(), now: Duration::ZERO, turn: 0 }
    }

    /// Places a request; how long the look-up took, and all of it.
    fn place(&mut self, index: &Index) -> (Duration, Duration) {
        self.now += Duration::from_micros(500);
        self.turn += 1;
        let at = (self.random.draw() * self.fleet.chains.len() as f64) as usize;
        let Some(known) = self.fleet.chains.get(at) else { return Default::default() };
        // Of ten requests eight go on with a conversation, one begins one, and one begins like no other.
        let fresh: Vec<BlockHash>;
        let chain: &[BlockHash] = match self.turn % 10 {
            0 | 1 => {
                let system = if self.turn.is_multiple_of(10) { at % 20 } else { 1_000 + at };
                fresh = fleet::chain(&fleet::tokens(system, (1 << 31) + self.turn));
                &fresh
            }
            _ => known,
        };
        let prompt = Prompt { tokens: PROMPT, answer: Tokens(256), block: fleet::BLOCK };
        let wish = Wish { prompt, chain, session: None, tried: &[] };
        let random = &mut self.random;
        let begun = Instant::now();
        let hits: BTreeMap<NodeId, Blocks> = index.cached(fleet::keys(chain)).into_iter().collect();
        let looked = begun.elapsed();
        let nodes = Seen { fleet: self.fleet, index };
        let decided = self.roster.decide(self.now, &wish, &hits, &nodes, &self.settings, &mut || random.draw());
        let entered = decided.and_then(|decision| {
            let choice = decision.choices.first()?;
            self.roster.enter(self.now, &wish, choice)
        });
        let took = begun.elapsed();
        if let Some(key) = entered {
            self.roster.granted(self.now, &key);
            self.open.push_back((key, at));
        }
        // Two jobs a node run; the oldest ends.
        if self.open.len() > 2 * self.fleet.nodes
            && let Some((key, at)) = self.open.pop_front()
        {
            self.roster.ended(&key, self.fleet.chains.get(at).map_or(&[], Vec::as_slice), true);
        }
        self.roster.reported(self.now, NodeId(self.turn % self.fleet.nodes as u64), 1);
        (looked, took)
    }

    /// Takes events in as they come, and places two thousand requests a second meanwhile.
    fn storm(&mut self, mut index: Index, events: &Events, rate: u64) -> Storm {
        const GAP: Duration = Duration::from_micros(500);
        let (mut placements, mut applied, mut next) = (Vec::new(), 0u64, GAP);
        let due = |operations: u64| Duration::from_secs_f64(operations as f64 / rate.max(1) as f64);
        let begun = Instant::now();
        for (node, batch) in &events.batches {
            applied += batch.changes.iter().map(CacheChange::count).sum::<u64>();
            loop {
                let now = begun.elapsed();
                if now >= next {
                    placements.push(self.place(&index).1);
                    next += GAP;
                } else if now >= due(applied) {
                    break;
                }
            }
            let outcome = index.apply(*node, batch);
            debug_assert!(outcome == Outcome::Taken, "{outcome:?}");
        }
        let took = begun.elapsed();
        Storm { placements, took, drain: took.saturating_sub(due(applied)) }
    }
}

/// Conversations that leave caches, and others that come.
struct Events {
    batches: Vec<(NodeId, CacheBatch)>,
    operations: u64,
}

impl Events {
    fn new(fleet: &Fleet, most: u64) -> Self {
        let (mut batches, mut operations, mut round) = (Vec::new(), 0, 0u64);
        let mut sequences: Vec<u64> =
            fleet.snapshots.iter().map(|batch| batch.changes.iter().map(CacheChange::count).sum()).collect();
        while operations < most && fleet.nodes > 0 {
            for (node, sequence) in sequences.iter_mut().enumerate() {
                // What came in one round goes in the next.
                let chain = |round: u64| {
                    let conversation = (1 << 30) + (round / 2) * fleet.nodes as u64 + node as u64;
                    fleet::keys(&fleet::chain(&fleet::tokens(2_000 + node, conversation))).collect::<Vec<_>>()
                };
                let keys = chain(round);
                let change =
                    if round.is_multiple_of(2) { CacheChange::Stored(keys) } else { CacheChange::Removed(keys) };
                let count = change.count();
                batches.push((NodeId(node as u64), fleet::batch(1, *sequence, vec![change])));
                *sequence += count;
                operations += count;
                if operations >= most {
                    break;
                }
            }
            round += 1;
        }
        Self { batches, operations }
    }
}
