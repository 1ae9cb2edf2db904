//! A cluster on this machine: one coordinator and some nodes, each a process of its own.
//!
//! Starting waits for what really is: the coordinator's ready file, then the nodes in its status.
//! Stopping asks in order (the coordinator, which lets running answers end, then the nodes) and kills
//! what does not obey. Dropping kills all.

mod process;
mod signals;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, io, thread};

use crate::checkout::Checkout;
use crate::clock::Stopwatch;
use crate::shell;
pub(crate) use process::Process;
pub(crate) use signals::Interrupts;

/// What requests call the model.
pub(crate) const MODEL: &str = "smollm2";
const MODEL_FILE: &str = ".models/SmolLM2-135M-Instruct.Q4_1.gguf";

const READY: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The cluster cannot be started, or a part of it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("cargo build failed: see its messages above")]
    Build,
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{what} {}: {source}", path.display())]
    Files { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{name} ended too soon ({how}); the end of its log, {}:\n{tail}", log.display())]
    Ended { name: String, how: String, log: PathBuf, tail: String },
    #[error("{name} is not ready after {} s; the end of its log, {}:\n{tail}", READY.as_secs(), log.display())]
    NotReady { name: String, log: PathBuf, tail: String },
    #[error("the ready file {} has no `{field}`", path.display())]
    ReadyFile { path: PathBuf, field: &'static str },
    #[error("no signals can be handled: {0}")]
    Signals(io::Error),
    #[error("interrupted")]
    Interrupted,
}

impl ClusterError {
    pub(crate) fn files(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Files { what, path, source }
    }
}

/// How to start one.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where the state and the logs of all processes go.
    pub(crate) state: PathBuf,
    pub(crate) nodes: usize,
    /// Where to serve; `cluster.toml` says if left out.
    pub(crate) http: Option<SocketAddr>,
    pub(crate) quic: Option<SocketAddr>,
}

/// Where the coordinator says that it can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) http: String,
    pub(crate) quic: String,
    pub(crate) admin_key: PathBuf,
    pub(crate) join_token: PathBuf,
    pub(crate) ca: PathBuf,
}

/// A running one.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) reach: Reach,
    coordinator: Process,
    pub(crate) nodes: Vec<Process>,
}

/// Builds all programs and examples, with cargo's own progress. The same selection as the tests
/// build, so that nothing is compiled twice.
///
/// # Errors
/// The build fails.
pub(crate) fn build(checkout: &Checkout) -> Result<(), ClusterError> {
    let status = checkout.cargo().args(["build", "--workspace", "--bins", "--examples"]).status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(ClusterError::Build) }
}

impl Cluster {
    /// Starts the processes and waits until every node serves.
    ///
    /// # Errors
    /// One of them ends or is not ready in time; then all are stopped again.
    pub(crate) fn start(checkout: &Checkout, plan: &Plan, interrupts: &Interrupts) -> Result<Self, ClusterError> {
        let logs = plan.state.join("logs");
        fs::create_dir_all(&logs).map_err(ClusterError::files("cannot make", &logs))?;
        let ready = plan.state.join("ready.json");
        match fs::remove_file(&ready) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ClusterError::files("cannot delete", &ready)(error));
            }
            _ => {}
        }
        let command = coordinator_command(checkout, plan, &ready)?;
        let mut coordinator = Process::start("coordinator", command, &logs)?;
        let reach = wait_for(&mut [&mut coordinator], interrupts, || read_ready(&ready))?;

        let mut nodes = Vec::new();
        for number in 1..=plan.nodes {
            let name = format!("node-{number}");
            let command = node_command(checkout, plan, &reach, &name)?;
            nodes.push(Process::start(&name, command, &logs)?);
        }
        let mut cluster = Self { reach, coordinator, nodes };
        cluster.wait_for_nodes(checkout, interrupts)?;
        Ok(cluster)
    }

    fn wait_for_nodes(&mut self, checkout: &Checkout, interrupts: &Interrupts) -> Result<(), ClusterError> {
        let wanted = self.nodes.len();
        let client = self.client_command(checkout)?;
        let mut all: Vec<&mut Process> = self.nodes.iter_mut().chain([&mut self.coordinator]).collect();
        wait_for(&mut all, interrupts, || Ok((serving(&client) >= wanted).then_some(())))
    }

    /// `troupe` with the options that reach this cluster, up to its subcommand.
    ///
    /// # Errors
    /// The system does not say where this program lies.
    pub(crate) fn client_command(&self, checkout: &Checkout) -> Result<Vec<String>, ClusterError> {
        let program = program(checkout, "troupe")?;
        let reach = &self.reach;
        let words = [
            program.into_os_string(),
            "--server".into(),
            reach.quic.clone().into(),
            "--key-file".into(),
            reach.admin_key.clone().into(),
            "--ca-file".into(),
            reach.ca.clone().into(),
        ];
        Ok(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    /// Has a process ended? The coordinator's end is an error; of a node, its name and how it ended,
    /// told once.
    ///
    /// # Errors
    /// The coordinator has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<(String, String)>, ClusterError> {
        self.coordinator.check()?;
        Ok(self.nodes.iter_mut().find_map(|node| Some((node.name().to_owned(), node.news()?))))
    }

    /// An error with the log of the process that ended by itself, if one did.
    ///
    /// # Errors
    /// That one.
    pub(crate) fn check(&mut self) -> Result<(), ClusterError> {
        self.coordinator.check()?;
        self.nodes.iter_mut().try_for_each(Process::check)
    }

    /// The last lines of every log, for a failure whose cause is not known.
    pub(crate) fn tails(&self) -> String {
        let all = self.nodes.iter().chain([&self.coordinator]);
        all.map(|process| format!("── {}\n{}\n", process.log().display(), process.tail())).collect()
    }

    /// Asks every process to end, in order, and kills those that take longer than `patience`.
    /// True if all of them ended as asked.
    pub(crate) fn stop(mut self, patience: Duration) -> bool {
        let mut orderly = self.coordinator.stop(patience);
        for node in &self.nodes {
            node.ask_to_end();
        }
        for node in &mut self.nodes {
            orderly &= node.stop(patience);
        }
        orderly
    }
}

fn program(checkout: &Checkout, name: &str) -> Result<PathBuf, ClusterError> {
    checkout.program(name).map_err(|source| ClusterError::Start { program: name.into(), source })
}

fn coordinator_command(checkout: &Checkout, plan: &Plan, ready: &Path) -> Result<Command, ClusterError> {
    let mut command = Command::new(program(checkout, "troupe-coordinator")?);
    command.current_dir(checkout.root()).arg("--config").arg(checkout.root().join("cluster.toml"));
    command.arg("--state").arg(plan.state.join("coordinator"));
    for (option, address) in [("--http", plan.http), ("--quic", plan.quic)] {
        if let Some(address) = address {
            command.args([option, &address.to_string()]);
        }
    }
    command.arg("--ready-file").arg(ready);
    Ok(command)
}

fn node_command(checkout: &Checkout, plan: &Plan, reach: &Reach, name: &str) -> Result<Command, ClusterError> {
    let mut command = Command::new(program(checkout, "troupe-node")?);
    command.current_dir(checkout.root()).arg("--config").arg(checkout.root().join("cluster.toml"));
    command.args(["--join", &reach.quic]).arg("--token-file").arg(&reach.join_token);
    command.arg("--state").arg(plan.state.join(name)).args(["--name", name]);
    command.args(["--model", &format!("{MODEL}={}", checkout.root().join(MODEL_FILE).display())]);
    command.args(["--threads", &threads_per_node(plan.nodes).to_string()]);
    Ok(command)
}

/// The nodes share the cores: more threads than cores make every node slower.
fn threads_per_node(nodes: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (cores / nodes.max(1)).max(1)
}

/// Waits until `look` finds something, while all processes live.
fn wait_for<T>(
    processes: &mut [&mut Process],
    interrupts: &Interrupts,
    mut look: impl FnMut() -> Result<Option<T>, ClusterError>,
) -> Result<T, ClusterError> {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        for process in processes.iter_mut() {
            process.check()?;
            if watch.elapsed() > READY {
                let (name, log) = (process.name().to_owned(), process.log().to_owned());
                return Err(ClusterError::NotReady { name, log, tail: process.tail() });
            }
        }
        if interrupts.within(LOOK_AGAIN) {
            return Err(ClusterError::Interrupted);
        }
    }
}

fn read_ready(path: &Path) -> Result<Option<Reach>, ClusterError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ClusterError::files("cannot read", path)(error)),
    };
    let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let field = |field: &'static str| {
        let found = value.get(field).and_then(|value| value.as_str()).map(str::to_owned);
        found.ok_or_else(|| ClusterError::ReadyFile { path: path.to_owned(), field })
    };
    Ok(Some(Reach {
        http: from_here(field("http")?),
        quic: from_here(field("quic")?),
        admin_key: field("admin_key_file")?.into(),
        join_token: field("join_token_file")?.into(),
        ca: field("ca_file")?.into(),
    }))
}

/// Who listens everywhere is reached from here by loopback.
fn from_here(address: String) -> String {
    match address.parse::<SocketAddr>() {
        Ok(everywhere) if everywhere.ip().is_unspecified() => {
            let here: IpAddr =
                if everywhere.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            SocketAddr::new(here, everywhere.port()).to_string()
        }
        _ => address,
    }
}

/// How many nodes serve our model, by `troupe status --json`; none if it does not answer.
fn serving(client: &[String]) -> usize {
    let Some((program, options)) = client.split_first() else {
        return 0;
    };
    let output = Command::new(program).args(options).args(["status", "--json"]).stdin(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return 0;
    };
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    count_serving(&status)
}

fn count_serving(status: &serde_json::Value) -> usize {
    let nodes = status.get("nodes").and_then(|nodes| nodes.as_array());
    let is = |value: &serde_json::Value, key: &str, wanted: &str| value.get(key).is_some_and(|found| found == wanted);
    let serves = |node: &&serde_json::Value| {
        let models = node.get("models").and_then(|models| models.as_array());
        is(node, "state", "ready") && models.is_some_and(|models| models.iter().any(|model| is(model, "model", MODEL)))
    };
    nodes.map_or(0, |nodes| nodes.iter().filter(serves).count())
}

/// The words of a command as a person can paste them.
pub(crate) fn pasteable(words: &[String]) -> String {
    words.iter().map(shell::quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
