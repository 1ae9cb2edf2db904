//! What a front door may ask of the coordinator, whether it speaks HTTP or QUIC.
//!
//! A door authenticates, asks and passes the answer on. Everything behind it (pipeline, job actors,
//! nodes) is behind this trait, so a door is tested with a scripted service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::account::KeySettings;
use protocol::answer::{Answer, ClusterStatus, ErrorKind, JobError};
use protocol::escrow::{EscrowAnswer, EscrowTell};
use protocol::manage::{Manage, Managed};
use protocol::message::OrderAction;
use protocol::request::Request;
use protocol::units::Tokens;
use tokio::sync::mpsc;

/// The coordinator, as its front doors see it.
pub trait Service: Send + Sync + 'static {
    /// Whose key this is.
    ///
    /// # Errors
    /// [`protocol::answer::ErrorKind::Unauthorized`] for a key that is not known.
    fn authenticate(&self, key: &str) -> Result<Caller, JobError>;

    /// Takes a request in. It returns at once; what can only be found later (a prompt too long, no
    /// node) comes as [`Answer::Failed`], before anything else was answered. To drop the stream is
    /// to cancel the request, down to the engine.
    ///
    /// # Errors
    /// What can be seen from the request alone, or that the coordinator is full.
    fn ask(&self, caller: &Caller, request: Request) -> Result<AnswerStream, JobError>;

    /// The models that some node serves, or has served since the start, by name; of these, what the caller may ask for.
    fn models(&self, caller: &Caller) -> Vec<ModelInfo>;

    /// Nodes and load.
    fn status(&self) -> ClusterStatus;

    /// Passes an operator's wish on to a node, by its name or id; says what happens now.
    ///
    /// # Errors
    /// There is no such node, or it does not listen.
    fn order(&self, node: &str, action: OrderAction) -> Result<String, JobError>;

    /// Whether at least one node serves.
    fn is_ready(&self) -> bool;

    /// The rung of degradation on which requests for a model are served, 0 for none.
    fn level(&self, _model: &str) -> u8 {
        0
    }

    /// Does what an operator wants of keys, budgets and usage. A door asks only for callers with `admin`, and only
    /// with settings that have no faults.
    ///
    /// # Errors
    /// There is no such thing, or it cannot be kept, or another coordinator keeps it and cannot be reached.
    fn manage(&self, _caller: &Caller, _manage: Manage) -> BoxFuture<'static, Result<Managed, JobError>> {
        let message = "keys, budgets and usage are not kept here: ask the coordinator that holds the store";
        Box::pin(std::future::ready(Err(JobError::new(ErrorKind::Invalid, message))))
    }

    /// Hears what another coordinator has spent of shared budgets. A door asks only for callers with `admin`.
    ///
    /// # Errors
    /// There are no budgets here, or nothing can be recorded.
    fn sync(&self, _tell: EscrowTell) -> BoxFuture<'static, Result<EscrowAnswer, JobError>> {
        let message = "budgets are not kept here: ask the coordinator that holds the store";
        Box::pin(std::future::ready(Err(JobError::new(ErrorKind::Invalid, message))))
    }

    /// How much the caller may still ask for at this moment, where its key has limits.
    fn rates(&self, _caller: &Caller) -> RateState {
        RateState::default()
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's public id, fit for logs.
    pub key: String,
    /// Keeps cached prefixes of different tenants apart.
    pub salt: [u8; 16],
    /// It may manage keys, budgets and nodes.
    pub admin: bool,
    /// What its key may do, for the service: doors do not look into it.
    pub settings: Arc<KeySettings>,
}

impl Caller {
    /// The caller, if it may do what only operators may.
    ///
    /// # Errors
    /// It may not; `what` it wanted is named.
    pub fn operator(&self, what: &str) -> Result<&Self, JobError> {
        if self.admin {
            return Ok(self);
        }
        let message = format!("the key {} may not {what}: use one that was made with admin", self.key);
        Err(JobError::new(ErrorKind::Forbidden, message))
    }
}

/// How much of a key's limits is left. What is left out has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// Requests a minute.
    pub requests: Option<Rate>,
    /// Tokens a minute.
    pub tokens: Option<Rate>,
}

/// How much of one limit is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// The most in a minute.
    pub limit: u64,
    /// What may be asked for now.
    pub remaining: u64,
    /// Until all of it is free again, if nothing is asked for.
    pub reset: Duration,
}

/// A model that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// The longest prompt and answer together.
    pub context: Tokens,
}

/// Hears every piece that goes to a client.
pub type Tap = Box<dyn FnMut(&Answer) + Send + Sync>;

/// The pieces of one answer, in the order that [`protocol::answer`] promises.
pub struct AnswerStream {
    pieces: mpsc::Receiver<Answer>,
    tap: Option<Tap>,
}

impl AnswerStream {
    /// The receiving end of a bounded channel; the sender sees when it is dropped.
    pub fn new(pieces: mpsc::Receiver<Answer>) -> Self {
        Self { pieces, tap: None }
    }

    /// Likewise, and the tap hears every piece that is taken out.
    pub fn tapped(pieces: mpsc::Receiver<Answer>, tap: Tap) -> Self {
        Self { pieces, tap: Some(tap) }
    }

    /// The next piece, or none after the last.
    pub async fn next(&mut self) -> Option<Answer> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next piece as a poll, for streams made of it.
    pub fn poll_next(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Answer>> {
        let piece = self.pieces.poll_recv(context);
        if let (std::task::Poll::Ready(Some(piece)), Some(tap)) = (&piece, &mut self.tap) {
            tap(piece);
        }
        piece
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream").finish_non_exhaustive()
    }
}
