//! What came of a run: one record for each request, and what is made of all of them.

use std::time::Duration;

use protocol::units::{Nanos, Tokens};

mod summary;

pub use summary::{Spread, Summary};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended yet. No record of a run that is over says so.
    Pending,
    /// With its whole answer.
    Done,
    /// Nobody took it in time.
    Refused,
    /// It fits on no node: prompt and answer are longer than its context, or than its cache.
    TooLong,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it came.
    pub arrived: Duration,
    /// From then to its first token; none if there was none.
    pub first: Option<Duration>,
    /// From then to its end.
    pub took: Duration,
    /// Prompt tokens.
    pub input: Tokens,
    /// Tokens of the answer.
    pub output: Tokens,
    /// Prompt tokens that were believed to be cached where it went.
    pub predicted: Tokens,
    /// Prompt tokens that were.
    pub cached: Tokens,
    /// Where it ended, as a place among the nodes.
    pub node: Option<u32>,
    /// Nodes that were asked for it.
    pub asked: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// One node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worked {
    /// Time in which it computed.
    pub busy: Duration,
    /// Requests that it answered.
    pub requests: u64,
    /// Sequences that lost their blocks and were computed again.
    pub preempted: u64,
}

/// Decisions that were made without knowing all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blindness {
    /// Decisions in all.
    pub decisions: u64,
    /// Decisions of a coordinator that did not know the cache of every node that was up, or had no report of it.
    pub blind: u64,
    /// The longest time after a coordinator's start at which it still decided so.
    pub longest: Duration,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// In the order of the trace.
    pub records: Vec<Record>,
    /// In the order of the nodes.
    pub nodes: Vec<Worked>,
    /// From the first request to the last end.
    pub span: Duration,
    /// What all nodes cost in that time.
    pub cost: Nanos,
    /// Decisions that were made without knowing all nodes.
    pub blindness: Blindness,
    /// Operations on blocks that were told to coordinators, each counted once for each of them.
    pub operations: u64,
}
