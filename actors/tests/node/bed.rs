//! The bed: a node with a mock, and a coordinator played by the test.

use std::sync::Arc;
use std::time::Duration;

use actors::mock::{Faults, MockEngine, MockOptions, Timing, bundle};
use actors::node::{Dialer, Node, NodeSettings};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, WorkerHandle, WorkerMetrics, worker};
use policy::restart::{Backoff, Intensity};
use protocol::frame::Frame;
use protocol::ids::{ClusterId, Incarnation, JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::message::{Hello, Report, Welcome};
use protocol::units::{Blocks, Tokens};
use protocol::version::Versions;
use ractor::{Actor, ActorRef};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::frames::{FrameReader, FrameWriter};
use transport::memory::{MemoryConnection, pair};

pub(crate) const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Hands the other end of each connection to the test.
struct MemoryDialer {
    dialled: mpsc::Sender<Arc<MemoryConnection>>,
}

impl Dialer for MemoryDialer {
    fn address(&self) -> &str {
        "memory"
    }

    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            let peer = |address: &str| Peer { address: address.to_owned(), node: None };
            let (near, far) = pair(peer("coordinator"), peer("node"));
            self.dialled.send(far).await.map_err(|_| "nobody is there".to_owned())?;
            Ok(near as Arc<dyn Connection>)
        })
    }
}

/// A node with a mock, and the place where its connections arrive.
pub(crate) struct Bed {
    pub(crate) node: Node,
    pub(crate) worker: WorkerHandle,
    pub(crate) dialled: mpsc::Receiver<Arc<MemoryConnection>>,
    pub(crate) links: ActorRef<SupervisorMsg>,
    _workers: ActorRef<SupervisorMsg>,
}

/// A coordinator's end of a link that was welcomed.
pub(crate) struct Peering {
    pub(crate) connection: Arc<MemoryConnection>,
    pub(crate) writer: FrameWriter,
    pub(crate) reader: FrameReader,
    pub(crate) hello: Hello,
}

pub(crate) async fn supervise(child: actors::supervisor::ChildSpec) -> ActorRef<SupervisorMsg> {
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: Duration::from_secs(60), backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    Supervisor::spawn(None, Supervisor, args).await.unwrap().0
}

pub(crate) fn settings() -> NodeSettings {
    NodeSettings {
        id: NodeId(7),
        name: "seven".to_owned(),
        incarnation: Incarnation(3),
        build: "test".to_owned(),
        streams: 8,
        patience: Duration::from_secs(5),
        backoff: Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) },
        seed: 1,
    }
}

pub(crate) async fn bed(faults: Faults) -> Bed {
    let timing = Timing { decode_per_step: Duration::from_millis(10), ..Timing::default() };
    let options = MockOptions { timing, faults, ..MockOptions::default() };
    let factory = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
    let (worker, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
    let workers = supervise(child).await;
    let node = Node::new(settings(), vec![worker.clone()]).await.unwrap();
    let (dialled, arriving) = mpsc::channel(1);
    let links = supervise(node.link(Arc::new(MemoryDialer { dialled }))).await;
    Bed { node, worker, dialled: arriving, links, _workers: workers }
}

impl Bed {
    /// Takes the next connection and welcomes the node.
    pub(crate) async fn welcome(&mut self) -> Peering {
        let connection = self.dialled.recv().await.unwrap();
        let (mut writer, mut reader) = connection.accept().await.unwrap();
        let Frame::Hello(hello) = next(&mut reader).await else { panic!("no hello") };
        writer
            .send(Welcome { version: Versions::OURS.newest, cluster: ClusterId(1), report_every: REPORT_EVERY })
            .await
            .unwrap();
        Peering { connection, writer, reader, hello }
    }
}

impl Peering {
    /// Opens an attempt.
    pub(crate) async fn submit(&self, job: Job) -> (FrameWriter, FrameReader) {
        let (mut writer, reader) = self.connection.open().await.unwrap();
        writer.send(Frame::Submit(job.into())).await.unwrap();
        (writer, reader)
    }

    pub(crate) async fn report(&mut self) -> Report {
        match next(&mut self.reader).await {
            Frame::Report(report) => report,
            other => panic!("expected a report: {other:?}"),
        }
    }
}

pub(crate) async fn next(reader: &mut FrameReader) -> Frame {
    timeout(Duration::from_secs(30), reader.recv()).await.unwrap().unwrap().unwrap()
}

pub(crate) fn job(number: u32, max_tokens: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(u128::from(number)), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        prompt: (0..40).map(|i| TokenId((number * 7 + i) % 256)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(max_tokens), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

/// Reads an attempt to its end: tokens, and the last frame.
pub(crate) async fn read(reader: &mut FrameReader) -> (Vec<TokenId>, Frame) {
    let mut tokens = Vec::new();
    loop {
        match next(reader).await {
            Frame::Granted(_) | Frame::Begun(_) => assert!(tokens.is_empty(), "tokens come last"),
            Frame::Tokens(batch) => {
                assert_eq!(batch.first, Tokens::of(tokens.len()), "a gap or an overlap");
                tokens.extend(batch.tokens.iter().map(|sampled| sampled.token));
            }
            last => {
                assert_eq!(reader.recv().await.unwrap(), None, "nothing follows the last frame");
                return (tokens, last);
            }
        }
    }
}

/// Starts an answer that would take ten seconds and waits for its first token.
pub(crate) async fn long_answer(peering: &Peering) -> (FrameWriter, FrameReader) {
    let (writer, mut reader) = peering.submit(job(1, 1000)).await;
    while !matches!(next(&mut reader).await, Frame::Tokens(_)) {}
    (writer, reader)
}

pub(crate) async fn is_free(worker: &WorkerHandle) -> bool {
    sleep(Duration::from_millis(50)).await;
    let load = worker.report().load;
    load.is_idle() && load.blocks_used == Blocks::ZERO
}
