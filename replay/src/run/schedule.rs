//! What happens when: events in the order of their times, and of their planning.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use protocol::cache::CacheBatch;
use protocol::message::WorkerReport;
use protocol::units::Tokens;

use super::Fault;

/// What a coordinator hears of a node.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is there.
    Joined,
    Report(WorkerReport),
    Batch(CacheBatch),
}

/// What a coordinator hears of a job.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said {
    Granted,
    Refused,
    /// Its first token.
    First,
    /// Its last.
    Done,
}

/// A try of a request at a node, by a coordinator in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) request: usize,
    pub(super) attempt: u32,
    pub(super) coordinator: usize,
    pub(super) life: u32,
}

#[derive(Debug)]
pub(super) enum What {
    /// A request comes, or comes again.
    Arrives {
        request: usize,
        /// From when on its client looks for a coordinator.
        since: Duration,
    },
    /// A job reaches a node.
    Submits(Try, usize),
    /// A node's step ends.
    Steps(usize),
    /// A node reports.
    Reports(usize),
    /// Somebody's patience ends in a coordinator's queue.
    Expires {
        coordinator: usize,
        life: u32,
    },
    Hears {
        coordinator: usize,
        life: u32,
        node: usize,
        heard: Heard,
    },
    Says(Try, Said),
    Happens(Fault),
    /// A node connects to a coordinator that is back.
    Dials {
        coordinator: usize,
        life: u32,
        node: usize,
    },
    /// A node stops what it does for a coordinator that is lost.
    Forgets {
        coordinator: usize,
        life: u32,
    },
}

#[derive(Debug)]
struct Planned {
    at: Duration,
    number: u64,
    what: What,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    /// The earliest is the greatest: the heap gives it first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// All that is planned.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Planned>,
    planned: u64,
}

impl Schedule {
    pub(super) fn plan(&mut self, at: Duration, what: What) {
        self.heap.push(Planned { at, number: self.planned, what });
        self.planned += 1;
    }

    pub(super) fn next(&mut self) -> Option<(Duration, What)> {
        self.heap.pop().map(|planned| (planned.at, planned.what))
    }
}

/// A key of the cache on the wire, and its part of a frame.
const KEY: u64 = 10;

/// How long it takes to send so many blocks' keys.
pub(super) fn snapshot(blocks: u64, bandwidth: u64) -> Duration {
    Duration::from_secs_f64((blocks * KEY) as f64 / bandwidth.max(1) as f64)
}

/// Tokens in whole blocks.
pub(super) fn whole(tokens: Tokens, block: Tokens) -> Tokens {
    Tokens(tokens.0 / block.0.max(1) * block.0)
}
