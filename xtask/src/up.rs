//! `cargo xtask up`: the demo's cluster, kept running in `.troupe/` until Ctrl-C.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::checkout::Checkout;
use crate::cluster::{self, Cluster, ClusterError, Interrupts, MODEL, Plan, pasteable};
use crate::setup::{self, SetupError, Talk};
use crate::shell;

/// Running answers may end: `cluster.toml` gives them 20 s.
const PATIENCE: Duration = Duration::from_secs(25);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: u16,
    /// Where to serve HTTP, instead of where cluster.toml says; port 0 takes a free one.
    #[arg(long)]
    http: Option<SocketAddr>,
    /// Where nodes and clients connect by QUIC, instead of where cluster.toml says.
    #[arg(long)]
    quic: Option<SocketAddr>,
}

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("another `cargo xtask up` runs in {}: stop it first", .0.display())]
    Running(PathBuf),
    #[error("a process of the cluster did not end in order; logs are in {}", .0.display())]
    Disorder(PathBuf),
}

/// Runs it until a signal comes.
///
/// # Errors
/// It cannot be started, or the coordinator ended by itself.
pub(crate) fn run(checkout: &Checkout, options: &Options) -> Result<(), UpError> {
    setup::run(checkout, &setup::Options::default(), Talk::Quiet)?;
    cluster::build(checkout)?;
    let state = checkout.root().join(".troupe");
    let _lock = lock(&state)?;

    let interrupts = Interrupts::catch()?;
    let nodes = usize::from(options.nodes);
    let plan = Plan { state: state.clone(), nodes, http: options.http, quic: options.quic };
    eprintln!("starting one coordinator, and nodes: {nodes}");
    let mut cluster = Cluster::start(checkout, &plan, &interrupts)?;
    println!("{}", welcome(&cluster, &cluster.client_command(checkout)?, &state));
    while !interrupts.within(LOOK_AGAIN) {
        if let Some((name, how)) = cluster.ended()? {
            eprintln!("{name} has ended ({how}); the cluster goes on without it, the line above starts it again");
        }
    }
    eprintln!("stopping; running answers may end");
    // A node that was killed by hand is no disorder: only those that we stop count.
    if cluster.stop(PATIENCE) { Ok(()) } else { Err(UpError::Disorder(state.join("logs"))) }
}

/// Two clusters in one state folder would fight.
fn lock(state: &std::path::Path) -> Result<File, UpError> {
    fs::create_dir_all(state).map_err(ClusterError::files("cannot make", state))?;
    let path = state.join("up.lock");
    let open = || -> io::Result<File> { File::options().create(true).truncate(false).write(true).open(&path) };
    let file = open().map_err(ClusterError::files("cannot write", &path))?;
    if file.try_lock().is_err() {
        return Err(UpError::Running(state.to_owned()));
    }
    Ok(file)
}

fn welcome(cluster: &Cluster, client: &[String], state: &std::path::Path) -> String {
    let reach = &cluster.reach;
    let client = pasteable(client);
    let key = shell::quote(&reach.admin_key);
    let body = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"What is the capital of France?"}}],"max_tokens":32,"temperature":0}}"#
    );
    let mut text = format!(
        "\nTroupe is up. Ctrl-C stops it; logs are in {logs}.\n\n\
         HTTP       http://{http}\n\
         QUIC       {quic}\n\
         admin key  {key}\n\n\
         Ask by HTTP:\n  \
         curl -s http://{http}/v1/chat/completions -H \"Authorization: Bearer $(cat {key})\" \
         -H 'Content-Type: application/json' -d '{body}'\n\n\
         Chat, and see who serves:\n  {client} chat\n  {client} status\n\n\
         Kill a node and start it again:\n",
        logs = state.join("logs").display(),
        http = reach.http,
        quic = reach.quic,
    );
    for node in &cluster.nodes {
        text.push_str(&format!("  {}: kill -9 {}\n    {}\n", node.name(), node.id(), node.line()));
    }
    text
}
