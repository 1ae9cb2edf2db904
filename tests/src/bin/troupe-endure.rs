//! `cargo xtask endure`: the long scenarios, with their figures. The short ones are tests.

#![expect(clippy::print_stdout, reason = "its figures are its output")]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tests::cluster::{Cluster, Engine, Plan};
use tests::endure::soak::Soak;
use tests::endure::story::Choosing;
use tests::endure::survive::Loss;
use tests::endure::{Figure, cancel, money, overload, soak, survive};

/// Small nodes, so that a laptop can ask for three times what they can do; the deadline of `[queue]`.
const OVERLOAD: &str = "[queue]\npatience = \"5s\"\n\n[models.smollm2]\nmax_batch = 8\nqueue = 16\n";
/// As `queue.patience`, and a second in which the node takes it up.
const DEADLINE: Duration = Duration::from_secs(6);

/// Loses nodes, clients and patience, and measures what a cluster makes of it.
#[derive(Debug, Parser)]
#[command(name = "troupe-endure", bin_name = "cargo xtask endure")]
struct Options {
    /// What to live through; all of it if left out.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// A tenth of it.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The serving node is killed after each of the first 32 tokens.
    Kill,
    /// It is stopped (SIGSTOP) instead.
    Stop,
    /// It is drained instead.
    Drain,
    /// Twenty clients for two minutes, a node killed each five seconds.
    Soak,
    /// A client leaves in the middle of a long prefill.
    Cancel,
    /// Three times more is asked for than mock nodes can do, for a minute.
    Overload,
    /// The coordinator is killed at 200 moments while clients spend.
    Money,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let parts = if options.parts.is_empty() { Part::value_variants().to_vec() } else { options.parts };
    let mut failed = false;
    for part in parts {
        match run(part, options.quick).await {
            Ok(figures) => {
                for figure in figures {
                    failed |= !figure.holds();
                    println!("{figure}");
                }
            }
            Err(error) => {
                failed = true;
                println!("{part:?}: FAILED: {error}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn run(part: Part, quick: bool) -> Result<Vec<Figure>, String> {
    match part {
        Part::Kill => lose(Loss::Kill, quick).await,
        Part::Stop => lose(Loss::Stop, quick).await,
        Part::Drain => lose(Loss::Drain, quick).await,
        Part::Soak => {
            let mut cluster = Cluster::start(3, Engine::Torch).await;
            let mut plan = Soak::long();
            plan.time /= if quick { 5 } else { 1 };
            soak::soak(&mut cluster, plan).await
        }
        Part::Cancel => {
            let mut plan = Plan::new(1, Engine::Torch);
            plan.node_arguments = ["--metrics", "127.0.0.1:0"].map(str::to_owned).to_vec();
            let cluster = Cluster::of(plan).await;
            cancel::cancel(&cluster, 4000, 256.0).await
        }
        Part::Money => money::money(if quick { 20 } else { 200 }, 7).await,
        Part::Overload => {
            let mut plan = Plan::new(2, Engine::Mock);
            plan.config = format!("{OVERLOAD}path = '{}'\n", tests::build::model().display());
            let cluster = Cluster::of(plan).await;
            overload::overload(&cluster, Duration::from_secs(if quick { 6 } else { 60 }), DEADLINE).await
        }
    }
}

async fn lose(loss: Loss, quick: bool) -> Result<Vec<Figure>, String> {
    let mut cluster = Cluster::start(3, Engine::Torch).await;
    let mut figures = Vec::new();
    for choosing in [Choosing::Greedy, Choosing::Seeded] {
        let after = (1..=32).step_by(if quick { 10 } else { 1 });
        figures.extend(survive::survive(&mut cluster, loss, choosing, after, 40).await?);
    }
    Ok(figures)
}
