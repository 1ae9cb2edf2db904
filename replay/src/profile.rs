//! How fast and how large a node is.

use std::time::Duration;

use protocol::units::{Blocks, Tokens};

/// A kind of node with one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// For people and for the command line.
    pub name: String,
    /// Where the figures come from, and when.
    pub source: String,
    /// Time for each prompt token that is computed.
    pub prefill: Duration,
    /// Further time for each prompt token, for each 1,024 tokens of context before it: attention.
    pub prefill_context: Duration,
    /// Time of a step in which some sequence decodes: the weights are read.
    pub step: Duration,
    /// Further time for each sequence that decodes in a step.
    pub sequence: Duration,
    /// Further time for each 1,024 tokens of context of a sequence that decodes: its keys and values are read.
    pub sequence_context: Duration,
    /// Room for keys and values.
    pub blocks: Blocks,
    /// Tokens in a block.
    pub block: Tokens,
    /// Jobs that may wait or run.
    pub queue: u32,
    /// Sequences in one step.
    pub batch: u32,
    /// Tokens computed in one step.
    pub step_tokens: Tokens,
    /// The longest prompt and answer together.
    pub context: Tokens,
    /// What an hour of it costs, in nanos of a dollar.
    pub hour: protocol::units::Nanos,
}
