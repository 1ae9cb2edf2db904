//! `simulations inspect`: what a trace holds, and the trace itself in Mooncake's format.

use std::path::PathBuf;

use clap::Args;
use replay::trace;

use super::input::Input;
use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    input: Input,
    /// Write what was read to a file, in Mooncake's format
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let trace = options.input.read()?;
    if let Some(path) = &options.out {
        trace::save(&trace, path)?;
    }
    super::print(&trace.summary().to_string())
}
