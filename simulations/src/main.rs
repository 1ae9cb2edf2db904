//! `cargo run -p simulations`: placement by cost beside plainer rules, on simulated nodes.

use std::process::ExitCode;
use std::time::Duration;

use actors::mock::{MockOptions, Timing};
use clap::Parser;
use policy::placement::Policy;
use simulations::cluster::{Results, Setup, simulate};
use simulations::work::{Demand, arrivals};

/// Simulate a cluster in virtual time: the same seed gives the same result.
#[derive(Debug, Parser)]
struct Options {
    /// Nodes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    nodes: u32,
    /// Jobs in all.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    jobs: u32,
    /// Milliseconds between two jobs, on average.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    gap: u64,
    /// The longest prompt in tokens, or of what a prompt has for itself.
    #[arg(long, default_value_t = 1_500, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    prompt: u32,
    /// Groups of prompts that begin alike; 0 for none.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    groups: u32,
    /// With how many tokens they do.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    shared: u32,
    /// The longest answer in tokens.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    answer: u32,
    /// Decides all that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // About what one core does with a model of 135 million weights.
    let timing = Timing {
        prefill_per_token: Duration::from_micros(200),
        decode_per_step: Duration::from_millis(8),
        decode_per_sequence: Duration::from_micros(100),
    };
    let engine = MockOptions { timing, ..MockOptions::default() };
    let demand = Demand {
        jobs: options.jobs,
        gap: Duration::from_millis(options.gap),
        prompt: options.prompt,
        groups: options.groups,
        shared: options.shared,
        answer: options.answer,
    };
    println!(
        "{:<11} {:>9} {:>9} {:>10} {:>10} {:>10} {:>10} {:>9}",
        "placement", "finished", "refused", "hit tokens", "TTFT p50", "TTFT p90", "TTFT p99", "took"
    );
    for placement in Policy::ALL {
        let setup = Setup {
            nodes: options.nodes,
            engine: engine.clone(),
            report_every: Duration::from_millis(200),
            placement,
            seed: options.seed,
        };
        let jobs = arrivals(&demand, "mock", 256, options.seed);
        match simulate(&setup, &jobs) {
            Ok(results) => print(placement.as_str(), &results),
            Err(error) => {
                eprintln!("simulations: {error}; reproduce with --seed {}", options.seed);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn print(name: &str, results: &Results) {
    let millis =
        |share: f64| results.percentile(share).map_or("-".to_owned(), |time| format!("{} ms", time.as_millis()));
    println!(
        "{:<11} {:>9} {:>9} {:>10} {:>10} {:>10} {:>10} {:>7} s",
        name,
        results.finished,
        results.refused,
        results.hits,
        millis(0.5),
        millis(0.9),
        millis(0.99),
        results.took.as_secs()
    );
}
