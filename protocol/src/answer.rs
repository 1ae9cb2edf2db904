//! What a client gets back, the same over HTTP and over QUIC.
//!
//! Order: one `Started`, then deltas of all choices as they come, one `Finished` per choice, one
//! `Done`. A `Failed` may come at any point and is the last.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{RequestId, TokenId};
use crate::serving::ModelPlace;
use crate::tree::TreeLine;
use crate::units::{Blocks, Nanos, Tokens};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// A node has taken the request.
    Started(Started),
    /// Text of one choice.
    Delta(Delta),
    /// One choice is complete.
    Finished {
        /// Which, from 0.
        choice: u32,
        /// Why it ended.
        reason: FinishReason,
    },
    /// All choices are complete.
    Done {
        /// What they used together.
        usage: Usage,
    },
    /// It will not be completed.
    Failed(JobError),
}

/// A node has taken the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The request's id.
    pub request: RequestId,
    /// The model that answers.
    pub model: String,
    /// The name of the node that took the first choice.
    pub node: String,
    /// The prompt's tokens.
    pub prompt: Tokens,
    /// Of these, cached on the node when their prefill began.
    pub cached: Tokens,
    /// What the coordinator's index believed to be cached when it chose the node.
    pub predicted: Tokens,
    /// What the node said when it took the request.
    pub granted: Tokens,
    /// What overload has done to the request, as `2:max_tokens=256`: rung, colon, effect.
    pub degraded: Vec<String>,
    /// It comes from the answer cache; no node has computed it.
    pub replayed: bool,
    /// The provider that answers, if no node of the cluster's own does.
    pub provider: Option<String>,
    /// Why this model, where the cluster chose it.
    pub route: Option<Route>,
}

/// Why a model was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What was asked for, as `auto:balanced`.
    pub asked: String,
    /// The tier that was chosen.
    pub tier: String,
    /// How hard the request seems, in thousandths.
    pub score: u16,
    /// What else decided, as `sticky`, `budget`, `fallback:rate_limit`, `cascade`.
    pub because: Vec<String>,
}

/// Text of one choice: whole characters, cut before any stop text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// Which choice.
    pub choice: u32,
    /// The text.
    pub text: String,
    /// Log-probabilities of the tokens that became text since the last delta, where asked for.
    pub logprobs: Vec<TokenText>,
    /// Pieces of calls, where functions were offered.
    pub calls: Vec<CallDelta>,
}

/// A piece of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDelta {
    /// Which call of the choice.
    pub index: u32,
    /// Its id, with its first piece.
    pub id: Option<String>,
    /// The function, with its first piece.
    pub name: Option<String>,
    /// More of the arguments, JSON text.
    pub arguments: String,
}

/// A token with its log-probability, as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenText {
    /// Its id.
    pub token: TokenId,
    /// Its bytes, which need not be whole characters.
    pub bytes: Vec<u8>,
    /// Its natural log-probability.
    pub logprob: f32,
    /// The best alternatives: id, bytes, log-probability.
    pub top: Vec<(TokenId, Vec<u8>, f32)>,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinishReason {
    /// The model ended it, or a stop text or token did.
    Stop,
    /// `max_tokens` or the end of the context was reached.
    Length,
    /// The model calls functions.
    ToolCalls,
    /// A provider's filter cut it.
    ContentFilter,
}

impl FinishReason {
    /// OpenAI's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// What a request used, over all its choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, counted once.
    pub prompt: Tokens,
    /// Of these, found in a prefix cache by the first choice.
    pub cached: Tokens,
    /// Tokens of all answers.
    pub completion: Tokens,
    /// What it costs.
    pub cost: Nanos,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// What sort of failure; it decides the HTTP status.
    pub kind: ErrorKind,
    /// For a person: what is wrong and what to do.
    pub message: String,
    /// The field that is wrong, by OpenAI's name.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl JobError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, retry_after: None }
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

/// Sorts of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request is wrong: 400.
    Invalid,
    /// Prompt and answer do not fit the model's context: 400.
    ContextLength,
    /// No key, or none that is known: 401.
    Unauthorized,
    /// The model is not in the cluster: 404.
    UnknownModel,
    /// The coordinator is full or stops: 429 where the client is to blame, else 503.
    Overloaded,
    /// No node serves the model now: 503.
    NoNode,
    /// The node was lost in the middle of the answer: 502.
    NodeLost,
    /// It took too long: 504.
    Timeout,
    /// A fault of the cluster's own: 500.
    Internal,
    /// More is asked for than the cluster can do, and it was not this request's turn in time: 429. Its place is
    /// kept for when it is told to come again.
    Busy,
    /// The key's own limit of requests or tokens is reached: 429.
    RateLimited,
    /// A budget is spent: 429.
    OverBudget,
    /// The key may not do this: 403.
    Forbidden,
    /// A provider's rules forbid the content: 400.
    ContentPolicy,
    /// A provider failed, and so did those that stand in for it: 502.
    ProviderFailed,
}

/// What `troupe status` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// Its nodes, by name.
    pub nodes: Vec<NodeStatus>,
    /// Requests in the coordinator's hands.
    pub requests: u64,
    /// Who runs in the coordinator.
    pub tree: Vec<TreeLine>,
}

/// One node, as a coordinator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it gets work.
    pub state: NodeState,
    /// The build's version.
    pub build: String,
    /// Where it connects from.
    pub address: String,
    /// The models it serves.
    pub models: Vec<ModelStatus>,
    /// Since its last report.
    pub silent: Duration,
    /// Who runs there, as it said last.
    pub tree: Vec<TreeLine>,
    /// The models that it serves or could serve, as it said last.
    pub places: Vec<ModelPlace>,
}

/// Whether a node gets work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It serves.
    Ready,
    /// Connected, but its model is not ready yet.
    Starting,
    /// No model is loaded there.
    Idle,
    /// Silent or without progress: it gets nothing until it proves itself.
    Suspect,
    /// It finishes what it has.
    Draining,
}

/// One model on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// The model's name.
    pub model: String,
    /// The arithmetic.
    pub dtype: String,
    /// The device.
    pub device: String,
    /// The longest prompt and answer together.
    pub context: Tokens,
    /// Jobs with KV blocks.
    pub running: u32,
    /// Jobs without.
    pub waiting: u32,
    /// Prefill that is due.
    pub prefill: Tokens,
    /// KV blocks in the hands of jobs.
    pub blocks_used: Blocks,
    /// All KV blocks.
    pub blocks_total: Blocks,
    /// Engine steps so far.
    pub steps: u64,
}
