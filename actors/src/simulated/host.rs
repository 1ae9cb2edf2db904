//! A node of which every part runs.

use std::sync::Arc;

use protocol::config::Config;
use protocol::engine::Engine;
use protocol::ids::{Incarnation, NodeId};
use ractor::{ActorRef, ActorStatus, SpawnErr};

use super::supervise;
use crate::mock::bundle;
use crate::node::{Among, Dialer, Node, NodeSettings, NotServed, redial};
use crate::supervisor::SupervisorMsg;
use crate::worker::{Drive, Loaded, WorkerHandle, WorkerMetrics, worker};

/// Streams that it serves at once: few, so that simulations come to the bound.
const STREAMS: usize = 64;
/// A node that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// ractor cannot.
    #[error(transparent)]
    Actor(#[from] SpawnErr),
    /// Its engine cannot be made.
    #[error(transparent)]
    Engine(#[from] NotServed),
}

/// Which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// Who it is; it is called `node-ID`.
    pub id: NodeId,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// For its jitter.
    pub seed: u64,
}

impl HostOptions {
    /// Its first start.
    pub fn of(id: u64) -> Self {
        Self { id: NodeId(id), incarnation: Incarnation(1), seed: id }
    }
}

/// A node with one model, "mock".
#[derive(Debug)]
pub struct Host {
    /// What people call it.
    pub name: String,
    /// Its engine's owner.
    pub worker: WorkerHandle,
    /// What its links share.
    pub node: Node,
    trees: Vec<ActorRef<SupervisorMsg>>,
}

impl Host {
    /// Starts it with default settings and a link to each of these; `engine` makes its engines, at first and after every failure.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn start(
        options: HostOptions,
        engine: impl Fn() -> Box<dyn Engine> + Send + Sync + 'static,
        among: impl FnOnce(&Node) -> Among,
        dialers: Vec<Arc<dyn Dialer>>,
    ) -> Result<Self, NotStarted> {
        let HostOptions { id, incarnation, seed } = options;
        let config = Config::default();
        let factory = move || Ok(Loaded { engine: engine(), bundle: bundle() });
        let (worker, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
        let mut trees = vec![supervise(&config, child, seed).await?];
        let settings = NodeSettings {
            id,
            name: format!("node-{}", id.0),
            incarnation,
            build: "simulated".to_owned(),
            streams: STREAMS,
            patience: config.wire.handshake.0,
            backoff: redial(&config),
            seed,
        };
        let name = settings.name.clone();
        let node = Node::new(settings, vec![worker.clone()]).await?;
        node.stand_among(among(&node));
        for dialer in dialers {
            trees.push(supervise(&config, node.link(dialer), seed).await?);
        }
        Ok(Self { name, worker, node, trees })
    }

    /// Whether its supervisors run; one that has given up would have ended its process.
    pub fn runs(&self) -> bool {
        self.trees.iter().all(|tree| tree.get_status() == ActorStatus::Running)
    }

    /// Ends all of it at once. The wire must be down before: what is dropped here says so to its peer.
    pub fn kill(&self) {
        self.trees.iter().for_each(|tree| tree.kill());
    }
}
