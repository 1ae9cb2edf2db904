//! `troupe-coordinator`: the front door of a cluster. Options, metrics, signals, exit codes; what a
//! coordinator does is in the library.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use coordinator::run::{overridden, run, unix_now};
use coordinator::state::authority;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use protocol::config::Config;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Settings that cannot be used.
const USAGE: u8 = 2;
/// Anything that goes wrong later.
const FAILED: u8 = 1;
/// What is logged without RUST_LOG; ractor would put the actor's number in front of each line.
const QUIET: &str = "info,ractor=warn";
/// How often old samples are folded into the histograms.
const UPKEEP: Duration = Duration::from_secs(5);
/// Seconds; from a millisecond to a minute.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// The same for how long it takes to choose a node, which is a matter of microseconds.
const PLACEMENT_BUCKETS: [f64; 8] = [2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 5e-4, 5e-3];

/// The coordinator of a Troupe cluster.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The cluster's settings; without it, the defaults.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Keys, certificates and tokens; instead of coordinator.state.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// Where HTTP is served; instead of coordinator.http.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// Where nodes and clients connect; instead of coordinator.quic.
    #[arg(long, value_name = "ADDR:PORT")]
    quic: Option<SocketAddr>,
    /// Written when all doors are open: addresses and files, as JSON.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hands the cluster's authority to another coordinator, so that both serve one cluster.
    #[command(subcommand)]
    Authority(Authority),
}

#[derive(Debug, Subcommand)]
enum Authority {
    /// Writes it to a file. Whoever has the file can be the cluster: move it safely, then remove it.
    Export {
        /// Where to.
        file: PathBuf,
    },
    /// Makes a new state folder of such a file.
    Import {
        /// Where from.
        file: PathBuf,
    },
}

impl Authority {
    fn run(&self, state: &std::path::Path) -> Result<(), authority::AuthorityError> {
        match self {
            Self::Export { file } => {
                authority::export(state, file)?;
                eprintln!("the authority of {} is in {}: keep it secret", state.display(), file.display());
            }
            Self::Import { file } => {
                let cluster = authority::import(state, file, unix_now())?;
                eprintln!("{} is ready for a coordinator of cluster {cluster}", state.display());
            }
        }
        Ok(())
    }
}

/// Requests are many small allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    let config = match read(&options) {
        Ok(config) => overridden(config, options.state, options.http, options.quic),
        Err(problem) => return fail(USAGE, &problem),
    };
    if let Some(Command::Authority(authority)) = &options.command {
        return match authority.run(&config.coordinator.state) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &error.to_string()),
        };
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(QUIET));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let placement = Matcher::Full("troupe_placement_seconds".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(placement, &PLACEMENT_BUCKETS))
        .and_then(PrometheusBuilder::install_recorder);
    let handle = match recorder {
        Ok(handle) => handle,
        Err(error) => return fail(FAILED, &format!("metrics cannot be kept: {error}")),
    };
    let threads = threads(config.coordinator.threads);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &error.to_string()),
    };
    let outcome = runtime.block_on(async {
        coordinator::http::describe_metrics();
        tokio::spawn(upkeep(handle.clone()));
        let stop = CancellationToken::new();
        tokio::spawn(signals(stop.clone()));
        run(config, options.ready_file, Arc::new(move || handle.render()), stop).await
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error.to_string()),
    }
}

/// As many as were asked for, or half the cores. A second thread for the same work mostly wakes the first: requests
/// go back and forth between connections, links and jobs.
fn threads(asked: Option<u32>) -> usize {
    match asked {
        Some(asked) => asked.max(1) as usize,
        None => std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
    }
}

fn read(options: &Options) -> Result<Config, String> {
    let Some(path) = &options.config else { return Ok(Config::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Config::parse(&text).map_err(|error| format!("{} cannot be used:\n{error}", path.display()))
}

async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// The first signal begins an orderly end, the second ends at once.
async fn signals(stop: CancellationToken) {
    if next_signal().await.is_err() {
        return;
    }
    stop.cancel();
    if next_signal().await.is_ok() {
        std::process::exit(FAILED.into());
    }
}

#[cfg(unix)]
async fn next_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn next_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn fail(code: u8, problem: &str) -> ExitCode {
    eprintln!("troupe-coordinator: {problem}");
    ExitCode::from(code)
}
