//! Nodes and a coordinator, both as they are in their processes but for the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actors::cluster::directory::Directory;
use actors::cluster::index::PrefixIndex;
use actors::cluster::job::Task;
use actors::mock::{MockEngine, MockOptions, Timing, bundle};
use actors::node::{Among, Dialer, Node};
use actors::simulated::{self, HostOptions, question};
use actors::worker::WorkerHandle;
use arc_swap::ArcSwapOption;
use protocol::answer::Answer;
use protocol::config::Config;
use protocol::engine::{BlockHash, Engine};
use protocol::ids::{NodeId, RequestId, TokenId};
use tokio::sync::mpsc;
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::memory::{MemoryConnection, pair};

pub(crate) use actors::simulated::Whole;

pub(crate) const BLOCK: usize = 8;

/// A coordinator's inside.
pub(crate) struct Coordinator {
    pub(crate) directory: Arc<Directory>,
    pub(crate) index: Arc<PrefixIndex>,
    inside: Arc<simulated::Coordinator>,
}

impl Coordinator {
    pub(crate) async fn start() -> Arc<Self> {
        Self::with(&Config::default()).await
    }

    pub(crate) async fn with(config: &Config) -> Arc<Self> {
        let inside = simulated::Coordinator::start(config).await.unwrap();
        let (directory, index) = (Arc::clone(&inside.directory), Arc::clone(&inside.index));
        Arc::new(Self { directory, index, inside })
    }

    pub(crate) fn ask(&self, change: impl FnOnce(&mut Task)) -> mpsc::Receiver<Answer> {
        let prompt: Vec<TokenId> = (0..50).map(|n| TokenId(97 + n % 26)).collect();
        let request = RequestId(u128::from(self.directory.sent()) + 1);
        let mut task = question(request, prompt, BLOCK, Arc::new(text::Text::new(bundle()).unwrap()));
        change(&mut task);
        task.chain = BlockHash::chain(task.salt, &task.prompt, BLOCK).collect();
        self.inside.ask(task)
    }
}

/// The way from a node to the coordinator that is there now.
pub(crate) struct Wire {
    id: NodeId,
    to: ArcSwapOption<Coordinator>,
    up: AtomicBool,
    live: ArcSwapOption<MemoryConnection>,
}

impl Dialer for Wire {
    fn address(&self) -> &str {
        "memory"
    }

    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            let to = self.to.load_full().filter(|_| self.up.load(Ordering::Relaxed)).ok_or("nobody is there")?;
            let node = Peer { address: format!("memory:{}", self.id), node: Some(self.id) };
            let (near, far) = pair(Peer { address: "coordinator".into(), node: None }, node);
            to.inside.serve(far, self.id);
            self.live.store(Some(Arc::clone(&near)));
            Ok(near as Arc<dyn Connection>)
        })
    }
}

/// A node of which every part runs.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) worker: WorkerHandle,
    pub(crate) wire: Arc<Wire>,
    _running: simulated::Host,
}

/// 10 ms for each token of an answer.
pub(crate) fn timing() -> Timing {
    Timing { decode_per_step: Duration::from_millis(10), ..Timing::default() }
}

impl Host {
    pub(crate) async fn start(id: u64, blocks: u32, to: &Arc<Coordinator>) -> Self {
        Self::among(id, blocks, to, timing(), |_| Among::default()).await
    }

    /// One that stands so among others, and takes such times.
    pub(crate) async fn among(
        id: u64,
        blocks: u32,
        to: &Arc<Coordinator>,
        timing: Timing,
        among: impl FnOnce(&Node) -> Among,
    ) -> Self {
        let options = MockOptions { timing, blocks, block: BLOCK as u32, ..MockOptions::default() };
        Self::of(id, to, move || Box::new(MockEngine::new(options.clone())), among).await
    }

    /// One with such an engine.
    pub(crate) async fn of(
        id: u64,
        to: &Arc<Coordinator>,
        engine: impl Fn() -> Box<dyn Engine> + Send + Sync + 'static,
        among: impl FnOnce(&Node) -> Among,
    ) -> Self {
        let wire = Arc::new(Wire {
            id: NodeId(id),
            to: ArcSwapOption::from(Some(Arc::clone(to))),
            up: AtomicBool::new(true),
            live: ArcSwapOption::empty(),
        });
        let dialers = vec![Arc::clone(&wire) as _];
        let running = simulated::Host::start(HostOptions::of(id), engine, among, dialers).await.unwrap();
        Self { name: running.name.clone(), worker: running.worker.clone(), wire, _running: running }
    }

    /// Cuts it off, as a power cut does; it stays away.
    pub(crate) fn cut(&self) {
        self.wire.up.store(false, Ordering::Relaxed);
        if let Some(live) = self.wire.live.swap(None) {
            live.sever();
        }
    }

    pub(crate) fn back(&self) {
        self.wire.up.store(true, Ordering::Relaxed);
    }

    /// Goes over to another coordinator.
    pub(crate) fn serve(&self, to: &Arc<Coordinator>) {
        self.wire.to.store(Some(Arc::clone(to)));
        if let Some(live) = self.wire.live.swap(None) {
            live.sever();
        }
    }
}

pub(crate) async fn whole(mut pieces: mpsc::Receiver<Answer>, choices: usize) -> Whole {
    let mut whole = Whole::of(choices);
    while let Some(piece) = pieces.recv().await {
        whole.take(piece).unwrap();
    }
    whole
}

/// Waits until so many nodes may be asked.
pub(crate) async fn ready(coordinator: &Coordinator, nodes: usize) {
    use protocol::answer::NodeState;
    loop {
        let status = coordinator.directory.status("", 0, Vec::new());
        if status.nodes.iter().filter(|node| node.state == NodeState::Ready).count() == nodes {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
