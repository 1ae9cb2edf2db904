//! A whole coordinator on free ports, and a node with a mock that joins it, all in this process.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions, Timing as Pace, bundle};
use actors::node::{Dialer, Node, NodeSettings};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, WorkerMetrics, worker};
use coordinator::run::{RunError, run, unix_now};
use coordinator::state::authority;
use policy::restart::{Backoff, Intensity};
use protocol::account::UsageRecord;
use protocol::answer::{Answer, ClusterStatus, JobError};
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
    reach: Reach,
    stop: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

/// A coordinator that does not run.
pub(crate) struct Stopped {
    folder: TempDir,
    quic: SocketAddr,
}

impl Stopped {
    /// Starts it, where it was reached before.
    pub(crate) async fn start(self, change: impl FnOnce(&mut Config)) -> Bed {
        let quic = self.quic;
        let change = |config: &mut Config| {
            config.coordinator.quic = quic;
            change(config);
        };
        Bed::start_in(self.folder, change).await
    }
}

/// On free ports, in a folder.
fn config(folder: &TempDir) -> Config {
    let mut config = Config::default();
    config.coordinator.http = ([127, 0, 0, 1], 0).into();
    config.coordinator.quic = ([127, 0, 0, 1], 0).into();
    config.coordinator.state = folder.path().join("state");
    config
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

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    async fn start_in(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(&folder);
        change(&mut config);
        let stop = CancellationToken::new();
        let ready = folder.path().join("ready.json");
        let running = tokio::spawn(run(config, Some(ready.clone()), Arc::new(String::new), stop.clone()));
        let told = until(async || std::fs::read_to_string(&ready).ok()).await;
        Self { folder, reach: Reach { ready: serde_json::from_str(&told).unwrap() }, stop, running }
    }

    /// A folder for another coordinator of the same cluster.
    pub(crate) fn share(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.json");
        authority::export(&self.folder.path().join("state"), &file).unwrap();
        authority::import(&folder.path().join("state"), &file, unix_now()).unwrap();
        folder
    }

    /// Another coordinator, which spends slices of this one's budgets.
    pub(crate) async fn follower(&self, change: impl FnOnce(&mut Config)) -> Self {
        let holder = self.told("quic").to_owned();
        let change = |config: &mut Config| {
            config.accounts.holder = Some(holder);
            change(config);
        };
        Self::start_in(self.share(), change).await
    }

    /// Stops it, and gives what makes it start where it was.
    pub(crate) async fn stopped(self) -> Stopped {
        self.stop.cancel();
        let quic = self.told("quic").parse().unwrap();
        timeout(LONG, self.running).await.unwrap().unwrap().unwrap();
        std::fs::remove_file(self.folder.path().join("ready.json")).unwrap();
        Stopped { folder: self.folder, quic }
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

impl Deref for Bed {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.reach
    }
}

/// Where a coordinator is reached, in this process or in another.
pub(crate) struct Reach {
    ready: serde_json::Value,
}

impl Reach {
    pub(crate) fn told(&self, field: &str) -> &str {
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
            streams: 512,
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
}

/// A coordinator in a process of its own; to drop it is to kill it.
pub(crate) struct Apart {
    reach: Reach,
    child: Child,
}

impl Apart {
    /// Starts one that spends slices of the holder's budgets, in a folder that was shared.
    pub(crate) async fn start(folder: &Path, holder: &Bed, accounts: &str) -> Self {
        let file = folder.join("cluster.toml");
        let text = format!("[accounts]\nholder = \"{}\"\n{accounts}", holder.told("quic"));
        std::fs::write(&file, text).unwrap();
        let ready = folder.join("ready.json");
        // An error says that there is none.
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(env!("CARGO_BIN_EXE_troupe-coordinator"));
        command.args(["--http", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--config"]).arg(&file);
        command.arg("--state").arg(folder.join("state")).arg("--ready-file").arg(&ready);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let told = until(async || std::fs::read_to_string(&ready).ok()).await;
        Self { reach: Reach { ready: serde_json::from_str(&told).unwrap() }, child }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Deref for Apart {
    type Target = Reach;

    fn deref(&self) -> &Reach {
        &self.reach
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

/// Has an operator's wish done.
pub(crate) async fn manage(client: &QuicConnection, manage: Manage) -> Result<Managed, JobError> {
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(AskManage { manage }).await.unwrap();
    match next(&mut reader).await {
        Frame::AnswerManage(answer) => answer.outcome,
        other => panic!("expected an answer: {other:?}"),
    }
}

pub(crate) async fn status(client: &QuicConnection) -> ClusterStatus {
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(AskStatus {}).await.unwrap();
    match next(&mut reader).await {
        Frame::Status(status) => status.status,
        other => panic!("expected a status: {other:?}"),
    }
}

/// All that was used, the oldest first.
pub(crate) async fn usage(client: &QuicConnection) -> Vec<UsageRecord> {
    match manage(client, Manage::Usage(UsageQuery { limit: 1000, ..UsageQuery::default() })).await {
        Ok(Managed::Usage { records, next: None }) => records,
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

/// Asks a coordinator that may be killed meanwhile; the last that it says.
pub(crate) async fn try_ask(client: &QuicConnection, request: Request) -> Option<Answer> {
    let (mut writer, mut reader) = client.open().await.ok()?;
    writer.send(Ask { request }).await.ok()?;
    let mut last = None;
    while let Ok(Some(Frame::Answered(answered))) = timeout(LONG, reader.recv()).await.unwrap() {
        last = Some(answered.answer);
    }
    last
}
