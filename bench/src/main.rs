//! What the engine reaches: alone, technique by technique, beside its peers, and how true it stays.
//!
//! Rules: everything random comes from a seed; tables go to standard output for people, or with
//! `--json` one line per figure; progress goes to standard error. Paths are relative to the current
//! folder, which `cargo xtask bench` sets to the checkout. The engine is known as the trait
//! [`protocol::engine::Engine`]: only `model.rs` says which one it is.

mod clock;
mod commands;
mod drive;
mod error;
mod figure;
mod format;
mod measure;
mod memory;
mod mixed;
mod model;
mod setting;
mod split;
mod stats;
mod table;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{calibrate, engine, peers, perplexity, techniques};
use error::BenchError;

/// Measure Troupe's engine.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Throughput and latency per format, batch and context; time to the first token; waste of KV memory.
    Engine(engine::Options),
    /// Each technique off and on: INT8, INT4, paged KV memory, continuous batching, prefix caching.
    Techniques(techniques::Options),
    /// Beside llama.cpp and vLLM on the same model, as ratios.
    Peers(peers::Options),
    /// How true each format stays to f32.
    Perplexity(perplexity::Options),
    /// This engine on this machine as a profile for simulations.
    Calibrate(calibrate::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Engine(options) => engine::run(&options),
        Command::Techniques(options) => techniques::run(&options),
        Command::Peers(options) => peers::run(&options),
        Command::Perplexity(options) => perplexity::run(&options),
        Command::Calibrate(options) => calibrate::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the other end has gone, as `head` does.
        Err(BenchError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
