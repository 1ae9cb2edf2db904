//! A coordinator as a process: its doors open, its actors under supervision, its end in order.
//!
//! The tree: a supervisor over `doors` (takes QUIC connections in) and `health` (looks for suspects); beside it
//! the hub, under which requests and links come and go, each an actor of its own; and HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actors::cluster::Clock;
use actors::cluster::answering::Answering;
use actors::cluster::degrading::Degrading;
use actors::cluster::directory::Directory;
use actors::cluster::hub::Work;
use actors::cluster::index::PrefixIndex;
use actors::cluster::job::{JobSettings, Retries, Shared};
use actors::cluster::link::{self, LinkEnd, LinkSettings};
use actors::cluster::loading::Wishing;
use actors::cluster::looks::{Looks, SWEEP};
use actors::cluster::metrics::ClusterMetrics;
use actors::cluster::texts::Texts;
use actors::cluster::waiting::Waiting;
use actors::cost::Accounts;
use actors::supervisor::{Supervisor, SupervisorArgs, looped};
use actors::tree::{Branch, look};
use policy::ledger::AlertRaised;
use policy::restart::{Backoff, Intensity};
use protocol::config::Config;
use protocol::tree::TreeLine;
use protocol::units::{Tokens, UnixMillis};
use providers::Pool;
use ractor::{Actor, ActorRef, SpawnErr};
use store::RedbStore;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use transport::connection::Connection;
use transport::error::Code;
use transport::join;
use transport::pki::PkiError;
use transport::quic::{BindError, Incoming, Listener, Role, Timing};

use crate::alerts;
use crate::decisions::Decisions;
use crate::escrow::{self, Upward};
use crate::http::{Ending, HttpOptions, MetricsText, router, serve};
use crate::pricing::Pricing;
use crate::quic_door::{self, DoorSettings};
use crate::refusals::Refusals;
use crate::router::{Router, RouterError};
use crate::scale::Scaling;
use crate::server::{Once, Parts, Server};
use crate::service::Service;
use crate::state::{State, StateError};

/// Keys, budgets and usage, in the state folder.
const STORE: &str = "store.redb";
/// How often the supervisor is asked who runs.
const SHOW: Duration = Duration::from_secs(1);
/// How long an actor may take to stop.
const GRACE: Duration = Duration::from_secs(1);

/// A coordinator that cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The QUIC port.
    #[error(transparent)]
    Quic(#[from] BindError),
    /// The HTTP port.
    #[error(
        "TCP {address} cannot be used: {source}; stop what uses it, or choose another with --http or coordinator.http"
    )]
    Http {
        /// As it was given.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The ready file.
    #[error("{path}: {source}")]
    Ready {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Keys, budgets and usage.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// What the store holds.
    #[error(transparent)]
    Accounts(#[from] actors::cost::OpenError),
    /// Models of providers.
    #[error(transparent)]
    Providers(#[from] providers::pool::PoolError),
    /// Which model answers for `auto`.
    #[error(transparent)]
    Router(#[from] RouterError),
    /// ractor.
    #[error("the actors cannot be started: {0}")]
    Actors(#[from] SpawnErr),
    /// The tree has given up.
    #[error("a part has failed too often: see the log")]
    GivenUp,
}

/// What others need to know of a running coordinator: the content of the ready file.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Ready {
    http: String,
    quic: String,
    admin_key_file: PathBuf,
    join_token_file: PathBuf,
    ca_file: PathBuf,
}

/// Runs until `stop` completes, then ends in order.
///
/// # Errors
/// What keeps it from starting, or a part that failed too often.
pub async fn run(
    config: Config,
    ready: Option<PathBuf>,
    metrics: MetricsText,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let state = Arc::new(State::open(&config.coordinator.state, unix_now())?);
    let credentials = state.authority.coordinator(unix_now())?;
    let reset = Some(state.authority.reset_key());
    let listener = Listener::bind(config.coordinator.quic, &credentials, Timing::from(&config.wire), reset)?;
    let address = config.coordinator.http;
    let http = |source| RunError::Http { address, source };
    let tcp = TcpListener::bind(address).await.map_err(http)?;
    let told = Ready {
        http: tcp.local_addr().map_err(http)?.to_string(),
        quic: listener.address().to_string(),
        admin_key_file: state.admin_key_file(),
        join_token_file: state.join_token_file(),
        ca_file: state.ca_file(),
    };
    let (accounts, alerts) = accounts(&config)?;
    let server = server(&config, &state, accounts.clone()).await?;
    let told_of = alerts::tell(alerts, config.cluster.name.clone(), config.accounts.webhook.clone());
    tokio::spawn(told_of);
    let listener = Arc::new(Mutex::new(listener));
    let tree = tree(&config, &state, &server, &listener).await?;
    tracing::info!(
        "cluster {} ({}): HTTP on {}, QUIC on {}",
        config.cluster.name,
        state.authority.cluster(),
        told.http,
        told.quic
    );
    tracing::info!("admin key in {}, join token in {}", told.admin_key_file.display(), told.join_token_file.display());
    if let Some(path) = ready {
        write_ready(&path, &told).map_err(|source| RunError::Ready { path, source })?;
    }
    let mut options = HttpOptions::new(Arc::new(wall_clock));
    options.body_limit = config.coordinator.body_limit;
    options.first_piece = config.requests.timeout;
    options.metrics = Some(metrics);
    let ending = Ending { grace: config.requests.drain, cut: options.cut.clone() };
    let router = router(Arc::new(server.door.clone()), options);
    let serving = async { serve(tcp, router, stop.clone().cancelled_owned(), ending).await.map_err(http) };
    // Both doors close at once; what came by either has the same time.
    let draining = async {
        stop.cancelled().await;
        tracing::info!("stopping: running answers have {}", config.requests.drain);
        if tokio::time::timeout(config.requests.drain.0, server.door.drain()).await.is_err() {
            tracing::warn!("answers are cut: they took longer than {}", config.requests.drain);
        }
        Ok(())
    };
    let outcome = tokio::select! {
        served = async { tokio::try_join!(serving, draining) } => served.map(|_| ()),
        () = gone(&tree) => Err(RunError::GivenUp),
        () = watch_tree(&tree, &server.shown) => Err(RunError::GivenUp),
        // Without the hub nothing is served: better to end, and be started anew.
        () = hub_gone(&server.hub) => Err(RunError::GivenUp),
    };
    // What it has used and not told is told after its next start, else.
    accounts.told(config.accounts.settle_every.0.min(GRACE) + GRACE).await;
    tree.stop(None);
    gone(&tree).await;
    accounts.flush().await;
    let listener = listener.lock().await;
    listener.close(Code::Stopping, "the coordinator stops");
    // Peers are told within moments, or notice by themselves.
    let _ = tokio::time::timeout(GRACE, listener.wait_idle()).await;
    outcome
}

/// The service and what links need of it.
struct Running {
    /// Who runs under the supervisor.
    shown: watch::Sender<Vec<TreeLine>>,
    door: Server,
    hub: ActorRef<Work>,
    directory: Arc<Directory>,
    texts: Arc<Texts>,
    index: Arc<PrefixIndex>,
    waiting: Arc<Waiting>,
    degrading: Arc<Degrading>,
    wishing: Arc<Wishing>,
    accounts: Accounts,
    pricing: Arc<Pricing>,
    upward: Option<Arc<Upward>>,
}

/// Keys, budgets and usage, as the store holds them.
fn accounts(config: &Config) -> Result<(Accounts, mpsc::Receiver<AlertRaised>), RunError> {
    let path = config.accounts.store.clone().unwrap_or_else(|| config.coordinator.state.join(STORE));
    let opened = Arc::new(RedbStore::open(path)?);
    Ok(Accounts::open_as(opened, Arc::new(|| UnixMillis(unix_millis())), escrow::part(config)?)?)
}

async fn server(config: &Config, state: &Arc<State>, accounts: Accounts) -> Result<Running, RunError> {
    let hub = Server::hub().await?;
    let shown = watch::Sender::default();
    let index = PrefixIndex::new();
    let directory = Directory::with(Clock::start(), config, config.coordinator.max_nodes, Arc::clone(&index) as _);
    let texts = Arc::new(Texts::default());
    let waiting = Arc::new(Waiting::new((&config.queue).into(), config.queue.patience.0));
    let rules = config.degrade.enabled.then(|| (&config.degrade).into());
    let degrading = Arc::new(Degrading::new(rules));
    let pricing = Arc::new(Pricing::new(config));
    let upward = Upward::new(config, state, &accounts);
    let pool = Arc::new(Pool::new(&config.providers, &config.breaker, |name| std::env::var(name).ok())?);
    let door = Server::new(Parts {
        name: config.cluster.name.clone(),
        state: Arc::clone(state),
        texts: Arc::clone(&texts),
        hub: hub.clone(),
        shared: Shared {
            directory: Arc::clone(&directory),
            retries: Arc::new(Retries::new((&config.retry).into())),
            waiting: Arc::clone(&waiting),
            settings: JobSettings::from(&config.requests),
            metrics: ClusterMetrics::new(),
            recent: Arc::default(),
        },
        max_requests: config.coordinator.max_requests as usize,
        degrading: Arc::clone(&degrading),
        degrade: config.degrade.clone(),
        answering: Answering::new((&config.answers).into()),
        tree: shown.subscribe(),
        accounts: accounts.clone(),
        pricing: Arc::clone(&pricing),
        scaling: Scaling::new(config),
        router: Router::new(config.routing.clone())?,
        pool,
        fallbacks: config.fallbacks.clone(),
        expected: Tokens(config.placement.answer.into()),
        decisions: Arc::new(Decisions::new(config.accounts.explanations as usize)),
        once: Once::new(&config.accounts),
        upward: upward.clone(),
    });
    let wishing = Arc::new(Wishing::new(config.loading.enabled.then(|| (&config.loading).into())));
    Ok(Running { shown, door, hub, directory, texts, index, waiting, degrading, wishing, accounts, pricing, upward })
}

async fn tree(
    config: &Config,
    state: &Arc<State>,
    running: &Running,
    listener: &Arc<Mutex<Listener>>,
) -> Result<ActorRef<actors::supervisor::SupervisorMsg>, RunError> {
    let supervision = &config.supervision;
    let intensity = Intensity {
        max_restarts: supervision.max_restarts,
        within: supervision.within.0,
        backoff: Backoff { first: supervision.backoff.0, longest: supervision.max_backoff.0 },
    };
    let doors = Doors {
        state: Arc::clone(state),
        service: Arc::new(running.door.clone()),
        hub: running.hub.clone(),
        directory: Arc::clone(&running.directory),
        texts: Arc::clone(&running.texts),
        refusals: Refusals::default(),
        index: Arc::clone(&running.index),
        patience: config.wire.handshake.0,
        streams: config.wire.streams as usize,
    };
    let (listener, looks) = (Arc::clone(listener), Swept::of(running));
    let (accounts, keep) = (running.accounts.clone(), config.accounts.keep.0);
    let mut children = vec![
        looped("doors", move || Box::pin(doors.clone().open(Arc::clone(&listener)))),
        looped("health", move || Box::pin(looks.clone().sweep())),
        looped("cost", move || Box::pin(accounts.clone().watch(keep))),
    ];
    if let Some(upward) = running.upward.clone() {
        children.push(looped("escrow", move || Box::pin(Arc::clone(&upward).run())));
    }
    let args = SupervisorArgs { intensity, children, seed: u64::from(std::process::id()), grace: GRACE };
    let (tree, _) = Actor::spawn(None, Supervisor, args).await?;
    running.hub.get_cell().link(tree.get_cell());
    Ok(tree)
}

/// Keeps what people are shown of the supervisor; for ever.
async fn watch_tree(tree: &ActorRef<actors::supervisor::SupervisorMsg>, shown: &watch::Sender<Vec<TreeLine>>) {
    let branches = [Branch { name: "supervisor".to_owned(), supervisor: tree.clone() }];
    let mut ticks = tokio::time::interval(SHOW);
    loop {
        ticks.tick().await;
        shown.send_replace(look(&branches).await);
    }
}

async fn gone(tree: &ActorRef<actors::supervisor::SupervisorMsg>) {
    // An error says that it is gone already.
    let _ = tree.wait(None).await;
}

async fn hub_gone(hub: &ActorRef<Work>) {
    // An error says that it is gone already.
    let _ = hub.wait(None).await;
}

/// What is looked at several times a second.
#[derive(Clone)]
struct Swept {
    looks: Looks,
    wishing: Arc<Wishing>,
    pricing: Arc<Pricing>,
}

impl Swept {
    fn of(running: &Running) -> Self {
        let looks = Looks {
            directory: Arc::clone(&running.directory),
            index: Arc::clone(&running.index),
            waiting: Arc::clone(&running.waiting),
            degrading: Arc::clone(&running.degrading),
        };
        Self { looks, wishing: Arc::clone(&running.wishing), pricing: Arc::clone(&running.pricing) }
    }

    /// Looks, for ever.
    async fn sweep(self) {
        let mut ticks = tokio::time::interval(SWEEP);
        let Looks { directory, waiting, .. } = &self.looks;
        loop {
            ticks.tick().await;
            self.looks.look();
            self.wishing.tick(directory, waiting);
            self.pricing.measure(directory);
        }
    }
}

/// Takes QUIC connections in, each by its role.
#[derive(Clone)]
struct Doors {
    state: Arc<State>,
    service: Arc<dyn Service>,
    hub: ActorRef<Work>,
    directory: Arc<Directory>,
    texts: Arc<Texts>,
    refusals: Refusals,
    index: Arc<PrefixIndex>,
    patience: Duration,
    streams: usize,
}

impl Doors {
    async fn open(self, listener: Arc<Mutex<Listener>>) {
        let mut listener = listener.lock().await;
        while let Some(incoming) = listener.accept().await {
            // The hub stops with the process; the connection is then closed by its drop.
            let _ = self.hub.cast(self.work(incoming));
        }
    }

    fn work(&self, incoming: Incoming) -> Work {
        let connection: Arc<dyn Connection> = incoming.connection;
        let (refusals, address) = (self.refusals.clone(), connection.peer().address.clone());
        match incoming.role {
            Role::Node(node) => {
                let settings = LinkSettings {
                    cluster: self.state.authority.cluster(),
                    patience: self.patience,
                    index: Arc::clone(&self.index),
                };
                let (directory, texts) = (Arc::clone(&self.directory), Arc::clone(&self.texts));
                let future = Box::pin(async move {
                    match link::serve(connection, node, settings, directory, texts).await {
                        LinkEnd::Goodbye(reason) => tracing::info!("node {node} has left: {reason}"),
                        LinkEnd::Refused(refusal) => {
                            refusals.tell(&address, &format!("node {node}"), &refusal).await;
                        }
                        end => tracing::warn!("node {node} is gone: {end}"),
                    }
                });
                Work { name: "link", future }
            }
            Role::Join => {
                let (state, patience) = (Arc::clone(&self.state), self.patience);
                let future = Box::pin(async move {
                    match join::serve(&*connection, &state.authority, &state.token, unix_now(), patience).await {
                        Ok(node) => tracing::info!("node {node} has joined from {address}"),
                        Err(error) => {
                            refusals.tell(&address, "a joining node", &error).await;
                        }
                    }
                });
                Work { name: "join", future }
            }
            Role::Client => {
                let settings = DoorSettings {
                    cluster: self.state.authority.cluster(),
                    patience: self.patience,
                    streams: self.streams,
                };
                let service = Arc::clone(&self.service);
                Work { name: "client", future: Box::pin(quic_door::serve(connection, service, settings, refusals)) }
            }
        }
    }
}

fn write_ready(path: &Path, ready: &Ready) -> std::io::Result<()> {
    let text = serde_json::to_string(ready).map_err(std::io::Error::other)?;
    let aside = path.with_extension("new");
    std::fs::write(&aside, text)?;
    std::fs::rename(aside, path)
}

#[expect(clippy::disallowed_methods, reason = "the shell's edge: certificates and responses carry the time of day")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970.
pub fn unix_now() -> i64 {
    let since = wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
fn unix_millis() -> u64 {
    let since = wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Applies what a command line says to what the file says.
pub fn overridden(
    mut config: Config,
    state: Option<PathBuf>,
    http: Option<SocketAddr>,
    quic: Option<SocketAddr>,
) -> Config {
    let coordinator = &mut config.coordinator;
    coordinator.state = state.unwrap_or_else(|| coordinator.state.clone());
    coordinator.http = http.unwrap_or(coordinator.http);
    coordinator.quic = quic.unwrap_or(coordinator.quic);
    config
}
