//! What happens in a world, and what machines say to each other in it.

use policy::escrow::holder::At;
use protocol::cache::CacheBatch;
use protocol::escrow::{EscrowGrant, EscrowRefusal, EscrowSync};
use protocol::ids::{Incarnation, JobKey};
use protocol::message::{Begun, Failed, Finished, Granted, Refused, Report, Submit, TokenBatch};
use protocol::units::{Blocks, UnixMillis};
use std::time::Duration;

pub use super::plan::Machine;

/// A moment of a machine's own clock, as budgets know it.
pub fn at(now: Duration) -> At {
    // Some noon.
    At { now, wall: UnixMillis(1_764_331_200_000).after(now) }
}

/// What happens next.
#[derive(Clone, Debug)]
pub enum Due {
    /// A fault begins, by its place in the plan.
    Fault(usize),
    /// It ends.
    FaultEnds(usize),
    /// No fault happens any more.
    Calm,
    /// A client sends its request, for the first time or anew.
    Asks(usize),
    /// A client leaves.
    Leaves(usize),
    /// A client notices that the coordinator of this ask is gone.
    Notices(usize, u64),
    /// A packet arrives.
    Arrives(Box<Packet>),
    /// A timer of a machine, in this life of it.
    Timer(Machine, u64, Timer),
}

/// What a machine wants to be woken for.
#[derive(Clone, Copy, Debug)]
pub enum Timer {
    /// Coordinator: looks at nodes and at those that wait.
    Sweep,
    /// Coordinator: the wait before a retry is over.
    Slept(u64, u32),
    /// Coordinator: a node has had its time to grant.
    Grant(u64, u32),
    /// Coordinator: a request has had its time.
    Deadline(u64),
    /// Coordinator: a request has waited long enough for a larger slice.
    Patience(u64),
    /// Coordinator: what was gathered goes to the store.
    Flush,
    /// Coordinator: what the store could not take is tried again.
    Watch,
    /// Coordinator: there may be something to tell the one that has the budgets.
    Tell,
    /// Node: it reports, and looks at its connections.
    Report,
    /// Node: it dials a coordinator.
    Dial(usize),
    /// Node: its engine's step of this number is over.
    Step(u64),
    /// Node: what was gathered of a job goes out.
    Gather(JobKey),
}

/// What is said.
#[derive(Clone, Debug)]
pub enum Body {
    /// A node presents itself: which start of it, how many blocks and jobs it has.
    Hello(Incarnation, Blocks, u32),
    /// It is taken in.
    Welcome,
    /// The connection is over.
    Closed,
    /// How a node is.
    Report(Report),
    /// What a node's cache holds.
    Cache(CacheBatch),
    /// All of it is to be told anew.
    Resync,
    /// A job.
    Submit(Box<Submit>),
    /// It is not wanted any more.
    Cancel(JobKey),
    /// What became of a job.
    Said(JobKey, Said),
    /// A coordinator tells what was spent.
    Sync(EscrowSync),
    /// What it may spend.
    Grant(u64, Result<EscrowGrant, EscrowRefusal>),
}

/// What a node says of a job.
#[derive(Clone, Debug)]
pub enum Said {
    /// It takes it.
    Granted(Granted),
    /// It does not.
    Refused(Refused),
    /// Its prefill has begun.
    Begun(Begun),
    /// Tokens.
    Tokens(TokenBatch),
    /// Its end.
    Finished(Finished),
    /// Its end.
    Failed(Failed),
}

/// Which of a connection's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Hello, welcome.
    Control,
    /// What a cache holds.
    Events,
    /// An attempt.
    Attempt(JobKey),
}

/// Something on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// From.
    pub from: Machine,
    /// To.
    pub to: Machine,
    /// On this connection; 0 for none.
    pub conn: u64,
    /// What.
    pub body: Body,
}

impl Body {
    /// For the history.
    pub fn line(&self) -> String {
        match self {
            Self::Hello(incarnation, ..) => format!("hello {}", incarnation.0),
            Self::Welcome => "welcome".to_owned(),
            Self::Closed => "closed".to_owned(),
            Self::Report(report) => format!("report {}.{}", report.incarnation.0, report.sequence),
            Self::Cache(batch) => {
                let count: u64 = batch.changes.iter().map(protocol::cache::CacheChange::count).sum();
                format!("cache {}.{} of {count}", batch.epoch, batch.sequence)
            }
            Self::Resync => "resync".to_owned(),
            Self::Submit(submit) => format!("submit {:x}.{}", submit.job.key.request.0, submit.job.key.attempt),
            Self::Cancel(key) => format!("cancel {:x}.{}", key.request.0, key.attempt),
            Self::Said(key, said) => format!("{:x}.{} {}", key.request.0, key.attempt, said.line()),
            Self::Sync(sync) => format!("sync {}.{}, {} records", sync.incarnation.0, sync.serial, sync.records.len()),
            Self::Grant(serial, Ok(grant)) => format!("grant {serial}, {} booked", grant.applied),
            Self::Grant(serial, Err(refusal)) => format!("grant {serial}: {refusal}"),
        }
    }
}

impl Said {
    fn line(&self) -> String {
        match self {
            Self::Granted(granted) => format!("granted, {} cached", granted.cached.0),
            Self::Refused(refused) => format!("refused: {}", refused.reason),
            Self::Begun(begun) => format!("begun, {} cached", begun.cached.0),
            Self::Tokens(batch) => format!("{} tokens from {}", batch.tokens.len(), batch.first.0),
            Self::Finished(finished) => format!("finished after {}: {:?}", finished.usage.generated.0, finished.finish),
            Self::Failed(failed) => format!("failed: {}", failed.error),
        }
    }

    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Finished(_) | Self::Failed(_))
    }
}
