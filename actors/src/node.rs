//! The node's side of its links: one actor per coordinator, which dials, presents the node, reports,
//! and serves what the coordinator asks; for ever, until the node stops.
//!
//! Rules: a link that is lost takes its attempts with it and dials again, after a wait with full
//! jitter. A refusal is logged once, not with every try. A stream that begins with nonsense is reset
//! and harms no other. Where connections come from is the [`Dialer`]'s business, so the same links run
//! over QUIC and, in tests, over memory. What jobs do is the [`crate::worker`]'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use policy::restart::{Backoff, Intensity};
use protocol::config::Config;
use protocol::engine::HASHING;
use protocol::ids::{Incarnation, NodeId};
use protocol::message::{Hello, OrderAction, Report, Role, Submit};
use protocol::tree::{Tree, TreeLine};
use protocol::version::Versions;
use ractor::Actor;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use transport::BoxFuture;
use transport::connection::Connection;

use crate::supervisor::ChildSpec;
use crate::watch;
use crate::worker::WorkerHandle;

mod events;
mod link;
mod offer;
pub mod pull;
mod session;
mod stream;

pub use link::{Link, LinkMsg};
pub use offer::Wish;
use offer::{Offer, Offered};
use pull::{Pulls, Workers};

/// Makes connections to one coordinator.
pub trait Dialer: Send + Sync + 'static {
    /// Where it is, for the log.
    fn address(&self) -> &str;

    /// Connects; the error is for the log.
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>>;
}

/// How long one try to reach a coordinator may take: one that comes back is noticed sooner by a new try than by an old
/// one, whose packets are repeated ever more rarely.
pub const DIAL: Duration = Duration::from_secs(1);
/// After so many tries that took too long, the next may take twice as long.
const TRIES: u32 = 8;

/// How long a try may take after so many in a row that took too long; `longest` is what a handshake may. A slow way or a
/// slow name server needs more than [`DIAL`], and is found by and by.
pub fn dial_limit(late: u32, longest: Duration) -> Duration {
    DIAL.saturating_mul(1 << (late / TRIES).min(16)).min(longest)
}

/// How long is waited between two tries to reach a coordinator: never as long as between restarts of what fails, for a
/// coordinator that comes back decides blindly until it knows its nodes.
pub fn redial(config: &Config) -> Backoff {
    let backoff = Intensity::from(&config.supervision).backoff;
    let longest = config.wire.redial.0;
    Backoff { first: backoff.first.min(longest), longest }
}

/// How long the last words of streams that are ended may take.
const PARTING: Duration = Duration::from_secs(2);

/// What a node is and how it keeps its links.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Who it is.
    pub id: NodeId,
    /// How people call it.
    pub name: String,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// Its build's version.
    pub build: String,
    /// Streams that are served at once, over all links; one more is reset.
    pub streams: usize,
    /// How long a coordinator may take to say what is due.
    pub patience: Duration,
    /// Waits between tries to connect.
    pub backoff: Backoff,
    /// For the jitter of these waits.
    pub seed: u64,
}

/// How a node stands to other nodes: until it is told, for itself.
#[derive(Clone, Debug, Default)]
pub struct Among {
    /// Which part of jobs it is for.
    pub role: Role,
    /// Where others reach it to fetch cached blocks, `HOST:PORT`.
    pub address: Option<String>,
    /// Fetches blocks from others, and hands them out.
    pub pulls: Option<Arc<Pulls>>,
}

/// How far a node is with its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// It finishes what it has.
    Draining,
    /// What still runs has had its time, and is told so.
    Ending,
    /// Links say goodbye.
    Leaving,
}

struct Shared {
    settings: NodeSettings,
    /// What is served, as models come and go.
    offer: watch::Sender<Offer>,
    /// Who loads and unloads models, if anybody does.
    wishes: OnceLock<mpsc::Sender<Wish>>,
    missing: Vec<NotServed>,
    stage: watch::Sender<Stage>,
    /// How many coordinators have taken it in.
    connected: watch::Sender<u32>,
    /// Streams being served.
    serving: TaskTracker,
    streams: Arc<Semaphore>,
    sequence: AtomicU64,
    /// Orders of operators so far.
    orders: AtomicU64,
    /// How it stands to other nodes.
    among: ArcSwap<Among>,
    /// Who runs here, for coordinators to show.
    tree: watch::Sender<Vec<TreeLine>>,
}

/// A node: what its links share. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Node {
    /// A node with these workers; waits until each of them has its first engine or cannot make it. A
    /// model that cannot be loaded is [`Self::missing`], and the others are served.
    ///
    /// # Errors
    /// No model could be loaded: the first of them, and why.
    pub async fn new(settings: NodeSettings, workers: Vec<WorkerHandle>) -> Result<Self, NotServed> {
        let (mut served, mut missing) = (Vec::new(), Vec::new());
        for worker in workers {
            match worker.served().await {
                Ok(what) => served.push(Offered::new(worker, what)),
                Err(reason) => missing.push(NotServed { model: worker.model().to_owned(), reason }),
            }
        }
        if served.is_empty()
            && let Some(first) = missing.first()
        {
            return Err(first.clone());
        }
        let streams = Arc::new(Semaphore::new(settings.streams.min(Semaphore::MAX_PERMITS)));
        let shared = Shared {
            settings,
            offer: watch::Sender::new(Offer { workers: served, ..Offer::default() }),
            wishes: OnceLock::new(),
            missing,
            stage: watch::Sender::new(Stage::Serving),
            connected: watch::Sender::new(0),
            serving: TaskTracker::new(),
            streams,
            sequence: AtomicU64::new(0),
            orders: AtomicU64::new(0),
            among: ArcSwap::from_pointee(Among::default()),
            tree: watch::Sender::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Who serves which model here, for as long as the node is there.
    pub fn workers(&self) -> Workers {
        let shared = Arc::downgrade(&self.shared);
        Arc::new(move |model| {
            let shared = shared.upgrade()?;
            shared.offer.borrow().of(model).map(|offered| offered.worker.clone())
        })
    }

    /// How it stands to other nodes from now on. Links that are up already have said otherwise: to be called
    /// before the first of them.
    pub fn stand_among(&self, among: Among) {
        self.shared.among.store(Arc::new(among));
    }

    /// Tells coordinators who runs here, if that has changed.
    pub fn tell_tree(&self, lines: Vec<TreeLine>) {
        let lines = Tree::bounded(lines).lines;
        self.shared.tree.send_if_modified(|told| {
            let news = *told != lines;
            *told = lines;
            news
        });
    }

    /// The link to one coordinator, for a supervisor to run.
    pub fn link(&self, dialer: Arc<dyn Dialer>) -> ChildSpec {
        let shared = Arc::clone(&self.shared);
        ChildSpec::new(format!("link to {}", dialer.address()), move |parent| {
            let args = link::LinkArgs { shared: Arc::clone(&shared), dialer: Arc::clone(&dialer) };
            async move { Link::spawn_linked(None, Link, args, parent).await.map(|(link, _)| link.get_cell()) }
        })
    }

    /// How many coordinators have taken it in, now and later.
    pub fn connected(&self) -> watch::Receiver<u32> {
        self.shared.connected.subscribe()
    }

    /// The models that it should serve and cannot.
    pub fn missing(&self) -> &[NotServed] {
        &self.shared.missing
    }

    /// Takes no new jobs, lets those that run go on for up to `limit`, then makes the links say
    /// goodbye, and waits until they have. What runs longer ends as `Drained`, so that it is carried on elsewhere. True if all
    /// jobs came to their end.
    pub async fn drain(&self, limit: Duration) -> bool {
        // From here on no operator can take it back.
        self.shared.serving.close();
        self.shared.stage.send_if_modified(|stage| std::mem::replace(stage, Stage::Draining) == Stage::Serving);
        let done = tokio::time::timeout(limit, self.shared.serving.wait()).await.is_ok();
        if !done {
            self.shared.stage.send_replace(Stage::Ending);
            // A coordinator that does not read them learns it from the goodbye.
            drop(tokio::time::timeout(PARTING, self.shared.serving.wait()).await);
        }
        self.shared.stage.send_replace(Stage::Leaving);
        // Whoever stops the links now must not cut their goodbyes off.
        let mut connected = self.shared.connected.subscribe();
        drop(tokio::time::timeout(PARTING, connected.wait_for(|count| *count == 0)).await);
        done
    }
}

/// A model that this node should serve and cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model '{model}' cannot be loaded: {reason}")]
pub struct NotServed {
    /// Which.
    pub model: String,
    /// Why.
    pub reason: String,
}

impl Shared {
    /// Presents itself with this offer.
    fn hello(&self, offer: &Offer) -> Hello {
        let among = self.among.load();
        Hello {
            versions: Versions::OURS,
            node: self.settings.id,
            name: self.settings.name.clone(),
            incarnation: self.settings.incarnation,
            build: self.settings.build.clone(),
            cards: offer.cards(),
            hashing: HASHING,
            role: among.role,
            peer: among.address.clone(),
        }
    }

    /// How it is; `offer` is what the coordinator was told last.
    fn report(&self, offer: &Offer) -> Report {
        Report {
            incarnation: self.settings.incarnation,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            workers: offer.workers.iter().map(|offered| offered.worker.report()).collect(),
            draining: self.is_draining(),
        }
    }

    /// Does what an operator wants.
    fn obey(self: &Arc<Self>, action: OrderAction) {
        match action {
            OrderAction::Drain { limit } => {
                let begins = self.stage.send_if_modified(|stage| {
                    std::mem::replace(stage, if *stage == Stage::Serving { Stage::Draining } else { *stage })
                        == Stage::Serving
                });
                let order = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::info!(
                    "told to drain: {}, running answers have {limit:?}",
                    if begins { "no new jobs" } else { "again" }
                );
                let shared = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(limit).await;
                    // A later order has the last word.
                    if shared.orders.load(Ordering::Relaxed) == order {
                        shared.stage.send_if_modified(|stage| {
                            let due = *stage == Stage::Draining;
                            *stage = if due { Stage::Ending } else { *stage };
                            due
                        });
                    }
                });
            }
            OrderAction::Load { model } => self.wish(Wish::Load { model }),
            OrderAction::Unload { model, limit } => self.wish(Wish::Unload { model, limit }),
            OrderAction::Resume => {
                self.orders.fetch_add(1, Ordering::Relaxed);
                let stops = self.serving.is_closed();
                self.stage.send_if_modified(|stage| {
                    let drains = matches!(*stage, Stage::Draining | Stage::Ending) && !stops;
                    *stage = if drains { Stage::Serving } else { *stage };
                    drains
                });
                tracing::info!("told to resume{}", if stops { ", but the node stops" } else { "" });
            }
        }
    }

    /// Resolves when the links shall say goodbye.
    async fn leaving(&self) {
        self.reached(|stage| stage == Stage::Leaving).await;
    }

    /// Resolves when what still runs shall end.
    async fn ending(&self) {
        self.reached(|stage| matches!(stage, Stage::Ending | Stage::Leaving)).await;
    }

    async fn reached(&self, wanted: impl Fn(Stage) -> bool) {
        let mut stage = self.stage.subscribe();
        // The sender is in this very struct: it cannot be gone.
        drop(stage.wait_for(|stage| wanted(*stage)).await);
    }

    /// Fetches what a job lacks of its prompt, if there is a hint and it pays.
    async fn prepare(&self, submit: &Submit) {
        if self.is_draining() {
            return;
        }
        let pulls = self.among.load().pulls.clone();
        if let (Some(pulls), Some(pull)) = (pulls, &submit.pull) {
            pulls.prepare(&submit.job, pull).await;
        }
    }

    fn is_draining(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }
}

#[cfg(test)]
mod tests;
