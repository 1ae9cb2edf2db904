//! What the coordinator reaches: the real process and real QUIC, with imitated nodes in this process.
//!
//! Rules: everything random comes from a seed; requests come when they are due, whatever became of the ones
//! before (where a part says otherwise, it says why). Every part names its targets and says whether they are
//! met; a missed one makes the exit code 1. Tables go to standard output for people, or with `--json` one line
//! per figure; progress goes to standard error. Imitated nodes pretend to take time but compute next to
//! nothing, so that a cluster of ten fits on a laptop.

mod bed;
mod drive;
mod error;
mod http;
mod node;
mod parts;
mod process;
mod report;
mod stats;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use error::BenchError;
use report::Report;

/// Measure what the coordinator reaches, with imitated nodes.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench cluster")]
struct Options {
    /// Only this part; may be given several times.
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Fewer requests and one seed: to see that all works, not to compare.
    #[arg(long)]
    quick: bool,
    /// One line of JSON per figure instead of tables.
    #[arg(long)]
    json: bool,
    /// The coordinator's program; the one beside this program if left out.
    #[arg(long, value_name = "FILE")]
    coordinator: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Conversations that share long beginnings: cached tokens and TTFT by placement policy.
    Shared,
    /// Prompts that share nothing: the price of looking for prefixes.
    Unshared,
    /// Short prompts that share a beginning, and long answers: where placement by prefix has least to give.
    Decode,
    /// The latency that the coordinator adds.
    Overhead,
    /// The coordinator's CPU time per request.
    Cpu,
    /// How evenly identical idle nodes are chosen.
    Placements,
    /// A coordinator that is killed and started again.
    Recovery,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&BenchError::Runtime(error)),
    };
    let mut report = Report::new(options.json);
    let outcome = runtime.block_on(run(&options, &mut report));
    // Nodes that still dial are of no interest any more.
    runtime.shutdown_background();
    match outcome {
        Ok(()) if report.holds() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        // Whoever reads the other end has gone, as `head` does.
        Err(BenchError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &BenchError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run(options: &Options, report: &mut Report) -> Result<(), BenchError> {
    let program = match &options.coordinator {
        Some(program) => program.clone(),
        None => process::beside("troupe-coordinator")?,
    };
    let setting = parts::Setting { program, quick: options.quick };
    for part in Part::value_variants() {
        if !options.only.is_empty() && !options.only.contains(part) {
            continue;
        }
        match part {
            Part::Shared => parts::sharing::shared(&setting, report).await?,
            Part::Unshared => parts::sharing::unshared(&setting, report).await?,
            Part::Decode => parts::sharing::decode(&setting, report).await?,
            Part::Overhead => parts::overhead::measure(&setting, report).await?,
            Part::Cpu => parts::cpu::measure(&setting, report).await?,
            Part::Placements => parts::placements::measure(&setting, report).await?,
            Part::Recovery => parts::recovery::measure(&setting, report).await?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_name() {
        let options = Options::try_parse_from(["bench", "--only", "shared", "--only", "cpu", "--json"]).unwrap();
        assert_eq!(options.only, [Part::Shared, Part::Cpu]);
        assert!(options.json && !options.quick);
        assert!(Options::try_parse_from(["bench", "--only", "all"]).is_err());
    }
}
