//! The run of a trace: requests come, coordinators decide by what they have heard, nodes compute, and all of it takes
//! virtual time.
//!
//! Rules:
//! - Every coordinator has its own index, its own roster and its own queue, as in its process; it hears reports and
//!   cache events [`Setup::delay`] after they were made, and of its own jobs [`Setup::wire`] after the node spoke.
//! - The node grants or refuses, by its engine. Whoever is refused asks the next; whom all refuse waits in the
//!   coordinator's queue, as long as it may.
//! - A coordinator that is lost takes its view with it. Its requests begin anew at another one after
//!   [`Setup::notice`], as their clients see it; the time until then is theirs. When it comes back it knows nothing.
//! - Whoever finds no coordinator at all tries again as often, for as long as it may wait, and is then refused.
//! - Every request ends exactly once; a run in which one does not is an error.
//! - Events of the same moment happen in the order in which they were planned.

use std::time::Duration;

use protocol::config::{Breaker, Placement, Queue};
use protocol::units::{Nanos, Tokens};

use crate::profile::Profile;
use crate::results::Results;
use crate::rules::Rule;
use crate::trace::Trace;

mod coordinator;
mod node;
mod schedule;
mod world;

pub(crate) use coordinator::View;
pub(crate) use node::Node;

/// Nodes of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// How fast and how large each is.
    pub profile: Profile,
    /// How many.
    pub count: u32,
}

/// What happens in the middle of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A coordinator is lost.
    Lose(u32),
    /// It comes back, and knows nothing.
    Restart(u32),
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The nodes.
    pub kinds: Vec<Kind>,
    /// Coordinators; requests go to them in turn.
    pub coordinators: u32,
    /// By what rule nodes are chosen.
    pub rule: Rule,
    /// How it is set, where it is the cluster's own.
    pub placement: Placement,
    /// Tokens in a block of the nodes. None: that of the trace, or that of the first kind if the trace names no blocks.
    pub block: Option<Tokens>,
    /// How often nodes report.
    pub report_every: Duration,
    /// How late reports and cache events reach a coordinator.
    pub delay: Duration,
    /// One way of a job and of what is said of it.
    pub wire: Duration,
    /// What may wait at a coordinator; how long is [`Setup::patience`].
    pub queue: Queue,
    /// When a coordinator leaves a node alone.
    pub breaker: Breaker,
    /// How long a request may wait for a node.
    pub patience: Duration,
    /// After how long of silence clients and nodes take a coordinator for lost.
    pub notice: Duration,
    /// The longest that passes before a node's next packet reaches a coordinator that is back.
    pub redial: Duration,
    /// Bytes a second of a node's way to a coordinator, for the snapshot of its cache.
    pub bandwidth: u64,
    /// What happens, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// Decides all that is left to chance.
    pub seed: u64,
}

impl Setup {
    /// So many nodes of a kind and one coordinator that hears at once what is said, with the defaults of
    /// `cluster.toml`.
    pub fn new(profile: Profile, count: u32, rule: Rule) -> Self {
        let config = protocol::config::Config::default();
        Self {
            kinds: vec![Kind { profile, count }],
            coordinators: 1,
            rule,
            placement: config.placement,
            block: None,
            report_every: config.health.report_every.0,
            delay: Duration::from_millis(1),
            wire: Duration::from_micros(250),
            patience: config.queue.patience.0,
            queue: config.queue,
            breaker: config.breaker,
            notice: config.wire.idle_timeout.0,
            redial: config.wire.redial.0.max(REPEATED),
            bandwidth: 125_000_000,
            faults: Vec::new(),
            seed: 1,
        }
    }

    /// Nodes of all kinds.
    pub fn nodes(&self) -> u32 {
        self.kinds.iter().fold(0, |sum, kind| sum.saturating_add(kind.count))
    }

    /// What all nodes cost in an hour.
    pub fn hour(&self) -> Nanos {
        let each = self.kinds.iter().map(|kind| kind.profile.hour.0.saturating_mul(kind.count.into()));
        Nanos(each.fold(0, u64::saturating_add))
    }

    fn block(&self, trace: &Trace) -> Tokens {
        let named = trace.requests.iter().any(|request| !request.blocks.is_empty());
        let own = self.kinds.first().map_or(trace.block, |kind| kind.profile.block);
        self.block.unwrap_or(if named { trace.block } else { own })
    }

    fn check(&self) -> Result<(), SetupError> {
        let (nodes, coordinators) = (self.nodes(), self.coordinators);
        if nodes == 0 || nodes > MOST_NODES {
            return Err(SetupError::Nodes { nodes });
        }
        if coordinators == 0 || coordinators > MOST_COORDINATORS {
            return Err(SetupError::Coordinators { coordinators });
        }
        if self.report_every < LEAST_REPORT {
            return Err(SetupError::Reports { every: self.report_every });
        }
        if let Some(block) = self.block.filter(|block| block.0 == 0 || block.0 > 65_536) {
            return Err(SetupError::Block { block });
        }
        let of = |fault: &Fault| match fault {
            Fault::Lose(coordinator) | Fault::Restart(coordinator) => *coordinator,
        };
        match self.faults.iter().map(|(_, fault)| of(fault)).find(|coordinator| *coordinator >= coordinators) {
            Some(coordinator) => Err(SetupError::Stranger { coordinator, coordinators }),
            None => Ok(()),
        }
    }
}

/// The longest time between two packets of a node's try to connect (`transport::quic`), which lasts a second.
const REPEATED: Duration = Duration::from_millis(600);
/// More would take more memory than most machines have.
const MOST_NODES: u32 = 20_000;
const MOST_COORDINATORS: u32 = 64;
const LEAST_REPORT: Duration = Duration::from_millis(1);

/// Why a setup cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// None, or too many.
    #[error("{nodes} nodes: there must be between 1 and {MOST_NODES}")]
    Nodes {
        /// How many.
        nodes: u32,
    },
    /// None, or too many.
    #[error("{coordinators} coordinators: there must be between 1 and {MOST_COORDINATORS}")]
    Coordinators {
        /// How many.
        coordinators: u32,
    },
    /// Reports would be all that happens.
    #[error("a report every {every:?}: it must be at least {LEAST_REPORT:?}")]
    Reports {
        /// How often.
        every: Duration,
    },
    /// No such blocks.
    #[error("blocks of {block}: they must have between 1 and 65536 tokens")]
    Block {
        /// Its size.
        block: Tokens,
    },
    /// A fault of a coordinator that is not there.
    #[error("coordinator {coordinator} is to be lost or to come back, and there are {coordinators}, counted from 0")]
    Stranger {
        /// Which.
        coordinator: u32,
        /// How many there are.
        coordinators: u32,
    },
    /// The simulated engine broke its rules: a fault of the simulation.
    #[error("a simulated engine failed: {0}")]
    Engine(String),
    /// It was told to.
    #[error("the replay was stopped at {at:?} of virtual time: {ended} of {all} requests had ended")]
    Stopped {
        /// How far it was.
        at: Duration,
        /// Requests that had ended.
        ended: usize,
        /// Of how many.
        all: usize,
    },
    /// A request ended a second time: a fault of the simulation.
    #[error("request {request} ended a second time, at {at:?}: the simulation is wrong")]
    Twice {
        /// Which, counted from 1.
        request: usize,
        /// When.
        at: Duration,
    },
    /// Nothing is left to happen, and requests have not ended: a fault of the simulation.
    #[error("{count} requests never end, the first of them request {request}: the simulation is wrong")]
    Endless {
        /// The first, counted from 1.
        request: usize,
        /// How many.
        count: usize,
    },
}

/// Runs a trace to its end.
///
/// # Errors
/// The setup cannot be.
pub fn simulate(setup: &Setup, trace: &Trace) -> Result<Results, SetupError> {
    simulate_while(setup, trace, &|| true)
}

/// Runs a trace to its end, for as long as `goes_on` says so; it is asked every few milliseconds. It cannot change what
/// comes of a run, only whether anything does.
///
/// # Errors
/// The setup cannot be, or the run was stopped.
pub fn simulate_while(setup: &Setup, trace: &Trace, goes_on: &dyn Fn() -> bool) -> Result<Results, SetupError> {
    setup.check()?;
    world::World::new(setup, trace).run(goes_on)
}

#[cfg(test)]
mod tests;
