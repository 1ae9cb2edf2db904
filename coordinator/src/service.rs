//! What a front door may ask of the coordinator, whether it speaks HTTP or QUIC.
//!
//! A door authenticates, asks and passes the answer on. Everything behind it (pipeline, job actors,
//! nodes) is behind this trait, so a door is tested with a scripted service.

use std::fmt;

use protocol::answer::{Answer, ClusterStatus, JobError};
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

    /// The models that some node serves, or has served since the start, by name.
    fn models(&self) -> Vec<ModelInfo>;

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
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's public name, fit for logs.
    pub key: String,
    /// Keeps cached prefixes of different tenants apart.
    pub salt: [u8; 16],
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
