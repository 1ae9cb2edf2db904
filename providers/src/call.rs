//! What is asked of a provider, and what comes back.

use std::time::Duration;

use policy::upstream::failure::FailureKind;
use policy::upstream::fallback::Streamed;
use policy::upstream::usage::{ProviderUsage, estimate_bytes};
use protocol::answer::{Delta, FinishReason, JobError};
use protocol::request::Request;
use protocol::units::Tokens;

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is asked, under the model's name in the cluster.
    pub request: Request,
    /// The longest answer, each of `n`: what was reserved, whatever the request says.
    pub max_tokens: Tokens,
    /// What is left of the request's time.
    pub deadline: Duration,
    /// The same key means the same request, for providers that know such a thing.
    pub idempotency: Option<String>,
}

/// A piece of an answer, in this order: deltas of all choices as they come, one `Finished` per choice among them,
/// and at the end what was used, if the provider says it.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text or calls of one choice.
    Delta(Delta),
    /// One choice is complete.
    Finished {
        /// Which, from 0.
        choice: u32,
        /// Why it ended.
        reason: FinishReason,
    },
    /// What all choices used together, as the provider counts. See `policy::upstream::usage::believe`.
    Usage(ProviderUsage),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// For a person: who failed, how, and where it helps, what to do. Holds no key.
    pub message: String,
    /// The field that is wrong, by OpenAI's name.
    pub field: Option<String>,
    /// When the provider wants to be asked again.
    pub retry_after: Option<Duration>,
    /// Whether a piece of the answer had been handed out before.
    pub began: bool,
    /// Whether the provider was asked at all.
    pub asked: bool,
    /// The HTTP status.
    pub status: Option<u16>,
    /// What the provider had said it used until then.
    pub usage: Option<ProviderUsage>,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, field: None, retry_after: None, began: false, asked: false, status: None, usage: None }
    }

    /// A request that this API cannot answer.
    pub(crate) fn invalid(field: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        let field = field.into();
        Self { message: format!("{field} {problem}"), field: Some(field), ..Self::new(FailureKind::Invalid, "") }
    }
}

impl From<Failure> for JobError {
    /// What the client is told when nobody stands in.
    fn from(failure: Failure) -> Self {
        let Failure { kind, message, field, retry_after, .. } = failure;
        Self { kind: kind.error(), message, field, retry_after }
    }
}

/// What came of an answer, as we count it ourselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of text, and of names and arguments of calls.
    pub bytes: usize,
    /// Bytes of reasoning that is not handed on.
    pub hidden: usize,
    /// Pieces with text, calls or reasoning: at most so many tokens have come where each piece is a token.
    pub pieces: u64,
    /// What of it has been handed out.
    pub streamed: Streamed,
}

impl Seen {
    /// The tokens of it, rather too many: see `policy::upstream::usage::estimate`.
    pub fn estimate(&self) -> Tokens {
        estimate_bytes(self.bytes.saturating_add(self.hidden))
    }
}
