//! How fast and how large a node is: a profile, from a file of TOML.
//!
//! The time of a step is linear in what it does, as in [`actors::mock::Timing`]: a time for each prompt token, more
//! for the context before it, a time for reading the weights, for each sequence that decodes, and for its context.
//! Rules: values carry their units; a profile names its sources, with their dates; one that cannot be is refused, in
//! one place (`check`), with one line. Those of the repository (`profiles/`) are part of the program.

use std::path::Path;
use std::time::Duration;

use actors::mock::{Faults, MockOptions, Timing};
use protocol::units::{Blocks, Nanos, Tokens};

mod builtin;
mod check;
mod error;
mod file;
mod units;

pub use builtin::names;
pub use error::ProfileError;

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
    /// Tokens of one prompt computed in one step.
    pub chunk: Tokens,
    /// The longest prompt and answer together.
    pub context: Tokens,
    /// What an hour of it costs, in nanos of a dollar.
    pub hour: Nanos,
    /// Where the price comes from, and when.
    pub price_source: String,
}

impl Profile {
    /// A profile of the repository by its name, or the one in a file, if `name` has a `/` or ends in `.toml`.
    ///
    /// # Errors
    /// There is none of that name, or the file cannot be read, or holds what no node can be.
    pub fn by_name(name: &str) -> Result<Self, ProfileError> {
        if name.contains(['/', '\\']) || name.ends_with(".toml") {
            Self::read(Path::new(name))
        } else {
            builtin::find(name)
        }
    }

    /// Reads the profile in a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds what no node can be.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProfileError::File { file: path.display().to_string(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the profile in a text; `file` is for messages.
    ///
    /// # Errors
    /// It is no profile, or that of a node that cannot be.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        let profile = file::parse(file, text)?;
        check::check(file, &profile)?;
        Ok(profile)
    }

    /// The profile as a file that [`Self::parse`] reads back.
    pub fn to_toml(&self) -> String {
        file::write(self)
    }

    /// A simulated engine of this kind that serves `model`. With blocks of another size it has room for about as
    /// many tokens.
    pub fn mock_options(&self, model: &str, block: Option<Tokens>) -> MockOptions {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let size = block.filter(|size| size.0 > 0).unwrap_or(self.block);
        MockOptions {
            model: model.to_owned(),
            blocks: small((self.capacity().0 / size.0.max(1)).max(1)),
            block: small(size.0),
            queue: self.queue,
            step_tokens: small(self.step_tokens.0),
            prefill_chunk: small(self.chunk.0),
            max_batch: self.batch,
            context: small(self.context.0),
            timing: Timing {
                prefill_per_token: self.prefill,
                decode_per_step: self.step,
                decode_per_sequence: self.sequence,
                prefill_per_context: self.prefill_context,
                decode_per_context: self.sequence_context,
            },
            faults: Faults::default(),
        }
    }

    /// Tokens whose keys and values it has room for.
    pub fn capacity(&self) -> Tokens {
        Tokens(self.blocks.0.saturating_mul(self.block.0))
    }
}

#[cfg(test)]
mod tests;
