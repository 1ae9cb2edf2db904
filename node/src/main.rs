//! `troupe-node`: serves models of this machine to a cluster. One per GPU host.
//!
//! Here is only what a process needs: options, state folder, signals, metrics, exit codes. What a node
//! does is in `actors::node` and `actors::worker`, what a model does in `engine`.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

mod files;
mod join;
mod keeper;
mod metrics;
mod models;
mod options;
mod peers;
mod run;
mod signals;
mod state;
mod tree;

/// Settings that cannot be used.
const USAGE: u8 = 2;
/// Anything that goes wrong later.
const FAILED: u8 = 1;
/// What is logged without RUST_LOG; ractor would put the actor's number in front of each line.
const QUIET: &str = "info,ractor=warn";
/// Threads for links and metrics; engines have their own.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let plan = match options::Options::parse().plan() {
        Ok(plan) => plan,
        Err(error) => return fail(USAGE, &error),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(QUIET));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &error),
    };
    let outcome =
        runtime.block_on(async { if plan.fetch_only { run::fetch(plan).await } else { run::run(plan).await } });
    // An engine in the middle of a step does not hold the process up.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
    }
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("troupe-node: {error}");
    ExitCode::from(code)
}
