//! `cargo xtask demo`: a cluster in a temporary folder, a few jobs through the client library, and
//! an orderly end.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use crate::checkout::Checkout;
use crate::cluster::{self, Cluster, ClusterError, Interrupts, Plan};
use crate::orphan;
use crate::setup::{self, SetupError, Talk};

const NODES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why the demo did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("no temporary folder: {0}")]
    Folder(std::io::Error),
    #[error("the jobs failed ({how}); the ends of the logs:\n{logs}")]
    Jobs { how: String, logs: String },
    #[error("a process of the cluster did not end in order")]
    Disorder,
}

/// Runs it.
///
/// # Errors
/// The first thing that failed.
pub(crate) fn run(checkout: &Checkout) -> Result<(), DemoError> {
    setup::run(checkout, &setup::Options::default(), Talk::Quiet)?;
    eprintln!("── building (the first time takes minutes)");
    cluster::build(checkout)?;

    let interrupts = Interrupts::catch()?;
    let folder = tempfile::Builder::new().prefix("troupe-demo-").tempdir().map_err(DemoError::Folder)?;
    let outcome = show(checkout, folder.path(), &interrupts);
    if matches!(outcome, Err(ref error) if !matches!(error, DemoError::Cluster(ClusterError::Interrupted))) {
        // The logs are worth more than a tidy disk.
        eprintln!("logs are kept in {}", folder.keep().display());
    }
    outcome
}

fn show(checkout: &Checkout, state: &Path, interrupts: &Interrupts) -> Result<(), DemoError> {
    let free = Some(([127, 0, 0, 1], 0).into());
    let plan = Plan { state: state.to_owned(), nodes: NODES, http: free, quic: free };
    eprintln!("── starting one coordinator and {NODES} nodes");
    let mut cluster = Cluster::start(checkout, &plan, interrupts)?;
    eprintln!("   coordinator at {} (QUIC) and http://{}", cluster.reach.quic, cluster.reach.http);
    for node in &cluster.nodes {
        eprintln!("   {} is process {}", node.name(), node.id());
    }

    eprintln!("── asking");
    let outcome = run_jobs(checkout, &mut cluster, interrupts);
    eprintln!("── stopping");
    let orderly = cluster.stop(PATIENCE);
    outcome?;
    if orderly { Ok(()) } else { Err(DemoError::Disorder) }
}

/// The example of the client library, which prints the answers and the table.
fn run_jobs(checkout: &Checkout, cluster: &mut Cluster, interrupts: &Interrupts) -> Result<(), DemoError> {
    let program = checkout.program("examples/demo").map_err(ClusterError::Signals)?;
    let reach = &cluster.reach;
    let mut command = Command::new(&program);
    command.arg(&reach.quic).arg(&reach.admin_key).arg(&reach.ca);
    orphan::end_with_parent(&mut command);
    let child = command.spawn().map_err(|source| ClusterError::Start { program, source })?;
    let mut jobs = KillOnDrop(child);
    loop {
        if let Ok(Some(status)) = jobs.0.try_wait() {
            if status.success() {
                return Ok(());
            }
            cluster.check()?;
            return Err(DemoError::Jobs { how: status.to_string(), logs: cluster.tails() });
        }
        cluster.check()?;
        if interrupts.within(LOOK_AGAIN) {
            return Err(ClusterError::Interrupted.into());
        }
    }
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            // Both fail only for a process that is gone.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
