//! `cargo run -p simulations -- COMMAND`: Troupe's decisions under simulated nodes, time and faults.

// They panic when the pipe is closed: see `commands::print`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod commands;

/// Troupe's decisions under simulated nodes, time and faults: the same seed gives the same result.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay a trace over several placement policies, side by side
    Replay(commands::replay::Options),
    /// Write into docs/simulations.md what placement makes of all traces
    Report(commands::report::Options),
    /// Write a synthetic trace to a file
    Generate(commands::generate::Options),
    /// What a trace holds
    Inspect(commands::inspect::Options),
    /// How decisions, memory, hit rate and tail grow with the cluster
    Scale(commands::scale::Options),
    /// Random clusters, work and faults, checked by invariants
    Chaos(commands::chaos::Options),
    /// Coordinator and nodes with all their actors, in paused time
    Stack(commands::stack::Options),
    /// What routing saves on the reference workload
    Cost(commands::cost::Options),
    /// How many nodes meet a target, and what they cost
    Plan(commands::plan::Options),
}

/// Why a command failed, in one line.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let outcome = match Options::parse().command {
        Command::Replay(options) => commands::replay::run(&options),
        Command::Report(options) => commands::report::run(&options),
        Command::Generate(options) => commands::generate::run(&options),
        Command::Inspect(options) => commands::inspect::run(&options),
        Command::Scale(options) => commands::scale::run(&options),
        Command::Chaos(options) => commands::chaos::run(&options),
        Command::Stack(options) => commands::stack::run_command(&options),
        Command::Cost(options) => commands::cost::run(&options),
        Command::Plan(options) => commands::plan::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            commands::tell(&format!("simulations: {failure}"));
            ExitCode::FAILURE
        }
    }
}
