//! A cluster of processes: one coordinator and some nodes, on loopback, in a temporary folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use client::{Client, ConnectOptions, Trust};
use nix::sys::signal::Signal;
use protocol::answer::{ClusterStatus, NodeState};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::build;
use crate::http::Http;
use crate::process::Process;
use crate::wait;

/// What requests call the model.
pub const MODEL: &str = "smollm2";

/// The cluster's configuration, in its folder.
const CONFIG: &str = "cluster.toml";

/// Clusters with a real model that may run at once: each fills the cores.
static REAL: Semaphore = Semaphore::const_new(1);

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The mock with its timing model: cheap.
    Mock,
    /// The real model on libtorch.
    Torch,
}

/// Where the coordinator can be reached, by its ready file.
#[derive(Clone, Debug)]
pub struct Reach {
    /// `HOST:PORT` of HTTP.
    pub http: String,
    /// `HOST:PORT` of QUIC.
    pub quic: String,
    /// The admin key.
    pub key: String,
    /// The file with the admin key.
    pub key_file: PathBuf,
    /// The file with the join token.
    pub token_file: PathBuf,
    /// The file with the CA's certificate.
    pub ca_file: PathBuf,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// What answers.
    pub engine: Engine,
    /// The content of `cluster.toml` for all of them; empty for the defaults.
    pub config: String,
    /// What every node's command line has beside the usual.
    pub node_arguments: Vec<String>,
}

impl Plan {
    /// With the defaults.
    pub fn new(nodes: usize, engine: Engine) -> Self {
        Self { nodes, engine, config: String::new(), node_arguments: Vec::new() }
    }
}

/// A running cluster. Dropping kills its processes.
#[derive(Debug)]
pub struct Cluster {
    /// Where to reach it.
    pub reach: Reach,
    /// The coordinator.
    pub coordinator: Process,
    /// Its nodes, `node-1` first; none where one was killed.
    pub nodes: Vec<Option<Process>>,
    plan: Plan,
    folder: TempDir,
    _slot: Option<SemaphorePermit<'static>>,
}

impl Cluster {
    /// Starts it and waits until every node serves.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(nodes: usize, engine: Engine) -> Self {
        Self::of(Plan::new(nodes, engine)).await
    }

    /// Starts what is planned and waits until every node serves.
    ///
    /// # Panics
    /// It does not start.
    pub async fn of(plan: Plan) -> Self {
        let nodes = plan.nodes;
        let slot = match plan.engine {
            Engine::Mock => None,
            Engine::Torch => REAL.acquire().await.ok(),
        };
        let folder = match tempfile::Builder::new().prefix("troupe-tests-").tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        if let Err(error) = std::fs::write(folder.path().join(CONFIG), &plan.config) {
            panic!("the configuration cannot be written: {error}");
        }
        let (coordinator, reach) = start_coordinator(folder.path(), "127.0.0.1:0", "127.0.0.1:0").await;
        let mut cluster = Self { reach, coordinator, nodes: Vec::new(), plan, folder, _slot: slot };
        for index in 0..nodes {
            let node = cluster.start_node(index);
            cluster.nodes.push(Some(node));
        }
        cluster.ready(nodes).await;
        cluster
    }

    /// The folder with all state and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command that starts a node, `node-1` for index 0, with its state in the folder.
    pub fn node_command(&self, index: usize) -> Command {
        let name = format!("node-{}", index + 1);
        let mut command = Command::new(build::program("troupe-node"));
        command.current_dir(self.folder());
        command.args(["--config", CONFIG, "--join", &self.reach.quic]).arg("--token-file").arg(&self.reach.token_file);
        command.arg("--state").arg(self.folder().join(&name)).args(["--name", &name]);
        let model = format!("{MODEL}={}", build::model().display());
        command.args(&self.plan.node_arguments);
        match self.plan.engine {
            Engine::Mock => command.args(["--engine", "mock", "--model", &model]),
            Engine::Torch => command.args(["--model", &model, "--dtype", "bf16", "--threads", "1"]),
        };
        command
    }

    /// Starts nodes that join other coordinators of the cluster too, and waits until they serve.
    ///
    /// # Panics
    /// They do not.
    pub async fn join_all(&mut self, nodes: usize, others: &[&Reach]) {
        for other in others {
            self.plan.node_arguments.extend(["--join".to_owned(), other.quic.clone()]);
        }
        for index in self.nodes.len()..nodes {
            let node = self.start_node(index);
            self.nodes.push(Some(node));
        }
        self.ready(nodes).await;
    }

    fn start_node(&self, index: usize) -> Process {
        Process::start(&format!("node-{}", index + 1), self.node_command(index), self.folder())
    }

    /// Ends a node at once, as a power cut does.
    ///
    /// # Panics
    /// There is no such node.
    pub fn kill_node(&mut self, index: usize) {
        match self.nodes.get_mut(index).and_then(Option::take) {
            Some(mut node) => node.signal(Signal::SIGKILL),
            None => panic!("there is no node {index} to kill"),
        }
    }

    /// Sends a signal to a node.
    ///
    /// # Panics
    /// There is no such node.
    pub fn signal_node(&mut self, index: usize, signal: Signal) {
        match self.nodes.get_mut(index) {
            Some(Some(node)) => node.signal(signal),
            _ => panic!("there is no node {index} to signal"),
        }
    }

    /// Where a node serves its metrics, by its log. It must have been started with `--metrics`.
    ///
    /// # Panics
    /// It serves none.
    pub fn node_metrics(&self, index: usize) -> String {
        let log = self.nodes.get(index).and_then(Option::as_ref).map(Process::log).unwrap_or_default();
        let address = log.lines().filter_map(|line| line.split_once("metrics at http://")).next_back();
        match address.and_then(|(_, rest)| rest.strip_suffix("/metrics")) {
            Some(address) => address.to_owned(),
            None => panic!("node {index} tells of no metrics: {log}"),
        }
    }

    /// Starts a killed node again, with the state that it left.
    ///
    /// # Panics
    /// There was none.
    pub fn restart_node(&mut self, index: usize) {
        let node = self.start_node(index);
        match self.nodes.get_mut(index) {
            Some(place) if place.is_none() => *place = Some(node),
            _ => panic!("node {index} was not killed"),
        }
    }

    /// Starts the coordinator again after its end, with its state and addresses.
    ///
    /// # Panics
    /// It still runs, or does not start.
    pub async fn restart_coordinator(&mut self) {
        assert!(self.coordinator.ended().is_some(), "the coordinator still runs");
        let (http, quic) = (self.reach.http.clone(), self.reach.quic.clone());
        let (coordinator, reach) = start_coordinator(self.folder.path(), &http, &quic).await;
        self.coordinator = coordinator;
        self.reach = reach;
    }

    /// Another coordinator of the same cluster, with a state folder of its own.
    ///
    /// # Panics
    /// It does not start.
    pub async fn second_coordinator(&self) -> (Process, Reach) {
        self.another_coordinator("second", None).await
    }

    /// Likewise, by a name of its own, and with settings of its own.
    ///
    /// # Panics
    /// It does not start.
    pub async fn another_coordinator(&self, name: &str, config: Option<&str>) -> (Process, Reach) {
        let (folder, file) = (self.folder().join(name), self.folder().join(format!("{name}.authority")));
        if let Err(error) = std::fs::create_dir(&folder) {
            panic!("{}: {error}", folder.display());
        }
        if let Some(config) = config
            && let Err(error) = std::fs::write(folder.join(CONFIG), config)
        {
            panic!("the configuration cannot be written: {error}");
        }
        for (folder, verb) in [(self.folder(), "export"), (folder.as_path(), "import")] {
            let mut command = Command::new(build::program("troupe-coordinator"));
            command.arg("--state").arg(folder.join("coordinator")).args(["authority", verb]).arg(&file);
            let output = run(command).await;
            assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        }
        start_coordinator(&folder, "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts it again after its end, with its state and addresses.
    ///
    /// # Panics
    /// It does not start.
    pub async fn again(&self, name: &str, reach: &Reach) -> Process {
        start_coordinator(&self.folder().join(name), &reach.http, &reach.quic).await.0
    }

    /// The cluster's HTTP, with the admin key.
    pub fn http(&self) -> Http {
        Http::new(&self.reach.http, Some(&self.reach.key))
    }

    /// A client of the library.
    ///
    /// # Panics
    /// It cannot connect.
    pub async fn client(&self) -> Client {
        let trust = Trust::CaFile(self.reach.ca_file.clone());
        match Client::connect(ConnectOptions::new(&self.reach.quic, self.reach.key.as_str(), trust)).await {
            Ok(client) => client,
            Err(error) => panic!("no connection: {error}"),
        }
    }

    /// `troupe` with these arguments, for this cluster.
    pub fn troupe<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = troupe(self.folder());
        command.args(["--server", &self.reach.quic]);
        command.arg("--key-file").arg(&self.reach.key_file);
        command.arg("--ca-file").arg(&self.reach.ca_file);
        command.args(arguments);
        command
    }

    /// `troupe status --json`.
    ///
    /// # Errors
    /// What it says when it fails.
    pub async fn status(&self) -> Result<ClusterStatus, String> {
        let output = run(self.troupe(&["status", "--json"])).await;
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
    }

    /// Waits until so many nodes, and no other, serve.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn ready(&self, nodes: usize) -> ClusterStatus {
        let what = format!("{nodes} nodes serve");
        wait::until(&what, || async {
            let status = self.status().await?;
            let serves = status.nodes.iter().all(|node| node.state == NodeState::Ready && !node.models.is_empty());
            if serves && status.nodes.len() == nodes { Ok(status) } else { Err(format!("{status:#?}")) }
        })
        .await
    }

    /// Waits until no job is anywhere and no KV block is in use.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn idle(&self) {
        wait::until("every block is free and no job is left", || async {
            let status = self.status().await?;
            let mut models = status.nodes.iter().flat_map(|node| &node.models);
            let free = models.all(|model| model.blocks_used.0 == 0 && model.running == 0 && model.waiting == 0);
            if free && status.requests == 0 { Ok(()) } else { Err(format!("{status:#?}")) }
        })
        .await;
    }
}

/// `troupe`, with nothing of the environment that could lead it elsewhere.
pub fn troupe(folder: &Path) -> Command {
    let mut command = Command::new(build::program("troupe"));
    command.current_dir(folder).stdin(Stdio::null());
    for variable in ["TROUPE_SERVER", "TROUPE_KEY", "TROUPE_KEY_FILE", "TROUPE_CA", "TROUPE_FINGERPRINT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end.
///
/// # Panics
/// It cannot be started.
pub async fn run(command: Command) -> Output {
    match tokio::process::Command::from(command).kill_on_drop(true).output().await {
        Ok(output) => output,
        Err(error) => panic!("a command cannot be started: {error}"),
    }
}

/// The command that starts a coordinator with its state in the folder.
pub fn coordinator_command(folder: &Path, http: &str, quic: &str) -> Command {
    let mut command = Command::new(build::program("troupe-coordinator"));
    command.current_dir(folder).arg("--state").arg(folder.join("coordinator"));
    command.args(["--http", http, "--quic", quic]);
    if folder.join(CONFIG).exists() {
        command.args(["--config", CONFIG]);
    }
    command
}

async fn start_coordinator(folder: &Path, http: &str, quic: &str) -> (Process, Reach) {
    let ready = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let mut command = coordinator_command(folder, http, quic);
    command.arg("--ready-file").arg(&ready);
    let mut coordinator = Process::start("coordinator", command, folder);
    let reach = wait::until("the coordinator writes its ready file", || {
        if let Some(status) = coordinator.ended() {
            panic!("the coordinator ended too soon ({status}):\n{}", coordinator.tail());
        }
        let found = read_ready(&ready);
        async { found }
    })
    .await;
    (coordinator, reach)
}

fn read_ready(path: &Path) -> Result<Reach, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let field = |name: &str| {
        let found = value.get(name).and_then(|field| field.as_str());
        found.map(str::to_owned).ok_or_else(|| format!("no `{name}` in {text}"))
    };
    let key_file = PathBuf::from(field("admin_key_file")?);
    let key = std::fs::read_to_string(&key_file).map_err(|error| format!("{}: {error}", key_file.display()))?;
    Ok(Reach {
        http: field("http")?,
        quic: field("quic")?,
        key: key.trim().to_owned(),
        key_file,
        token_file: field("join_token_file")?.into(),
        ca_file: field("ca_file")?.into(),
    })
}
