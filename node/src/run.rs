//! A node's whole life: state, models, cluster, service, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use actors::node::{Node, NodeSettings, NotServed, redial};
use actors::tree::{Branch, look};
use actors::worker::WorkerHandle;
use policy::restart::Intensity;
use protocol::ids::NodeId;
use tokio::sync::{mpsc, watch};
use transport::quic::{Dialler, Timing};

use crate::files::{Fetching, FileServer, obtain_all};
use crate::join::{EnterError, QuicDialer, enter};
use crate::keeper::{Keeper, Shown, Sources, WISHES};
use crate::options::Plan;
use crate::signals::Signals;
use crate::state::{State, StateError};
use crate::tree::Tree;

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
    let files = Arc::new(FileServer::new(&plan.config.node.models));
    let sources = Sources::new(&plan, &state, Arc::clone(&files));
    let mut keeper = Keeper::new(&plan, &recorder, sources, seed);
    tokio::select! {
        begun = keeper.begin() => begun?,
        () = signals.next() => {
            tracing::info!("stopping before all model files are there; the next start goes on where this one was");
            return Ok(());
        }
    }
    let handles = keeper.handles();
    let ready = async { tokio::try_join!(credentials(&plan, &state), node(&plan, &state, name, handles, seed)) };
    let (credentials, node) = tokio::select! {
        ready = ready => ready?,
        () = signals.next() => {
            tracing::info!("stopping before it has begun to serve");
            return Ok(());
        }
        () = keeper.all_ended() => return Err(RunError::GivenUp("the workers")),
    };
    let (wish, wishes) = mpsc::channel(WISHES);
    node.heed(wish);
    let peers = || crate::peers::begin(&plan, &node, &credentials, files);
    let _peers = metrics::with_local_recorder(&recorder, peers)?;
    keeper.settle(&node).await;
    let dialler = Dialler::new(Timing::from(&plan.config.wire));
    let links = plan.config.node.coordinators.iter().map(|address| {
        let (address, credentials) = (address.clone(), Arc::clone(&credentials));
        let (handshake, late) = (plan.config.wire.handshake.0, Default::default());
        node.link(Arc::new(QuicDialer { address, dialler, credentials, handshake, late }))
    });
    let mut links = Tree::start(&plan, links.collect(), seed).await?;
    let (links_branch, shown) = (links.branch("links".to_owned()), keeper.shown());
    tokio::select! {
        () = signals.next() => {}
        () = tell_tree(&node, &links_branch, &shown) => {}
        () = keeper.run(&node, wishes) => return Err(RunError::GivenUp("the workers")),
        () = links.ended() => return Err(RunError::GivenUp("the links")),
    }
    tokio::select! {
        () = stop(&plan, &node, links, keeper) => {}
        () = signals.next() => tracing::warn!("told to stop twice: ending at once"),
    }
    Ok(())
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
        places = obtain_all(fetching, joined, watch::Sender::default()) => places?,
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
async fn tell_tree(node: &Node, links: &Branch, shown: &watch::Receiver<Shown>) {
    let mut ticks = tokio::time::interval(SHOW);
    loop {
        ticks.tick().await;
        let Shown { mut branches, failed } = shown.borrow().clone();
        branches.push(links.clone());
        let mut lines = look(&branches).await;
        lines.extend(failed);
        node.tell_tree(lines);
    }
}

/// Lets running answers come to their end, says goodbye, and lets go of the engines.
async fn stop(plan: &Plan, node: &Node, links: Tree, keeper: Keeper<'_>) {
    let limit = plan.config.requests.drain;
    tracing::info!("stopping: no new jobs, running ones may go on for {limit}");
    if !node.drain(limit.0).await {
        tracing::warn!("jobs were still running after {limit}; they are handed back, to go on elsewhere");
    }
    links.stop().await;
    keeper.stop().await;
    tracing::info!("stopped");
}

/// What this node proves itself by; joins the cluster if it has not.
pub(crate) async fn credentials(plan: &Plan, state: &State) -> Result<Arc<transport::pki::Credentials>, RunError> {
    let dialler = Dialler::new(Timing::from(&plan.config.wire));
    let backoff = Intensity::from(&plan.config.supervision).backoff;
    let token = plan.token_file.as_deref();
    Ok(Arc::new(enter(state, token, &plan.config.node.coordinators, dialler, backoff).await?))
}

/// Waits until every model is loaded.
async fn node(
    plan: &Plan,
    state: &State,
    name: String,
    handles: Vec<WorkerHandle>,
    seed: u64,
) -> Result<Node, RunError> {
    let settings = NodeSettings {
        id: state.id,
        name,
        incarnation: state.incarnation,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        streams: plan.config.wire.streams as usize,
        patience: plan.config.wire.handshake.0,
        backoff: redial(&plan.config),
        seed,
    };
    Ok(Node::new(settings, handles).await?)
}

/// What the machine is called.
fn host(id: NodeId) -> String {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name: String = name.unwrap_or_default().trim().chars().take(64).collect();
    if name.is_empty() { format!("node-{id}") } else { name }
}
