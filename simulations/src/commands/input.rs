//! The options of all commands that read a trace.

use std::path::{Path, PathBuf};

use clap::Args;
use protocol::units::{Span, Tokens};
use replay::trace::{self, Cut, Format, ReadOptions, Trace};

use crate::Failure;

/// Which trace, and which part of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Input {
    /// A trace: Mooncake's jsonl, or Azure's or BurstGPT's csv
    pub(crate) trace: PathBuf,
    #[command(flatten)]
    part: Part,
}

impl Input {
    /// Reads the trace.
    ///
    /// # Errors
    /// What is wrong with the file or the options, in one line.
    pub(crate) fn read(&self) -> Result<Trace, Failure> {
        self.part.read(&self.trace)
    }
}

/// Which part of a trace, and how it is written.
#[derive(Clone, Debug, Args)]
pub(crate) struct Part {
    /// Its format, if the content does not tell: mooncake, azure or burstgpt
    #[arg(long)]
    format: Option<Format>,
    /// Tokens in a block of its hash_ids
    #[arg(long, default_value_t = trace::BLOCK.0, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    trace_block: u64,
    /// Leave BurstGPT's failed requests out
    #[arg(long)]
    skip_failed: bool,
    /// Not more requests than this
    #[arg(long)]
    limit: Option<usize>,
    /// Faster by this factor: 2 is twice as fast
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Leave out what comes before, as 10m
    #[arg(long, default_value_t = Span::default())]
    from: Span,
    /// Leave out what comes at this time or later
    #[arg(long)]
    to: Option<Span>,
}

impl Part {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with the file or the options, in one line.
    pub(crate) fn read(&self, trace: &Path) -> Result<Trace, Failure> {
        let cut = Cut { from: self.from.0, to: self.to.map(|to| to.0), limit: self.limit, speed: self.speed };
        cut.check()?;
        let options = ReadOptions {
            format: self.format,
            block: Tokens(self.trace_block),
            skip_failed: self.skip_failed,
            // From the beginning on, no more than these need be read.
            limit: self.limit.filter(|_| self.from.0.is_zero()),
        };
        Ok(cut.apply(trace::read_with(trace, &options)?)?)
    }
}
