//! `bench techniques`: each technique off and on, on the spot, beside what is wanted of it.
//!
//! Rules: off and on differ in nothing else; both are measured in this run, on this machine.

mod batching;
mod outcome;
mod paging;
mod prefix;
mod weights;

use clap::ValueEnum;

use crate::error::BenchError;
use crate::figure::say;
use crate::format::Format;
use crate::model::{self, ModelChoice};
use crate::setting::Setting;
use outcome::{Outcome, table};

/// What to try.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setting: Setting,
    /// The techniques; all of them if none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Technique>,
    /// The model for INT8 and INT4, whose weights should be too large for the caches.
    #[arg(long, default_value = "random-1b")]
    big: ModelChoice,
    /// Rounds for INT8 and INT4; the best of them counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The format in which the other techniques are tried.
    #[arg(long, default_value_t = Format::INT4)]
    format: Format,
    /// Paging: the context that is reserved for every sequence where memory is not paged.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(64..))]
    reserve: u32,
    /// Paging: so many such contexts are all the memory.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    contexts: u32,
    /// Paging: requests of the mixed load.
    #[arg(long, default_value_t = 30)]
    paging_requests: usize,
    /// Batching: sequences at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Batching: requests of the mixed load.
    #[arg(long, default_value_t = 64)]
    requests: usize,
}

/// A technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Technique {
    /// INT8 and INT4 weights.
    Weights,
    /// Paged KV memory.
    Paging,
    /// Continuous batching.
    Batching,
    /// Prefix caching.
    Prefix,
}

/// Runs it.
///
/// # Errors
/// The model cannot be opened, or the engine fails.
pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let wanted = |technique| options.only.is_empty() || options.only.contains(&technique);
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut note = |more: Vec<Outcome>| -> Result<(), BenchError> {
        if options.setting.json {
            more.iter().try_for_each(say)?;
        }
        outcomes.extend(more);
        Ok(())
    };
    if wanted(Technique::Weights) {
        note(weights::run(options)?)?;
    }
    let source = model::open(&options.setting.model, options.setting.seed)?;
    if wanted(Technique::Paging) {
        note(paging::run(options, source.as_ref())?)?;
    }
    if wanted(Technique::Batching) {
        note(batching::run(options, source.as_ref())?)?;
    }
    if wanted(Technique::Prefix) {
        note(prefix::run(options, source.as_ref())?)?;
    }
    if !options.setting.json {
        println!("{}", table(&outcomes));
    }
    Ok(())
}
