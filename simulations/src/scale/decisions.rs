//! What a decision and an event cost on this machine: the index and the roster as the coordinator uses them, with a full
//! fleet in them.
//!
//! Rules: a placement is all between the names of a prompt's blocks and the job's entry in the ledger: look-up, prices,
//! choice, entry. The names are hashed once for each request, and timed apart. Requests and events come in an open
//! loop, at fixed rates whatever is done with them, and wait for each other on one core; what one waits counts. Nodes
//! are full: what comes evicts. Memory is what one more copy adds, a roster's after as many placements as the first has
//! seen, so that memory which was freed before hides nothing.

use std::time::Duration;

use policy::restart::Jitter;
use serde::Serialize;

use super::fleet::{self, Fleet};

mod desk;
mod storm;

use desk::{Asked, Desk};
use storm::{backlog, open_loop};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Nodes.
    pub nodes: usize,
    /// Blocks that each holds.
    pub blocks: usize,
    /// Placements that are timed.
    pub placements: usize,
    /// Operations on blocks that come: half of them at a rate, half at once.
    pub operations: u64,
    /// In a second.
    pub rate: u64,
    /// For the fleet and its prompts.
    pub seed: u64,
}

/// Times, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// Half of them are at most so long.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The longest.
    pub longest: f64,
}

/// Operations on blocks that came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Taken {
    /// Operations that came.
    pub came: u64,
    /// Of these, what the index took in.
    pub applied: u64,
    /// Of these, what it ignored or asked to be told anew.
    pub refused: u64,
    /// From when the first came until all were done, in milliseconds.
    pub took: f64,
    /// Applied in a second of that time.
    pub rate: f64,
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
    /// A placement: of ten requests eight go on with a conversation that one or two nodes hold, one begins one, and one
    /// begins like no other.
    pub placement: Times,
    /// A placement of the one prompt that every node holds.
    pub common: Times,
    /// A placement while events come.
    pub under_events: Times,
    /// From when a request came until it was placed, while events come.
    pub waited: Times,
    /// From when an event came until it was applied.
    pub events: Times,
    /// Operations on blocks that came in a second.
    pub offered: u64,
    /// Of events at that rate.
    pub steady: Taken,
    /// Of as many that all came at once.
    pub backlog: Taken,
    /// Placements meanwhile.
    pub meanwhile: usize,
    /// Bytes of the index for each held block; none where the system does not tell.
    pub bytes_per_block: Option<f64>,
    /// Bytes of the roster with two jobs a node, and of what it remembers of prompts on their way.
    pub bytes_of_roster: Option<u64>,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let micros = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6);
        let last = times.len().saturating_sub(1);
        Self { p50: micros(times.len() / 2), p99: micros(times.len() * 99 / 100), longest: micros(last) }
    }
}

/// Time since something.
type Clock<'a> = dyn FnMut() -> Duration + 'a;

/// Measures.
#[expect(clippy::disallowed_methods, reason = "what is measured here is this machine's time, and is said to be")]
pub fn measure(load: &Load) -> Measured {
    let began = std::time::Instant::now();
    measure_by(load, &mut || began.elapsed())
}

fn measure_by(load: &Load, clock: &mut Clock<'_>) -> Measured {
    let mut fleet = Fleet::new(load.nodes, load.blocks, &mut Jitter::new(load.seed));
    let (index, bytes) = grown(|| fleet.index());
    let held = index.held().0;
    // What is measured first must not pay for cold caches; a job ends where two a node run.
    let warm = (load.placements / 10).max(3 * load.nodes);
    let (mut desk, desk_bytes) = grown(|| {
        let mut desk = Desk::new(&fleet, load.seed);
        (0..warm).for_each(|_| {
            desk.place(&fleet, &index, Asked::Mixed, &mut || Duration::ZERO);
        });
        desk
    });
    let hashing = (0..load.placements.min(1_000) as u64).map(|number| {
        let tokens = fleet::tokens(0, number);
        let begun = clock();
        std::hint::black_box(fleet::chain(&tokens));
        clock().saturating_sub(begun)
    });
    let hashing = Times::of(hashing.collect());
    let (lookups, placements) = (0..load.placements).map(|_| desk.place(&fleet, &index, Asked::Mixed, clock)).unzip();
    let common = (0..load.placements / 4 + 1).map(|_| desk.place(&fleet, &index, Asked::Common, clock).1);
    let common = Times::of(common.collect());
    let mut events = fleet.events(load.operations);
    let rest = events.split_off(events.len() / 2);
    let mut index = index;
    let storm = open_loop(&fleet, &mut desk, &mut index, &events, load.rate, clock);
    let (backlog, more) = backlog(&fleet, &mut desk, &mut index, &rest, clock);
    Measured {
        nodes: load.nodes,
        held,
        hashing,
        lookup: Times::of(lookups),
        placement: Times::of(placements),
        common,
        meanwhile: storm.placements.len() + more,
        under_events: Times::of(storm.placements),
        waited: Times::of(storm.waited),
        events: Times::of(storm.events),
        offered: load.rate,
        steady: storm.taken,
        backlog,
        bytes_per_block: bytes.map(|bytes| bytes as f64 / held.max(1) as f64),
        bytes_of_roster: desk_bytes,
    }
}

/// Makes something, and says how much this process grows by one more of it. The first ones fill what was freed before,
/// so there are more until two in turn are as large; none if that never comes.
fn grown<T>(mut make: impl FnMut() -> T) -> (T, Option<u64>) {
    const MOST: usize = 32;
    let first = make();
    let mut more = Vec::new();
    let (mut before, mut last) = (resident(), 0);
    while more.len() < MOST && before.is_some() {
        more.push(std::hint::black_box(make()));
        let after = resident();
        let growth = after.zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
        if growth > 0 && growth.abs_diff(last) <= growth / 10 {
            return (first, Some(growth));
        }
        (before, last) = (after, growth);
    }
    (first, None)
}

/// Memory of this process.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests;
