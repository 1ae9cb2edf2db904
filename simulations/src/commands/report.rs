//! `simulations report`: what docs/simulations.md says of placement, and its plots.

use std::path::PathBuf;

use clap::Args;
use simulations::report::{BEGIN, between, report};

use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the traces are that stay out of the repository
    #[arg(long, default_value = "../shared/traces")]
    traces: PathBuf,
    /// The document to write into; its plots go into a folder of its name beside it
    #[arg(long, default_value = "docs/simulations.md")]
    out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line: also a target that was missed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let path = &options.out;
    let document = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let wall = super::Wall::start();
    let report = report(&options.traces, |done| super::tell(&format!("{:6.1} s  {done}", wall.seconds())))?;
    let document = between(&document, &report.text).ok_or_else(|| {
        format!("{} has no place for it: write '{BEGIN}' and its end where it belongs", path.display())
    })?;
    super::write(path, &document)?;
    for (name, plot) in &report.plots {
        super::write(&path.with_extension("").join(name), plot)?;
    }
    say!("{} is written", path.display())?;
    match report.missed.as_slice() {
        [] => Ok(()),
        missed => Err(format!("targets were missed: {}", missed.join("; ")).into()),
    }
}
