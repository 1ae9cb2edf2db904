//! A whole coordinator on free ports, and a node with a mock that joins it, all in this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions, Timing as Pace, bundle};
use actors::node::{Dialer, Node, NodeSettings};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, WorkerMetrics, worker};
use coordinator::run::{RunError, run};
use policy::restart::{Backoff, Intensity};
use protocol::account::UsageRecord;
use protocol::answer::{Answer, ClusterStatus};
use protocol::config::Config;
use protocol::frame::Frame;
use protocol::ids::{Incarnation, NodeId};
use protocol::manage::{AskManage, Manage, Managed, UsageQuery};
use protocol::message::{Ask, AskStatus, ClientHello};
use protocol::request::{Input, Params, Request};
use protocol::version::Versions;
use ractor::{Actor, ActorRef};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use transport::BoxFuture;
use transport::connection::Connection;
use transport::frames::FrameReader;
use transport::join;
use transport::pki::Credentials;
use transport::quic::{Dialler, QuicConnection, Timing, Trust};
use transport::token::JoinToken;

/// Longer than anything here takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);
/// Between two looks at something that changes by itself.
const LOOK: Duration = Duration::from_millis(10);

/// A running coordinator.
pub(crate) struct Bed {
    folder: TempDir,
    ready: serde_json::Value,
    stop: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

/// A node; to drop it is to lose it.
pub(crate) struct Guest {
    _node: Node,
    _trees: [ActorRef<SupervisorMsg>; 2],
}

fn dialler() -> Dialler {
    Dialler::new(Timing::from(&Config::default().wire))
}

struct QuicDialer {
    address: String,
    credentials: Credentials,
}

impl Dialer for QuicDialer {
    fn address(&self) -> &str {
        &self.address
    }

    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            let dialled = dialler().node(&self.address, &self.credentials).await;
            dialled.map(|connection| Arc::new(connection) as Arc<dyn Connection>).map_err(|error| error.to_string())
        })
    }
}

async fn supervise(child: actors::supervisor::ChildSpec) -> ActorRef<SupervisorMsg> {
    let backoff = Backoff { first: LOOK, longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: LONG, backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: LONG };
    Supervisor::spawn(None, Supervisor, args).await.unwrap().0
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        change(&mut config);
        config.coordinator.http = ([127, 0, 0, 1], 0).into();
        config.coordinator.quic = ([127, 0, 0, 1], 0).into();
        config.coordinator.state = folder.path().join("state");
        let stop = CancellationToken::new();
        let ready = folder.path().join("ready.json");
        let running = tokio::spawn(run(config, Some(ready.clone()), Arc::new(String::new), stop.clone()));
        let told = until(async || std::fs::read_to_string(&ready).ok()).await;
        Self { folder, ready: serde_json::from_str(&told).unwrap(), stop, running }
    }

    fn told(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap()
    }

    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.told("admin_key_file")).unwrap().trim().to_owned()
    }

    /// Connects without a word.
    pub(crate) async fn connect(&self) -> QuicConnection {
        let trust = Trust::CaFile(PathBuf::from(self.told("ca_file")));
        dialler().client(self.told("quic"), &trust).await.unwrap()
    }

    /// Connects and says hello; what the coordinator says to it.
    pub(crate) async fn greet(&self, key: &str, versions: Versions) -> (QuicConnection, Frame) {
        let connection = self.connect().await;
        let (mut writer, mut reader) = connection.open().await.unwrap();
        writer.send(ClientHello { versions, key: key.to_owned(), agent: "test".to_owned() }).await.unwrap();
        let said = next(&mut reader).await;
        (connection, said)
    }

    /// A client that may ask.
    pub(crate) async fn client(&self) -> QuicConnection {
        let (connection, said) = self.greet(&self.key(), Versions::OURS).await;
        assert!(matches!(said, Frame::ClientWelcome(_)), "{said:?}");
        connection
    }

    /// A node joins by the token and serves the mock, a token each `pace`. Returns when it is ready.
    pub(crate) async fn node(&self, id: u64, pace: Duration) -> Guest {
        let address = self.told("quic").to_owned();
        let token: JoinToken = std::fs::read_to_string(self.told("join_token_file")).unwrap().trim().parse().unwrap();
        let door = dialler().join(&address, &token).await.unwrap();
        let credentials = join::request(&door, &token, NodeId(id), LONG).await.unwrap();
        let timing = Pace { decode_per_step: pace, ..Pace::default() };
        let options = MockOptions { timing, ..MockOptions::default() };
        let factory = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
        let (handle, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
        let workers = supervise(child).await;
        let settings = NodeSettings {
            id: NodeId(id),
            name: format!("node-{id}"),
            incarnation: Incarnation(1),
            build: "test".to_owned(),
            streams: 8,
            patience: LONG,
            backoff: Backoff { first: LOOK, longest: Duration::from_secs(1) },
            seed: id,
        };
        let node = Node::new(settings, vec![handle]).await.unwrap();
        let links = supervise(node.link(Arc::new(QuicDialer { address, credentials }))).await;
        let client = self.client().await;
        let name = format!("node-{id}");
        until(async || {
            let status = status(&client).await;
            status
                .nodes
                .iter()
                .any(|node| node.name == name && node.state == protocol::answer::NodeState::Ready)
                .then_some(())
        })
        .await;
        Guest { _node: node, _trees: [links, workers] }
    }

    /// Tells it to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has stopped.
    pub(crate) async fn ended(self) -> Result<(), RunError> {
        let ended = timeout(LONG, self.running).await.unwrap().unwrap();
        drop(self.folder);
        ended
    }
}

/// Looks until there is something.
pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(LOOK).await;
        }
    };
    timeout(LONG, looking).await.unwrap()
}

pub(crate) async fn next(reader: &mut FrameReader) -> Frame {
    timeout(LONG, reader.recv()).await.unwrap().unwrap().unwrap()
}

pub(crate) async fn status(client: &QuicConnection) -> ClusterStatus {
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(AskStatus {}).await.unwrap();
    match next(&mut reader).await {
        Frame::Status(status) => status.status,
        other => panic!("expected a status: {other:?}"),
    }
}

/// Does what an operator wants.
pub(crate) async fn manage(client: &QuicConnection, manage: Manage) -> Managed {
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(AskManage { manage }).await.unwrap();
    match next(&mut reader).await {
        Frame::AnswerManage(answer) => answer.outcome.unwrap(),
        other => panic!("expected an answer: {other:?}"),
    }
}

/// All that was used, the oldest first.
pub(crate) async fn usage(client: &QuicConnection) -> Vec<UsageRecord> {
    match manage(client, Manage::Usage(UsageQuery { limit: 1000, ..UsageQuery::default() })).await {
        Managed::Usage { records, next: None } => records,
        other => panic!("expected all usage: {other:?}"),
    }
}

/// A request to the mock for so many tokens.
pub(crate) fn request(max_tokens: u32) -> Request {
    let params = Params { max_tokens: Some(max_tokens), ignore_eos: true, ..Params::default() };
    Request { model: "mock".to_owned(), input: Input::Text("abc".to_owned()), params, ..Request::default() }
}

/// Asks and reads to the end.
pub(crate) async fn ask(client: &QuicConnection, request: Request) -> Vec<Answer> {
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(Ask { request }).await.unwrap();
    let mut answers = Vec::new();
    while let Some(frame) = timeout(LONG, reader.recv()).await.unwrap().unwrap() {
        match frame {
            Frame::Answered(answered) => answers.push(answered.answer),
            other => panic!("expected an answer: {other:?}"),
        }
    }
    answers
}
