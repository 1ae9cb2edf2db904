//! A request at a coordinator: what must outlive the node that serves it.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::job::Attempts;
use policy::ledger::ReservationId;
use policy::placement::roster::Key;
use protocol::account::Subject;
use protocol::engine::BlockHash;
use protocol::ids::{JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Class, Job};
use protocol::units::{Nanos, Tokens};

use crate::chaos::client::End;
use crate::chaos::plan::{BLOCK, KEYS, PRICE, Work};

/// How far a request is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// It waits for a larger slice of a budget.
    Paying,
    /// It waits for its reservation to be on disk.
    Journaling,
    /// It runs.
    Running,
    /// What it cost is on its way to the disk.
    Settling,
}

/// An attempt on a node.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where it stands in the roster.
    pub key: Key,
    /// By which connection.
    pub conn: u64,
    /// The names of its blocks.
    pub chain: Vec<BlockHash>,
    /// The node has taken it.
    pub taken: bool,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Its name.
    pub ask: u64,
    /// Prompt, sampling, limits.
    pub job: Job,
    /// How urgent it is.
    pub class: Class,
    /// Whose it is.
    pub subject: Subject,
    /// It was told to come.
    pub again: bool,
    /// The client reads it as a whole.
    pub whole: bool,
    /// A text ends it after so many tokens.
    pub enough: Option<usize>,
    /// What is set aside.
    pub reserved: Nanos,
    /// Whether that is to be in the journal.
    pub journaled: bool,
    /// The money is in the books.
    pub billed: bool,
    /// How far it is.
    pub stage: Stage,
    /// Its decisions, once it runs.
    pub attempts: Option<Attempts>,
    /// Attempts that are not dropped yet: one, if all is well.
    pub running: BTreeMap<u32, Way>,
    /// Where it goes next.
    pub placed: Option<(Key, Vec<BlockHash>)>,
    /// A node on trial.
    pub trial: Option<Key>,
    /// Every token so far.
    pub generated: Vec<TokenId>,
    /// The client has heard that it has begun.
    pub begun: bool,
    /// When it must be over.
    pub deadline: Duration,
    /// Since when it waits for room.
    pub waits: Option<Duration>,
    /// Its place among those that wait, while it has its turn.
    pub turn: Option<policy::queue::Id>,
    /// Its place there, while it waits.
    pub place: Option<policy::queue::Id>,
    /// What the client hears once all is on disk.
    pub end: Option<End>,
    /// The client is gone.
    pub gone: bool,
}

impl Request {
    /// A client asks, now.
    pub fn new(ask: u64, work: &Work, job: &Job, again: bool, now: Duration, timeout: Duration) -> Self {
        let job = Job { key: JobKey { request: RequestId(ask.into()), ..job.key }, ..job.clone() };
        let most = Tokens::of(job.prompt.len()) + job.limits.max_tokens;
        Self {
            ask,
            class: work.class,
            subject: Subject {
                key: format!("key-{}", work.key),
                team: (work.key < KEYS).then(|| super::TEAM.to_owned()),
                model: job.model.clone(),
                ..Subject::default()
            },
            again,
            whole: work.whole,
            enough: work.enough.map(|enough| enough as usize),
            reserved: Nanos(most.0 * PRICE.0),
            journaled: false,
            billed: false,
            stage: Stage::Paying,
            attempts: None,
            running: BTreeMap::new(),
            placed: None,
            trial: None,
            generated: Vec::new(),
            begun: false,
            deadline: now + timeout,
            waits: Some(now),
            turn: None,
            place: None,
            end: None,
            gone: false,
            job,
        }
    }

    /// The name of what is set aside.
    pub fn id(&self) -> ReservationId {
        ReservationId(self.ask.into())
    }

    /// What it has cost.
    pub fn cost(&self) -> Nanos {
        Nanos((self.job.prompt.len() + self.generated.len()) as u64 * PRICE.0)
    }

    /// The names of all full blocks of prompt and answer so far.
    pub fn chain(&self) -> Vec<BlockHash> {
        let all: Vec<TokenId> = self.job.prompt.iter().chain(&self.generated).copied().collect();
        BlockHash::chain(self.job.salt, &all, BLOCK as usize).collect()
    }

    /// What a node is handed.
    pub fn attempt(&self, attempt: u32) -> Job {
        Job { key: JobKey { attempt, ..self.job.key }, generated: self.generated.clone(), ..self.job.clone() }
    }

    /// Where its attempt is live, by its own decisions.
    pub fn live(&self) -> Option<NodeId> {
        self.attempts.as_ref().filter(|attempts| !attempts.ended())?.live().map(|(_, node)| node)
    }
}
