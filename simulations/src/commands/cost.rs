//! `simulations cost`.

use clap::Args;

use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(_options: &Options) -> Result<(), Failure> {
    Err("this command is not there yet".into())
}
