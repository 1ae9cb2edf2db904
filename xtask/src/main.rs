//! Everything a person types: `cargo xtask setup`, `demo`, `up`, `test`, `bench`, `endure`, `train`,
//! `eval`.
//!
//! Rules: each command sets up what it needs; every failure ends as one clear line with the remedy;
//! no process outlives the command that started it. Stands on no other crate of the workspace, so
//! that it compiles soon and works before libtorch is there.

mod bench;
mod checkout;
mod clock;
mod cluster;
mod demo;
mod endure;
mod gate;
mod orphan;
mod setup;
mod shell;
mod training;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use checkout::Checkout;

/// Set up, try, run and test Troupe.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    /// Work on another checkout than this one.
    #[arg(long, global = true, hide = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring libtorch and the small models into the cache and link them here.
    Setup(setup::Options),
    /// Start a coordinator and two nodes, run a few jobs, show how they went, stop.
    Demo,
    /// Start the same cluster and keep it running until Ctrl-C.
    Up(up::Options),
    /// All that CI runs: format, lints, build, tests, house rules.
    Test,
    /// Measure the engine: alone, technique by technique, beside its peers, and how true it stays.
    Bench(bench::Options),
    /// Lose nodes and clients in the middle of answers, and see what becomes of them.
    Endure(endure::Options),
    /// Learn what tells a hard request from an easy one, from labelled prompts.
    Train(training::Options),
    /// See how well that was learned, on prompts that training did not see.
    Eval(training::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let checkout = Checkout::find(cli.root)?;
    match cli.command {
        Command::Setup(options) => setup::run(&checkout, &options, setup::Talk::Full)?,
        Command::Demo => demo::run(&checkout)?,
        Command::Up(options) => up::run(&checkout, &options)?,
        Command::Test => gate::run(&checkout)?,
        Command::Bench(options) => bench::run(&checkout, &options)?,
        Command::Endure(options) => endure::run(&checkout, &options)?,
        Command::Train(options) => training::run(&checkout, training::Verb::Train, &options)?,
        Command::Eval(options) => training::run(&checkout, training::Verb::Eval, &options)?,
    }
    Ok(())
}
