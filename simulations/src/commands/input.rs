//! The options of all commands that read a trace, and what all options are checked by.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use protocol::units::{Span, Tokens};
use replay::trace::{self, Cut, Format, ReadOptions, Trace};

use crate::Failure;

/// Whatever takes longer is a mistake.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whether an option's number lies where it may; what is no number does not.
///
/// # Errors
/// It does not: one line with the option, its value and what to give.
pub(crate) fn within<T: PartialOrd + Display>(option: &str, value: T, range: RangeInclusive<T>) -> Result<(), Failure> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("--{option} {value}: give between {} and {}", range.start(), range.end()).into())
}

/// The same for a time.
///
/// # Errors
/// It lies elsewhere.
pub(crate) fn between(option: &str, value: Span, least: Duration, most: Duration) -> Result<(), Failure> {
    if (least..=most).contains(&value.0) {
        return Ok(());
    }
    Err(format!("--{option} {value}: give between {} and {}", Span(least), Span(most)).into())
}

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
    /// Tokens in a block of its hash_ids, which Mooncake's has [default: 512]
    #[arg(long)]
    trace_block: Option<u64>,
    /// Leave BurstGPT's failed requests out
    #[arg(long)]
    skip_failed: bool,
    /// Not more requests than this
    #[arg(long)]
    limit: Option<usize>,
    /// Faster by this factor: 2 is twice as fast
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
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
        let block = self.trace_block.unwrap_or(trace::BLOCK.0);
        within("trace-block", block, 1..=1_000_000)?;
        let strange = [
            ("trace-block", self.trace_block.is_some(), Format::Mooncake, "mooncake"),
            ("skip-failed", self.skip_failed, Format::BurstGpt, "burstgpt"),
        ];
        for (option, given, of, name) in strange {
            if given && self.format.is_some_and(|format| format != of) {
                return Err(format!("--{option} says nothing but for --format {name}: leave it out").into());
            }
        }
        let options = ReadOptions {
            format: self.format,
            block: Tokens(block),
            skip_failed: self.skip_failed,
            // From the beginning on, no more than these need be read.
            limit: self.limit.filter(|_| self.from.0.is_zero()),
        };
        Ok(cut.apply(trace::read_with(trace, &options)?)?)
    }
}
