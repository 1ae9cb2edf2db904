//! A node's whole life: state, models, cluster, service, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use actors::node::{Node, NodeSettings, NotServed};
use actors::supervisor::{ChildSpec, Supervisor, SupervisorArgs, SupervisorMsg};
use actors::tree::{Branch, look};
use actors::worker::{WorkerHandle, WorkerMetrics, worker};
use futures_util::future::join_all;
use policy::restart::Intensity;
use protocol::ids::NodeId;
use protocol::tree::{ActorState, TreeLine};
use protocol::units::Tokens;
use ractor::{Actor, ActorRef};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use transport::quic::{Dialler, Timing};

use crate::files::{Fetching, FileServer, Places, obtain_all};
use crate::join::{EnterError, QuicDialer, enter};
use crate::models;
use crate::options::{EngineKind, Plan};
use crate::signals::Signals;
use crate::state::{State, StateError};

/// How long an actor may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often supervisors are asked who runs.
const SHOW: Duration = Duration::from_secs(1);

/// A node that cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Enter(#[from] EnterError),
    #[error(transparent)]
    Model(#[from] NotServed),
    #[error("metrics cannot be served at {address}: {source}; choose another --metrics")]
    Metrics { address: std::net::SocketAddr, source: std::io::Error },
    #[error("node.listen: {0}")]
    Listen(#[from] transport::quic::BindError),
    #[error("the metrics cannot be set up: {0}")]
    Recorder(#[from] metrics_exporter_prometheus::BuildError),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    #[error("an actor cannot be started: {0}")]
    Actor(#[from] ractor::SpawnErr),
    #[error("the files of {0} models cannot be fetched; the log above says why")]
    Fetch(usize),
    #[error("{0} failed too often; the log above says why")]
    GivenUp(&'static str),
}

/// Runs the node until it is told to stop.
pub(crate) async fn run(plan: Plan) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(RunError::Signals)?;
    let seed = getrandom::u64().map_err(RunError::Random)?;
    let state = State::open(&plan.config.node.state, NodeId(seed))?;
    let name = plan.config.node.name.clone().unwrap_or_else(|| host(state.id));
    tracing::info!("node {name} ({}), start {}, state in {}", state.id, state.incarnation.0, state.folder().display());

    let recorder = crate::metrics::recorder()?;
    if let Some(address) = plan.config.node.metrics {
        let bound = crate::metrics::serve(address, recorder.handle()).await;
        let bound = bound.map_err(|source| RunError::Metrics { address, source })?;
        tracing::info!("metrics at http://{bound}/metrics");
    }
    let mut places = tokio::select! {
        places = places(&plan, &state) => places?,
        () = signals.next() => {
            tracing::info!("stopping before all model files are there; the next start goes on where this one was");
            return Ok(());
        }
    };
    let files = places.iter().filter_map(|(name, place)| Some((name.clone(), place.clone().ok()?))).collect();
    let files = Arc::new(FileServer::new(files, &plan.config.node.models));
    let mut handles = Vec::new();
    let mut workers = Vec::new();
    for (model_name, model) in &plan.models {
        let place = places.remove(model_name).unwrap_or_else(|| Ok(model.path.clone()));
        let (factory, drive) = models::factory(plan.engine, model_name, model, &plan.config.node, place);
        let counts = metrics::with_local_recorder(&recorder, || WorkerMetrics::new(model_name));
        let (handle, child) = worker(model_name, factory, drive, counts);
        handle.bound_queue(Tokens(model.queue_tokens.into()));
        handles.push(handle);
        // A tree for each model: one that is given up takes no other down.
        workers.push(Tree::start(&plan, vec![child], seed).await?);
    }
    let ready = async { tokio::try_join!(credentials(&plan, &state), node(&plan, &state, name, &handles, seed)) };
    let (credentials, node) = tokio::select! {
        ready = ready => ready?,
        () = signals.next() => {
            tracing::info!("stopping before it has begun to serve");
            return Ok(());
        }
        () = all_ended(&mut workers) => return Err(RunError::GivenUp("the workers")),
    };
    let _peers = crate::peers::begin(&plan, &node, &credentials, files)?;
    for missing in node.missing() {
        tracing::error!("{missing}; the node serves its other models");
        // It would only fail again: its files do not change by themselves.
        if let Some(place) = handles.iter().position(|handle| handle.model() == missing.model) {
            handles.remove(place);
            workers.remove(place).stop().await;
        }
    }
    let dialler = Dialler::new(Timing::from(&plan.config.wire));
    let links = plan.config.node.coordinators.iter().map(|address| {
        let (address, credentials) = (address.clone(), Arc::clone(&credentials));
        node.link(Arc::new(QuicDialer { address, dialler, credentials }))
    });
    let mut links = Tree::start(&plan, links.collect(), seed).await?;
    let models = handles.iter().zip(&workers).map(|(handle, tree)| tree.branch(format!("model {}", handle.model())));
    let branches: Vec<Branch> = models.chain([links.branch("links".to_owned())]).collect();
    tokio::select! {
        () = signals.next() => {}
        () = tell_tree(&node, &branches) => {}
        () = all_ended(&mut workers) => return Err(RunError::GivenUp("the workers")),
        () = links.ended() => return Err(RunError::GivenUp("the links")),
    }
    tokio::select! {
        () = stop(&plan, &node, links, workers) => {}
        () = signals.next() => tracing::warn!("told to stop twice: ending at once"),
    }
    Ok(())
}

/// What the engine of each model opens. Fetches what is not there.
async fn places(plan: &Plan, state: &State) -> Result<Places, RunError> {
    if plan.engine == EngineKind::Mock {
        // It opens nothing; what has a path is handed to other nodes all the same.
        let given = plan.models.iter().filter(|(_, model)| !model.path.as_os_str().is_empty());
        return Ok(given.map(|(name, model)| (name.clone(), Ok(model.path.clone()))).collect());
    }
    obtain_all(Fetching { config: &plan.config, models: &plan.models }, credentials(plan, state)).await
}

/// Fetches the files of all models, says where they lie, and that is all.
pub(crate) async fn fetch(plan: Plan) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(RunError::Signals)?;
    let fetching = Fetching { config: &plan.config, models: &plan.models };
    let joined = async {
        // Only those who come from another node need a state folder.
        let seed = getrandom::u64().map_err(RunError::Random)?;
        let state = State::open(&plan.config.node.state, NodeId(seed))?;
        credentials(&plan, &state).await
    };
    let places = tokio::select! {
        places = obtain_all(fetching, joined) => places?,
        () = signals.next() => {
            tracing::info!("stopped; the next fetch goes on where this one was");
            return Ok(());
        }
    };
    for (name, place) in &places {
        match place {
            Ok(path) => println!("{name}: {}", path.display()),
            Err(reason) => tracing::error!("{name}: {reason}"),
        }
    }
    match places.values().filter(|place| place.is_err()).count() {
        0 => Ok(()),
        missing => Err(RunError::Fetch(missing)),
    }
}

/// Tells coordinators who runs here, as that changes; for ever.
async fn tell_tree(node: &Node, branches: &[Branch]) {
    let missing = node.missing().iter().map(|missing| TreeLine {
        state: ActorState::Dead,
        failure: Some(missing.reason.clone()),
        ..TreeLine::running(0, format!("model {}", missing.model))
    });
    let missing: Vec<TreeLine> = missing.collect();
    let mut ticks = tokio::time::interval(SHOW);
    loop {
        ticks.tick().await;
        let mut lines = look(branches).await;
        lines.extend(missing.iter().cloned());
        node.tell_tree(lines);
    }
}

/// Lets running answers come to their end, says goodbye, and lets go of the engines.
async fn stop(plan: &Plan, node: &Node, links: Tree, workers: Vec<Tree>) {
    let limit = plan.config.requests.drain;
    tracing::info!("stopping: no new jobs, running ones may go on for {limit}");
    if !node.drain(limit.0).await {
        tracing::warn!("jobs were still running after {limit}; they are handed back, to go on elsewhere");
    }
    links.stop().await;
    join_all(workers.into_iter().map(Tree::stop)).await;
    tracing::info!("stopped");
}

async fn credentials(plan: &Plan, state: &State) -> Result<Arc<transport::pki::Credentials>, RunError> {
    let dialler = Dialler::new(Timing::from(&plan.config.wire));
    let backoff = Intensity::from(&plan.config.supervision).backoff;
    let token = plan.token_file.as_deref();
    Ok(Arc::new(enter(state, token, &plan.config.node.coordinators, dialler, backoff).await?))
}

/// Waits until every model is loaded.
async fn node(plan: &Plan, state: &State, name: String, handles: &[WorkerHandle], seed: u64) -> Result<Node, RunError> {
    let begun = Instant::now();
    for handle in handles {
        let shown = handle.clone();
        tokio::spawn(async move {
            if let Ok(served) = shown.served().await {
                let card = &served.card;
                tracing::info!(
                    "{} is ready after {:.1} s: {}, {} on {}, context {}, {} of {} in the KV cache",
                    card.model,
                    begun.elapsed().as_secs_f64(),
                    card.architecture,
                    card.dtype,
                    card.device,
                    card.context,
                    card.blocks,
                    card.block
                );
            }
        });
    }
    let settings = NodeSettings {
        id: state.id,
        name,
        incarnation: state.incarnation,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        streams: plan.config.wire.streams as usize,
        patience: plan.config.wire.handshake.0,
        backoff: Intensity::from(&plan.config.supervision).backoff,
        seed,
    };
    Ok(Node::new(settings, handles.to_vec()).await?)
}

/// A supervisor with its children.
struct Tree {
    supervisor: ActorRef<SupervisorMsg>,
    /// None once it has ended.
    running: Option<JoinHandle<()>>,
}

impl Tree {
    async fn start(plan: &Plan, children: Vec<ChildSpec>, seed: u64) -> Result<Self, RunError> {
        let intensity = Intensity::from(&plan.config.supervision);
        let args = SupervisorArgs { intensity, children, seed, grace: GRACE };
        let (supervisor, running) = Supervisor::spawn(None, Supervisor, args).await?;
        Ok(Self { supervisor, running: Some(running) })
    }

    fn branch(&self, name: String) -> Branch {
        Branch { name, supervisor: self.supervisor.clone() }
    }

    /// Resolves when it has given up.
    async fn ended(&mut self) {
        if let Some(running) = &mut self.running {
            // How it ended is in the log.
            drop(running.await);
            self.running = None;
        }
    }

    async fn stop(mut self) {
        self.supervisor.stop(None);
        self.ended().await;
    }
}

/// Resolves when every one has given up: with the last model, the node has nothing to serve.
async fn all_ended(trees: &mut [Tree]) {
    join_all(trees.iter_mut().map(Tree::ended)).await;
}

/// What the machine is called.
fn host(id: NodeId) -> String {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name: String = name.unwrap_or_default().trim().chars().take(64).collect();
    if name.is_empty() { format!("node-{id}") } else { name }
}
