//! The messages, stream by stream. [`crate::frame`] gives each its number and its limit.
//!
//! | stream | who opens it | what is said |
//! |---|---|---|
//! | control | node | `Hello`, then `Welcome` or `Refusal`; the node's `Report`s; `Serving`, `Tree`, `Drain`, `Goodbye`; the other way `Order`s |
//! | attempt | coordinator | `Submit`, then `Granted` or `Refused`; `Started`, `Tokens`…, and `Finished` or `Failed` |
//! | events | node | [`crate::cache::CacheBatch`]es; the other way [`crate::cache::CacheResync`] |
//! | text | coordinator | `FetchText`, then `TextChunk`… |
//! | join | joining node | `Join`, then `Joined` or `JoinRefused` |
//! | client hello | client, first | `ClientHello`, then `ClientWelcome` or `Failed`-style refusal |
//! | ask | client | `Ask`, then `Answered`…; `AskStatus`, then `Status`; `OrderNode`, then `Ordered`; `AskManage`, then `AnswerManage`; or [`crate::escrow::EscrowTell`], then [`crate::escrow::EscrowAnswer`] |
//!
//! To cancel an attempt or an ask is to reset its stream.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::{Answer, ClusterStatus, JobError};
use crate::engine::{Card, JobFault, Load, RefusalReason};
use crate::ids::{ClusterId, Incarnation, NodeId};
use crate::job::{Finish, Job, JobUsage, Sampled};
use crate::request::Request;
use crate::units::{Blocks, Tokens};
use crate::version::{Version, VersionMismatch, Versions};

/// A node presents itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it speaks.
    pub versions: Versions,
    /// Who it is; its certificate must say the same.
    pub node: NodeId,
    /// How people call it.
    pub name: String,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// Its build's version.
    pub build: String,
    /// What it serves.
    pub cards: Vec<Card>,
    /// How it names cached blocks: [`crate::engine::HASHING`] of its build.
    pub hashing: u16,
    /// Which part of a job it is for.
    pub role: Role,
    /// Where other nodes reach it to fetch cached blocks, `HOST:PORT`; none if it lets nobody.
    pub peer: Option<String>,
}

/// Which part of a job a node is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All of it.
    #[default]
    Any,
    /// It computes prompts, whose blocks others fetch.
    Prefill,
    /// It goes on with prompts that others have computed.
    Decode,
}

/// A coordinator takes a node in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version to speak.
    pub version: Version,
    /// The cluster.
    pub cluster: ClusterId,
    /// How often to report.
    pub report_every: Duration,
}

/// A coordinator does not take a node in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No common version.
    #[error(transparent)]
    Version(VersionMismatch),
    /// The certificate says somebody else.
    #[error(
        "the certificate is of node {certified}, the hello of node {claimed}: join again with a fresh state folder"
    )]
    Identity {
        /// By the certificate.
        certified: NodeId,
        /// By the hello.
        claimed: NodeId,
    },
    /// A newer start of the same node is connected.
    #[error("a newer start of this node is connected ({newer:?}): stop one of the two")]
    Superseded {
        /// The newer one.
        newer: Incarnation,
    },
    /// There is no room.
    #[error("this coordinator has {limit} nodes already: raise coordinator.max_nodes")]
    Full {
        /// The bound.
        limit: u32,
    },
    /// It names cached blocks in another way.
    #[error("this node names cached blocks by scheme {theirs}, this cluster by {ours}: update the older of the two")]
    Hashing {
        /// Of the cluster.
        ours: u16,
        /// Of the node.
        theirs: u16,
    },
    /// Its blocks have another size than those of the nodes that serve the model already.
    #[error(
        "the blocks of '{model}' hold {theirs} on this node and {ours} on the others: set models.{model}.block alike"
    )]
    BlockSize {
        /// The model.
        model: String,
        /// Of the others.
        ours: Tokens,
        /// Of the node.
        theirs: Tokens,
    },
    /// The first message was not a hello, or came too late.
    #[error("expected a hello: {0}")]
    Unexpected(String),
}

/// How a node is, every `report_every`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The newest pair of incarnation and sequence wins.
    pub incarnation: Incarnation,
    /// Grows by one with each report.
    pub sequence: u64,
    /// One per card, in the hello's order.
    pub workers: Vec<WorkerReport>,
    /// It takes no new jobs.
    pub draining: bool,
}

/// How one worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Whether it takes jobs: false while it starts or restarts.
    pub ready: bool,
    /// What it carries.
    pub load: Load,
    /// Age of the oldest job that waits.
    pub oldest: Duration,
    /// Since its engine's last step that did work.
    pub still: Duration,
    /// How fast it was lately.
    pub rates: Rates,
}

/// How fast an engine is, as measured. Zero: not measured yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Prompt tokens computed in a second.
    pub prefill: u32,
    /// A step in which some sequence decodes, whatever their number.
    pub step: Duration,
    /// What each sequence adds to it.
    pub sequence: Duration,
}

/// A job for a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submit {
    /// The job.
    pub job: Job,
    /// What is left of its time: past it, and before its prefill has begun, nobody wants it any more. A
    /// span, not a time of day: clocks need not agree.
    pub deadline: Option<Duration>,
    /// Cached blocks that are worth fetching first.
    pub pull: Option<Pull>,
    /// The least time between two pieces of tokens: those that come sooner are gathered.
    pub gather: Option<Duration>,
}

impl From<Job> for Submit {
    /// Without a deadline or a hint.
    fn from(job: Job) -> Self {
        Self { job, deadline: None, pull: None, gather: None }
    }
}

/// Where a prefix is cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Who has it.
    pub node: NodeId,
    /// Where that node is reached by others, `HOST:PORT`.
    pub address: String,
    /// How many blocks of the prompt, from the front, it is believed to have.
    pub blocks: Blocks,
}

/// A node will not take jobs any more, and says why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// For the log.
    pub reason: String,
}

/// A job was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Prompt tokens that are cached.
    pub cached: Tokens,
    /// Prefill tokens that are due before it.
    pub queue: Tokens,
}

/// A job was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub reason: RefusalReason,
    /// When it may be worth asking again.
    pub retry_after: Option<Duration>,
    /// What the node carries now.
    pub load: Load,
}

/// A job's prefill has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Prompt tokens that came from the cache.
    pub cached: Tokens,
}

/// Tokens of an answer, in order: all that came since the last batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenBatch {
    /// Position of the first in the answer: a gap or an overlap is a fault.
    pub first: Tokens,
    /// The tokens.
    pub tokens: Vec<Sampled>,
}

/// An attempt has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Why.
    pub finish: Finish,
    /// What it used.
    pub usage: JobUsage,
}

/// An attempt has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub error: JobFault,
}

/// Asks a node for the tokenizer and chat template of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchText {
    /// By the hash in its card.
    pub hash: [u8; 32],
}

/// A part of a text bundle; the stream's end is the bundle's. None at all: there is no such bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChunk {
    /// Bytes, in order.
    pub bytes: Vec<u8>,
    /// Nothing follows.
    pub last: bool,
}

/// A node that has a join token asks for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What it speaks.
    pub versions: Versions,
    /// The secret half of the token.
    pub secret: Vec<u8>,
    /// Who it wants to be.
    pub node: NodeId,
    /// Certificate signing request, DER.
    pub request: Vec<u8>,
}

/// A certificate for a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's certificate, DER.
    pub certificate: Vec<u8>,
    /// The cluster's CA, DER.
    pub authority: Vec<u8>,
}

/// No certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefused {
    /// No common version.
    #[error(transparent)]
    Version(VersionMismatch),
    /// The secret is not this cluster's.
    #[error("the join token is not of this cluster: take a fresh one from the coordinator's state folder")]
    WrongToken,
    /// The signing request cannot be used.
    #[error("the certificate request is not usable: {0}")]
    BadRequest(String),
}

/// A client presents its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// What it speaks.
    pub versions: Versions,
    /// Its API key.
    pub key: String,
    /// The program and its version, for the log.
    pub agent: String,
}

impl std::fmt::Debug for ClientHello {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientHello")
            .field("versions", &self.versions)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// A client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientWelcome {
    /// The version to speak.
    pub version: Version,
    /// The cluster.
    pub cluster: ClusterId,
}

/// A client may not ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ClientRefused {
    /// No common version.
    #[error(transparent)]
    Version(VersionMismatch),
    /// Wrong key, or none.
    #[error(transparent)]
    Denied(JobError),
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// What to answer.
    pub request: Request,
}

/// A piece of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The piece.
    pub answer: Answer,
}

/// A client wants to see the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskStatus {}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// As the coordinator sees it.
    pub status: ClusterStatus,
}

/// A node finishes what it has and takes nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {}

/// What an operator wants of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderAction {
    /// Take nothing new. What still runs after the limit goes on elsewhere.
    Drain {
        /// How long running answers may go on.
        limit: Duration,
    },
    /// Take work again.
    Resume,
    /// Load a model of its settings.
    Load {
        /// Its name.
        model: String,
    },
    /// Let go of a model. What still runs after the limit goes on elsewhere.
    Unload {
        /// Its name.
        model: String,
        /// How long running answers may go on.
        limit: Duration,
    },
}

/// A coordinator passes an operator's wish on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What to do.
    pub action: OrderAction,
}

/// An operator wants something of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderNode {
    /// Its name, or its id.
    pub node: String,
    /// What to do.
    pub action: OrderAction,
}

/// Whether an operator's wish was passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// What happens now, or why nothing does.
    pub outcome: Result<String, JobError>,
}
