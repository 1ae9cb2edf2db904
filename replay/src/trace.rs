//! What was asked of a cluster, and when: a trace.

use std::time::Duration;

use protocol::units::Tokens;

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it comes, since the beginning of the trace.
    pub at: Duration,
    /// Prompt tokens.
    pub input: Tokens,
    /// Tokens of the answer.
    pub output: Tokens,
    /// Names of the prompt's blocks from the front, [`Trace::block`] tokens each, the last one perhaps in part: two
    /// prompts that begin with the same names begin alike. Empty where nothing is known of what they share.
    pub blocks: Vec<u64>,
    /// The conversation, if the trace names it.
    pub session: Option<u64>,
}

/// Requests in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// For people.
    pub name: String,
    /// Tokens in one of its blocks.
    pub block: Tokens,
    /// In the order in which they come.
    pub requests: Vec<Request>,
}
