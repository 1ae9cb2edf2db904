//! Nodes and a coordinator, both as they are in their processes but for the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actors::cluster::Clock;
use actors::cluster::directory::Directory;
use actors::cluster::index::PrefixIndex;
use actors::cluster::job::{Answers, JobSettings, Retries, Shared, Task, run_alone};
use actors::cluster::link::{LinkSettings, serve};
use actors::cluster::metrics::ClusterMetrics;
use actors::cluster::texts::Texts;
use actors::mock::{MockEngine, MockOptions, Timing, bundle};
use actors::node::{Among, Dialer, Node, NodeSettings};
use actors::supervisor::{ChildSpec, Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, WorkerHandle, WorkerMetrics, worker};
use arc_swap::ArcSwapOption;
use policy::restart::{Backoff, Intensity};
use protocol::answer::{Answer, FinishReason, JobError, Started, TokenText, Usage};
use protocol::config::Config;
use protocol::engine::{BlockHash, Engine};
use protocol::ids::{ClusterId, Incarnation, NodeId, RequestId, TokenId};
use protocol::job::{Class, Limits, Sampling};
use protocol::units::Tokens;
use ractor::{Actor, ActorRef};
use tokio::sync::{Semaphore, mpsc};
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::memory::{MemoryConnection, pair};

pub(crate) const BLOCK: usize = 8;

/// A coordinator's inside.
pub(crate) struct Coordinator {
    pub(crate) directory: Arc<Directory>,
    pub(crate) index: Arc<PrefixIndex>,
    texts: Arc<Texts>,
    shared: Shared,
}

impl Coordinator {
    pub(crate) fn start() -> Arc<Self> {
        Self::with(&Config::default())
    }

    pub(crate) fn with(config: &Config) -> Arc<Self> {
        let index = PrefixIndex::new();
        let directory = Directory::with(Clock::start(), config, 100, Arc::clone(&index) as _);
        let swept = Arc::clone(&directory);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
                swept.sweep();
            }
        });
        let shared = Shared {
            directory: Arc::clone(&directory),
            waiting: Arc::default(),
            retries: Arc::new(Retries::new((&config.retry).into())),
            settings: JobSettings::from(&config.requests),
            metrics: ClusterMetrics::new(),
            recent: Arc::default(),
        };
        Arc::new(Self { directory, index, texts: Arc::default(), shared })
    }

    pub(crate) fn ask(&self, change: impl FnOnce(&mut Task)) -> mpsc::Receiver<Answer> {
        let bundle = bundle();
        let prompt: Vec<TokenId> = (0..50).map(|n| TokenId(97 + n % 26)).collect();
        let mut task = Task {
            request: RequestId(u128::from(self.directory.sent()) + 1),
            model: "mock".into(),
            words: bundle.hash(),
            chain: Arc::new([]),
            prompt,
            choices: 1,
            sampling: Sampling { seed: 5, logprobs: Some(2), ..Sampling::default() },
            limits: Limits { max_tokens: Tokens(40), min_tokens: Tokens(0), stop_ids: Vec::new() },
            whole: false,
            stops: Vec::new(),
            text: Arc::new(text::Text::new(bundle).unwrap()),
            salt: [0; 16],
            tenant: "t".into(),
            block: Tokens::of(BLOCK),
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
        };
        change(&mut task);
        task.chain = BlockHash::chain(task.salt, &task.prompt, BLOCK).collect();
        let (sender, pieces) = mpsc::channel(64);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let answers = Answers::new(sender, ClusterMetrics::new(), place).unwrap();
        tokio::spawn(run_alone(task, answers, self.shared.clone()));
        pieces
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
            let index = Arc::clone(&to.index);
            let settings = LinkSettings { cluster: ClusterId(1), patience: Duration::from_secs(5), index };
            tokio::spawn(serve(far, self.id, settings, Arc::clone(&to.directory), Arc::clone(&to.texts)));
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
    _trees: [ActorRef<SupervisorMsg>; 2],
}

async fn supervise(child: ChildSpec) -> ActorRef<SupervisorMsg> {
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: Duration::from_secs(60), backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    Supervisor::spawn(None, Supervisor, args).await.unwrap().0
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
        let factory = move || Ok(Loaded { engine: engine(), bundle: bundle() });
        let (worker, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
        let workers = supervise(child).await;
        let settings = NodeSettings {
            id: NodeId(id),
            name: format!("node-{id}"),
            incarnation: Incarnation(1),
            build: "test".to_owned(),
            streams: 64,
            patience: Duration::from_secs(5),
            backoff: Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) },
            seed: id,
        };
        let name = settings.name.clone();
        let node = Node::new(settings, vec![worker.clone()]).await.unwrap();
        node.stand_among(among(&node));
        let wire = Arc::new(Wire {
            id: NodeId(id),
            to: ArcSwapOption::from(Some(Arc::clone(to))),
            up: AtomicBool::new(true),
            live: ArcSwapOption::empty(),
        });
        let links = supervise(node.link(Arc::clone(&wire) as _)).await;
        Self { name, worker, wire, _trees: [workers, links] }
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

/// All of an answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Whole {
    pub(crate) started: Option<Started>,
    pub(crate) texts: Vec<String>,
    pub(crate) logprobs: Vec<Vec<TokenText>>,
    pub(crate) reasons: Vec<Option<FinishReason>>,
    pub(crate) usage: Option<Usage>,
    pub(crate) error: Option<JobError>,
}

impl Whole {
    pub(crate) fn of(choices: usize) -> Self {
        Self {
            texts: vec![String::new(); choices],
            logprobs: vec![Vec::new(); choices],
            reasons: vec![None; choices],
            ..Self::default()
        }
    }

    pub(crate) fn take(&mut self, piece: Answer) {
        match piece {
            Answer::Started(started) => assert!(self.started.replace(started).is_none(), "started twice"),
            Answer::Delta(delta) => {
                self.texts[delta.choice as usize].push_str(&delta.text);
                self.logprobs[delta.choice as usize].extend(delta.logprobs);
            }
            Answer::Finished { choice, reason } => {
                assert!(self.reasons[choice as usize].replace(reason).is_none(), "finished twice");
            }
            Answer::Done { usage } => assert!(self.usage.replace(usage).is_none(), "done twice"),
            Answer::Failed(error) => assert!(self.error.replace(error).is_none(), "failed twice"),
        }
    }

    /// Without what may differ: who served it, and what was cached.
    pub(crate) fn content(&self) -> impl PartialEq + std::fmt::Debug + '_ {
        (&self.texts, &self.logprobs, &self.reasons, self.usage.map(|usage| usage.completion))
    }
}

pub(crate) async fn whole(mut pieces: mpsc::Receiver<Answer>, choices: usize) -> Whole {
    let mut whole = Whole::of(choices);
    while let Some(piece) = pieces.recv().await {
        whole.take(piece);
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
