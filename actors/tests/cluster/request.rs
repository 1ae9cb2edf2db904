//! A coordinator's inside without its doors: a directory, words, and requests on them.

use std::sync::Arc;
use std::time::Duration;

use actors::cluster::Clock;
use actors::cluster::directory::Directory;
use actors::cluster::index::PrefixIndex;
use actors::cluster::job::{Answers, JobSettings, Retries, Shared, Task, run_alone};
use actors::cluster::link::{LinkSettings, serve};
use actors::cluster::metrics::ClusterMetrics;
use actors::cluster::texts::Texts;
use actors::mock;
use protocol::answer::{Answer, FinishReason, JobError, NodeState};
use protocol::frame::Frame;
use protocol::ids::{ClusterId, NodeId, RequestId, TokenId};
use protocol::job::{Class, Limits, Sampling};
use protocol::message::{Hello, Refusal};
use protocol::units::Tokens;
use tokio::sync::{Semaphore, mpsc};
use transport::connection::{Connection, Peer};
use transport::memory;

use super::node::{Node, Script, hello};

const PLACES: usize = 8;

pub(crate) struct Bench {
    directory: Arc<Directory>,
    texts: Arc<Texts>,
    places: Arc<Semaphore>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = Directory::new(Clock::start(), &protocol::config::Health::default(), 3);
        let swept = Arc::clone(&directory);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
                swept.sweep();
            }
        });
        Self { directory, texts: Arc::default(), places: Arc::new(Semaphore::new(PLACES)) }
    }

    fn connect(&self, id: u64) -> Arc<memory::MemoryConnection> {
        let node = Peer { address: format!("memory:{id}"), node: Some(NodeId(id)) };
        let (ours, theirs) = memory::pair(node, Peer { address: "memory:0".into(), node: None });
        let settings =
            LinkSettings { cluster: ClusterId(1), patience: Duration::from_secs(5), index: PrefixIndex::new() };
        tokio::spawn(serve(ours, NodeId(id), settings, Arc::clone(&self.directory), Arc::clone(&self.texts)));
        theirs
    }

    /// A node that follows a script; it has reported once.
    pub(crate) async fn node(&self, id: u64, script: Script) -> Node {
        let connection = self.connect(id);
        let (mut writer, mut reader) = connection.open().await.unwrap();
        writer.send(hello(id)).await.unwrap();
        assert!(matches!(reader.recv().await, Ok(Some(Frame::Welcome(_)))));
        let node = Node::new(connection, (writer, reader), script);
        tokio::time::sleep(Duration::from_millis(1)).await;
        node
    }

    /// Why a hello is refused.
    pub(crate) async fn refused(&self, id: u64, change: impl FnOnce(&mut Hello)) -> Refusal {
        let connection = self.connect(id);
        let (mut writer, mut reader) = connection.open().await.unwrap();
        let mut hello = hello(id);
        change(&mut hello);
        writer.send(hello).await.unwrap();
        match reader.recv().await {
            Ok(Some(Frame::Refusal(refusal))) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn start(&self, change: impl FnOnce(&mut Task)) -> mpsc::Receiver<Answer> {
        let bundle = mock::bundle();
        let mut task = Task {
            request: RequestId(1),
            model: "mock".into(),
            words: bundle.hash(),
            prompt: vec![TokenId(1); 3],
            choices: 1,
            sampling: Sampling::default(),
            limits: Limits { max_tokens: Tokens(900), min_tokens: Tokens(0), stop_ids: bundle.eos.clone() },
            whole: false,
            stops: Vec::new(),
            text: Arc::new(text::Text::new(bundle).unwrap()),
            salt: [0; 16],
            tenant: "t".into(),
            chain: Arc::new([]),
            block: Tokens(32),
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
        let (sender, pieces) = mpsc::channel(4);
        let place = Arc::clone(&self.places).try_acquire_owned().unwrap();
        let answers = Answers::new(sender, ClusterMetrics::new(), place).unwrap();
        let settings = JobSettings::from(&protocol::config::Requests::default());
        let shared = Shared {
            directory: Arc::clone(&self.directory),
            waiting: Arc::default(),
            retries: Arc::new(Retries::new((&protocol::config::Retry::default()).into())),
            settings,
            metrics: ClusterMetrics::new(),
            recent: Arc::default(),
        };
        tokio::spawn(run_alone(task, answers, shared));
        pieces
    }

    pub(crate) async fn ask(&self, change: impl FnOnce(&mut Task)) -> Vec<Answer> {
        let mut pieces = self.start(change);
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.push(piece);
        }
        all
    }

    /// Waits until no request holds a place.
    pub(crate) async fn idle(&self) {
        drop(self.places.acquire_many(PLACES as u32).await.unwrap());
    }

    pub(crate) fn state(&self) -> NodeState {
        self.directory.status("", 0, Vec::new()).nodes[0].state
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.directory.status("", 0, Vec::new()).nodes.into_iter().map(|node| node.name).collect()
    }
}

/// What came of a request.
pub(crate) trait Outcome {
    fn error(&self) -> Option<JobError>;
    fn reasons(&self) -> Vec<FinishReason>;
}

impl Outcome for Vec<Answer> {
    fn error(&self) -> Option<JobError> {
        match self.last() {
            Some(Answer::Failed(error)) => Some(error.clone()),
            _ => None,
        }
    }

    fn reasons(&self) -> Vec<FinishReason> {
        let reason = |answer: &Answer| if let Answer::Finished { reason, .. } = answer { Some(*reason) } else { None };
        self.iter().filter_map(reason).collect()
    }
}

/// The text of each choice.
pub(crate) fn texts(answers: &[Answer]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for answer in answers {
        if let Answer::Delta(delta) = answer {
            let choice = delta.choice as usize;
            all.resize(all.len().max(choice + 1), String::new());
            all[choice].push_str(&delta.text);
        }
    }
    all
}
