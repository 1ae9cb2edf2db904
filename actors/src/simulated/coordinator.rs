//! A coordinator without its front doors.

use std::sync::Arc;
use std::time::Duration;

use policy::invariants::Breach;
use protocol::answer::Answer;
use protocol::config::Config;
use protocol::engine::BlockHash;
use protocol::ids::{ClusterId, NodeId, RequestId, TokenId};
use protocol::job::{Class, Limits, Sampling};
use protocol::units::Tokens;
use ractor::{Actor, ActorRef, SpawnErr};
use text::Text;
use tokio::sync::{Semaphore, mpsc};
use transport::connection::Connection;

use super::supervise;
use crate::cluster::Clock;
use crate::cluster::degrading::Degrading;
use crate::cluster::directory::Directory;
use crate::cluster::hub::{Hub, Work};
use crate::cluster::index::PrefixIndex;
use crate::cluster::job::{Answers, JobSettings, Retries, Shared, Task, run_alone};
use crate::cluster::link::{LinkSettings, serve};
use crate::cluster::looks::{Looks, SWEEP};
use crate::cluster::metrics::ClusterMetrics;
use crate::cluster::texts::Texts;
use crate::cluster::waiting::Waiting;
use crate::mock::bundle;
use crate::supervisor::{SupervisorMsg, looped};

/// Pieces on their way to a client.
const PIECES: usize = 64;

/// A coordinator's inside.
#[derive(Debug)]
pub struct Coordinator {
    /// Which nodes are there.
    pub directory: Arc<Directory>,
    /// What they have cached.
    pub index: Arc<PrefixIndex>,
    /// How far each model is degraded.
    pub degrading: Arc<Degrading>,
    /// What requests share.
    pub shared: Shared,
    patience: Duration,
    texts: Arc<Texts>,
    hub: ActorRef<Work>,
    looks: ActorRef<SupervisorMsg>,
}

impl Coordinator {
    /// Starts its actors.
    ///
    /// # Errors
    /// ractor cannot start them.
    pub async fn start(config: &Config) -> Result<Arc<Self>, SpawnErr> {
        let index = PrefixIndex::new();
        let directory = Directory::with(Clock::start(), config, config.coordinator.max_nodes, Arc::clone(&index) as _);
        let waiting = Arc::new(Waiting::new((&config.queue).into(), config.queue.patience.0));
        let degrading = Arc::new(Degrading::new(config.degrade.enabled.then(|| (&config.degrade).into())));
        let looks = Looks {
            directory: Arc::clone(&directory),
            index: Arc::clone(&index),
            waiting: Arc::clone(&waiting),
            degrading: Arc::clone(&degrading),
        };
        let health = looped("health", move || {
            let looks = looks.clone();
            Box::pin(async move {
                let mut ticks = tokio::time::interval(SWEEP);
                loop {
                    ticks.tick().await;
                    looks.look();
                }
            })
        });
        let shared = Shared {
            directory: Arc::clone(&directory),
            waiting,
            retries: Arc::new(Retries::new((&config.retry).into())),
            settings: JobSettings::from(&config.requests),
            metrics: ClusterMetrics::new(),
            recent: Arc::default(),
        };
        let (hub, _) = Hub::spawn(None, Hub, ()).await?;
        let looks = supervise(config, health, 0).await?;
        let (patience, texts) = (config.wire.handshake.0, Arc::default());
        Ok(Arc::new(Self { directory, index, degrading, shared, patience, texts, hub, looks }))
    }

    /// Serves a node that has connected.
    pub fn serve(&self, connection: Arc<dyn Connection>, node: NodeId) {
        let settings = LinkSettings { cluster: ClusterId(1), patience: self.patience, index: Arc::clone(&self.index) };
        let (directory, texts) = (Arc::clone(&self.directory), Arc::clone(&self.texts));
        let future = async move { drop(serve(connection, node, settings, directory, texts).await) };
        // Dropped with the hub, it is a connection that is closed.
        drop(self.hub.cast(Work { name: "link", future: Box::pin(future) }));
    }

    /// What must hold of its nodes and queues has held, whenever it looked.
    ///
    /// # Errors
    /// Something has not.
    pub fn kept(&self) -> Result<(), Breach> {
        self.directory.promises().kept()?;
        self.shared.waiting.promises().kept()
    }

    /// Runs a request; what comes of it. Nothing comes if the coordinator is gone.
    pub fn ask(&self, task: Task) -> mpsc::Receiver<Answer> {
        let (sender, pieces) = mpsc::channel(PIECES);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().ok();
        if let Some(answers) = place.and_then(|place| Answers::new(sender, ClusterMetrics::new(), place)) {
            let future = run_alone(task, answers, self.shared.clone());
            drop(self.hub.cast(Work { name: "request", future: Box::pin(future) }));
        }
        pieces
    }

    /// Ends all of it at once. The wire must be down before: what is dropped here says so to its peer.
    pub fn kill(&self) {
        self.hub.kill();
        self.looks.kill();
    }
}

/// A request for one answer of up to 40 tokens to a prompt of the mock's words, in blocks of so many tokens. Whoever
/// changes the prompt or the salt names its blocks anew.
pub fn question(request: RequestId, prompt: Vec<TokenId>, block: usize, text: Arc<Text>) -> Task {
    let salt = [0; 16];
    Task {
        request,
        model: "mock".into(),
        words: bundle().hash(),
        chain: BlockHash::chain(salt, &prompt, block).collect(),
        prompt,
        choices: 1,
        sampling: Sampling { seed: 5, logprobs: Some(2), ..Sampling::default() },
        limits: Limits { max_tokens: Tokens(40), min_tokens: Tokens(0), stop_ids: Vec::new() },
        whole: false,
        stops: Vec::new(),
        text,
        salt,
        tenant: "t".into(),
        block: Tokens::of(block),
        class: Class::default(),
        session: None,
        degraded: Vec::new(),
        arrived: tokio::time::Instant::now(),
        again: false,
        turn: None,
        random: 7,
        route: None,
        bill: None,
        going: None,
    }
}
