//! `cargo xtask endure`: lets a cluster live through losses, and shows what its clients saw.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use crate::checkout::Checkout;
use crate::orphan;
use crate::setup::{self, SetupError, Talk};

/// What to live through; `cargo xtask endure --help` is answered by the scenarios themselves.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// kill, stop, drain, soak, cancel, overload, money, and their options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WHAT")]
    words: Vec<OsString>,
}

/// Why it was not lived through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndureError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cargo cannot be started: {0}")]
    Start(io::Error),
    #[error("not everything was as it must be ({0}): see above")]
    Failed(ExitStatus),
}

/// Runs it.
///
/// # Errors
/// Setup, build or a scenario fails.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<(), EndureError> {
    setup::run(checkout, &setup::Options::default(), Talk::Quiet)?;
    let mut command = checkout.cargo();
    command.args(["run", "--quiet", "--package", "tests", "--bin", "troupe-endure", "--"]).args(&options.words);
    orphan::end_with_parent(&mut command);
    let status = command.status().map_err(EndureError::Start)?;
    if status.success() { Ok(()) } else { Err(EndureError::Failed(status)) }
}
