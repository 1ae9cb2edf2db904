//! One request from its prompt to its end: all its choices, each with its attempts.
//!
//! Rules: `policy::job` decides, this carries out. The client's channel is bounded and written in order; a
//! client that goes away ends everything at once. Whatever happens, the last piece says how it ended.

use std::sync::Arc;
use std::time::Duration;

use policy::job::Tries;
use policy::retry;
use protocol::account::Outcome;
use protocol::answer::{ErrorKind, JobError, Route, Usage};
use protocol::engine::BlockHash;
use protocol::ids::{RequestId, TokenId};
use protocol::job::{Class, Limits, Sampling};
use protocol::units::Tokens;
use text::Text;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::directory::Directory;
use super::metrics::ClusterMetrics;
use super::recent::{End, Note, Recent};
use super::waiting::{Turn, Waiting};
use crate::cost::Bill;
use crate::cost::pace::Going;

mod answers;
mod choice;
mod run;

pub use answers::{Answers, Heard};

/// How requests are tried.
#[derive(Clone, Copy, Debug)]
pub struct JobSettings {
    /// How often.
    pub tries: Tries,
    /// How long a node may take to grant or refuse.
    pub grant_timeout: Duration,
    /// How long a request may take in all.
    pub timeout: Duration,
    /// How long a client may leave what was sent unread.
    pub client_stall: Duration,
}

impl From<&protocol::config::Requests> for JobSettings {
    fn from(requests: &protocol::config::Requests) -> Self {
        Self {
            tries: Tries { attempts: requests.attempts, migrations: requests.migrations },
            grant_timeout: requests.grant_timeout.0,
            timeout: requests.timeout.0,
            client_stall: requests.client_stall.0,
        }
    }
}

/// What may be tried again, over all requests.
#[derive(Debug)]
pub struct Retries {
    settings: retry::Settings,
    budget: Mutex<retry::Budget>,
}

impl Retries {
    /// A full budget.
    pub fn new(settings: retry::Settings) -> Self {
        Self { settings, budget: Mutex::new(retry::Budget::new(settings)) }
    }

    /// How long is waited between tries.
    pub fn settings(&self) -> retry::Settings {
        self.settings
    }

    /// Decides with what may still be tried again.
    pub async fn with<T>(&self, decide: impl FnOnce(&mut retry::Budget) -> T) -> T {
        decide(&mut *self.budget.lock().await)
    }
}

/// A request that is ready to run.
#[derive(Debug)]
pub struct Task {
    /// Its id.
    pub request: RequestId,
    /// The model's name.
    pub model: String,
    /// The hash of its words: nodes with others are not asked.
    pub words: [u8; 32],
    /// Its words.
    pub text: Arc<Text>,
    /// The prompt.
    pub prompt: Vec<TokenId>,
    /// How many answers; at least 1.
    pub choices: u32,
    /// How tokens are chosen; the seed is that of the first choice.
    pub sampling: Sampling,
    /// When an answer ends.
    pub limits: Limits,
    /// The client reads the answer as one: its tokens may come together.
    pub whole: bool,
    /// Texts that end an answer.
    pub stops: Vec<String>,
    /// Keeps tenants apart.
    pub salt: [u8; 16],
    /// Whose it is: the key's public name.
    pub tenant: String,
    /// The names of the prompt's full blocks, from the front.
    pub chain: Arc<[BlockHash]>,
    /// Tokens in a block.
    pub block: Tokens,
    /// How urgent it is.
    pub class: Class,
    /// The conversation, if the client names it; of one tenant.
    pub session: Option<u64>,
    /// What overload has done to it so far.
    pub degraded: Vec<String>,
    /// When it came: all that it waits for room before its first token counts from there.
    pub arrived: Instant,
    /// It was refused before, and comes when it was told to.
    pub again: bool,
    /// Its turn, if it has waited already.
    pub turn: Option<Turn>,
    /// For placement among equals.
    pub random: u64,
    /// Why this model, where the cluster chose it.
    pub route: Option<Route>,
    /// The money that is set aside for it.
    pub bill: Option<Bill>,
    /// Its part of what its key may ask for.
    pub going: Option<Going>,
}

impl Task {
    /// What is remembered of it.
    fn note(&self) -> Note {
        Note {
            arrived: self.arrived,
            prompt: Tokens::of(self.prompt.len()),
            choices: self.choices,
            chain: Arc::clone(&self.chain),
            block: self.block,
            session: self.session,
        }
    }
}

/// What all requests share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Who is there.
    pub directory: Arc<Directory>,
    /// Where requests wait that no node takes now.
    pub waiting: Arc<Waiting>,
    /// What may be tried again.
    pub retries: Arc<Retries>,
    /// How requests are tried.
    pub settings: JobSettings,
    /// What is counted.
    pub metrics: ClusterMetrics,
    /// What was asked lately.
    pub recent: Arc<Recent>,
}

impl Shared {
    /// A request was turned away that no node was asked to take: it counts for how many nodes are needed.
    pub fn turned_away(&self, task: &Task) {
        self.recent.record(&task.model, &task.note(), End::default());
    }
}

/// Why a request is over before all its choices are complete.
enum Over {
    Failed(JobError),
    ClientGone,
    ClientStalled,
}

/// A request that no node has answered: others may.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub error: JobError,
    /// The way back, on which nothing was said.
    pub answers: Answers,
}

/// Runs a request to its end, where nobody else could answer it.
pub async fn run_alone(task: Task, answers: Answers, shared: Shared) {
    if let Err(unanswered) = run(task, answers, shared).await {
        unanswered.answers.fail(unanswered.error);
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a whole answer.
    Done(Usage),
    /// It failed, and the client has heard so. What it used until then is billed.
    Failed(Usage),
    /// The client left.
    Left,
}

/// Whether more nodes could have helped with a request that ended so.
fn wanted(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Busy | ErrorKind::Overloaded | ErrorKind::NoNode | ErrorKind::Timeout)
}

/// Runs a request to its end. What it has used is billed, however it ends.
///
/// # Errors
/// It failed before anything was said; then nothing is billed.
pub async fn run(mut task: Task, mut answers: Answers, shared: Shared) -> Result<Ended, Box<Unanswered>> {
    let (bill, going) = (task.bill.take(), task.going.take());
    let (model, note) = (task.model.clone(), task.note());
    let run::Ran { outcome, mut usage, begun, first, bill } = run::answer(task, bill, &mut answers, &shared).await;
    if begun || matches!(&outcome, Err(Over::Failed(error)) if wanted(error.kind)) {
        shared.recent.record(&model, &note, End { answer: begun.then_some(usage.completion), first });
    }
    if let Some(going) = going {
        going.settle(usage.prompt + usage.completion);
    }
    let ended = match &outcome {
        Ok(()) => Outcome::Done,
        Err(Over::Failed(_)) => Outcome::Failed,
        Err(Over::ClientGone | Over::ClientStalled) => Outcome::Cancelled,
    };
    match (outcome, bill) {
        (Err(Over::Failed(error)), bill) if !begun => {
            if let Some(bill) = bill {
                bill.give_back().await;
            }
            return Err(Box::new(Unanswered { error, answers }));
        }
        (outcome, bill) => {
            if let Some(bill) = bill {
                usage.cost = bill.settle(&usage, ended).await;
            }
            match outcome {
                Ok(()) => {
                    answers.done(usage);
                    return Ok(Ended::Done(usage));
                }
                Err(Over::Failed(error)) => {
                    answers.fail(error);
                    return Ok(Ended::Failed(usage));
                }
                Err(Over::ClientGone) => answers.gone(),
                Err(Over::ClientStalled) => answers.stalled(),
            }
        }
    }
    Ok(Ended::Left)
}
