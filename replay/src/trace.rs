//! What was asked of a cluster, and when: a trace.
//!
//! Read from a file ([`read`]) in Mooncake's, Azure's or BurstGPT's format, or made from a seed ([`synthetic`]), and
//! written in Mooncake's ([`save`]). Rules: requests are in the order of their times, and the first comes at 0 unless
//! a [`Cut`] says otherwise; times are kept to the microsecond; every length is between 1 and a million tokens; a
//! prompt has as many block names as it has blocks, or none. Whoever builds a trace keeps to them.

use std::time::Duration;

use protocol::units::Tokens;

mod azure;
mod burst;
mod cut;
mod error;
mod lengths;
mod mooncake;
mod read;
mod summary;
pub mod synthetic;
mod table;
mod write;

pub use cut::{Cut, CutError};
pub use error::TraceError;
pub use lengths::{BadLengths, Lengths};
pub use read::{BLOCK, Format, ReadOptions, read, read_from, read_with};
pub use summary::{Spread, Summary};
pub use write::{save, write};

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

/// The name of a block of a conversation of which only the number is known. Names of different conversations differ:
/// they are far apart for fewer than 2^32 conversations with prompts of fewer than 2^32 blocks.
fn session_block(session: u64, at: u64) -> u64 {
    (session << 32) | (at & 0xffff_ffff)
}

#[cfg(test)]
mod tests;
