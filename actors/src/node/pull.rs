//! Cached blocks between nodes: fetched where that is cheaper than to compute them, handed out to those who ask.
//!
//! Rules: a job is never the worse for it. A pull has the time that computing would take, whatever fails is
//! computed, and what came before it failed is used. Whether it pays is decided by `policy::pull`, from what
//! this node has measured. A peer is asked for what it was said to have and nothing it says is trusted: names,
//! order, number and sizes are checked here, the layout and the chain by the engine. One connection for each
//! peer, dialled when it is first needed; pulls both ways are bounded in number, and go behind tokens.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use policy::pull::{Offer, Terms, Verdict, Way, decide};
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::job::Job;
use protocol::message::Pull;
use protocol::pull::{MAX_BLOCK, MAX_BLOCKS};
use protocol::units::{Blocks, Tokens};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use transport::BoxFuture;
use transport::connection::Connection;
use transport::error::Code;

use crate::worker::WorkerHandle;

mod beside;
mod fetch;
mod metrics;
mod serve;

pub use beside::{Beside, Nobody};
use metrics::PullMetrics;

/// Makes connections to other nodes.
pub trait PeerDialer: Send + Sync + 'static {
    /// Connects to that node and no other; the error is for the log.
    fn dial(&self, node: NodeId, address: String) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>>;
}

/// Who of this node serves a model.
pub type Workers = Arc<dyn Fn(&str) -> Option<WorkerHandle> + Send + Sync>;

/// How a node fetches and hands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PullSettings {
    /// What makes a pull worth it.
    pub terms: Terms,
    /// Pulls that this node makes at once; one more job computes.
    pub fetches: usize,
    /// Pulls that it serves at once; one more is refused.
    pub serves: usize,
    /// How long a peer may take to say what is due.
    pub patience: Duration,
}

struct Peer {
    connection: Mutex<Option<Arc<dyn Connection>>>,
    way: Arc<arc_swap::ArcSwap<Way>>,
}

/// What a node knows of the others, and how it gets their blocks.
pub struct Pulls {
    settings: PullSettings,
    dialer: Arc<dyn PeerDialer>,
    workers: Workers,
    peers: DashMap<NodeId, Arc<Peer>>,
    fetches: Semaphore,
    serves: Arc<Semaphore>,
    since: Instant,
    metrics: PullMetrics,
}

impl std::fmt::Debug for Pulls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What came of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing was asked for: it is here, or computing is cheaper, or too much is under way.
    Computed,
    /// So many blocks are cached now that were not.
    Blocks(Blocks),
    /// It went wrong after so many blocks; the rest is computed.
    Failed {
        /// What came before.
        taken: Blocks,
        /// For the log.
        reason: String,
    },
}

impl Pulls {
    /// Without a peer yet. What it counts goes to the recorder that is current now.
    pub fn new(settings: PullSettings, dialer: Arc<dyn PeerDialer>, workers: Workers) -> Arc<Self> {
        Arc::new(Self {
            settings,
            dialer,
            workers,
            peers: DashMap::new(),
            fetches: Semaphore::new(settings.fetches.min(Semaphore::MAX_PERMITS)),
            serves: Arc::new(Semaphore::new(settings.serves.min(Semaphore::MAX_PERMITS))),
            since: Instant::now(),
            metrics: PullMetrics::new(),
        })
    }

    /// Bytes a second from each peer that was measured.
    pub fn bandwidths(&self) -> Vec<(NodeId, f64)> {
        let known = self.peers.iter().filter_map(|peer| Some((*peer.key(), peer.way.load().bandwidth()?)));
        known.collect()
    }

    /// Fetches what a job lacks of its prompt, if that pays. Never later than computing would have been.
    pub async fn prepare(&self, job: &Job, pull: &Pull) -> Pulled {
        let outcome = self.pull(job, pull).await.unwrap_or(Pulled::Computed);
        self.metrics.came(&outcome);
        match &outcome {
            Pulled::Computed => {}
            Pulled::Blocks(blocks) => tracing::debug!("job {}: {blocks} fetched from node {}", job.key, pull.node),
            Pulled::Failed { taken, reason } => {
                tracing::debug!(
                    "job {}: after {taken} from node {}, the rest is computed: {reason}",
                    job.key,
                    pull.node
                );
            }
        }
        outcome
    }

    /// None: there is nothing to decide.
    async fn pull(&self, job: &Job, pull: &Pull) -> Option<Pulled> {
        let _permit = self.fetches.try_acquire().ok()?;
        let worker = (self.workers)(&job.model)?;
        let block = worker.card()?.block.as_usize().max(1);
        let chain = chain(job, block, pull.blocks);
        let (layout, cached) = worker.look(chain.clone()).await?;
        let missing: Vec<BlockHash> = chain.into_iter().skip(cached.as_usize()).collect();
        let peer = Arc::clone(&*self.peers.entry(pull.node).or_insert_with(|| Arc::new(Peer::new())));
        let way = **peer.way.load();
        if layout.bytes > MAX_BLOCK || missing.is_empty() || !way.is_open(self.since.elapsed()) {
            return None;
        }
        let report = worker.report();
        let offer = Offer {
            missing: Tokens::of(missing.len() * block),
            bytes_per_token: layout.bytes as f64 / block as f64,
            bandwidth: way.bandwidth(),
            latency: way.latency(),
            prefill: (report.rates.prefill > 0).then(|| f64::from(report.rates.prefill)),
            queue: report.load.prefill,
        };
        let Verdict::Pull { limit, .. } = decide(&offer, &self.settings.terms) else { return None };
        let mut tally = fetch::Tally::new();
        let fetched = timeout(limit, self.fetch(&peer, &worker, pull, layout, &missing, &mut tally)).await;
        let taken = tally.taken;
        Some(match fetched {
            Ok(Ok(())) => {
                peer.measured(&tally);
                Pulled::Blocks(taken)
            }
            Ok(Err(reason)) => {
                peer.failed(self.since.elapsed());
                Pulled::Failed { taken, reason }
            }
            Err(_) if tally.bytes > 0 => {
                // Slow, not dead: the next decision knows how slow.
                peer.measured(&tally);
                Pulled::Failed { taken, reason: format!("{} bytes came within {limit:?}", tally.bytes) }
            }
            Err(_) => {
                peer.failed(self.since.elapsed());
                Pulled::Failed { taken, reason: format!("nothing came within {limit:?}") }
            }
        })
    }
}

impl Peer {
    fn new() -> Self {
        Self { connection: Mutex::new(None), way: Arc::new(arc_swap::ArcSwap::from_pointee(Way::default())) }
    }

    fn measured(&self, tally: &fetch::Tally) {
        let (took, latency) = tally.times();
        self.way.rcu(|way| {
            let mut way = **way;
            way.measured(tally.bytes, took, latency);
            way
        });
    }

    fn failed(&self, now: Duration) {
        self.way.rcu(|way| {
            let mut way = **way;
            way.failed(now);
            way
        });
    }

    /// The connection, dialled if there is none that lives.
    async fn connection(
        &self,
        dialer: &dyn PeerDialer,
        node: NodeId,
        address: &str,
    ) -> Result<Arc<dyn Connection>, String> {
        let mut known = self.connection.lock().await;
        if let Some(connection) = &*known {
            return Ok(Arc::clone(connection));
        }
        let connection = dialer.dial(node, address.to_owned()).await?;
        Ok(Arc::clone(known.insert(connection)))
    }

    /// Forgets a connection that is of no use any more.
    async fn forget(&self, of: &Arc<dyn Connection>) {
        let mut known = self.connection.lock().await;
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, of)) {
            *known = None;
        }
        of.close(Code::Done, "");
    }
}

/// The names of the blocks that a job could find cached, and that the peer is said to have. The last token of all
/// is always computed.
fn chain(job: &Job, block: usize, most: Blocks) -> Vec<BlockHash> {
    let tokens: Vec<_> = job.prompt.iter().chain(&job.generated).copied().collect();
    let usable = tokens.len().saturating_sub(1) / block;
    BlockHash::chain(job.salt, &tokens, block).take(usable.min(most.as_usize()).min(MAX_BLOCKS)).collect()
}
