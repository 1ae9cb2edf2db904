//! The program itself, with a mock engine, against a coordinator played by the test over real QUIC.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use protocol::config::Wire;
use protocol::frame::Frame;
use protocol::ids::{JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::message::{Hello, Welcome};
use protocol::units::Tokens;
use protocol::version::Versions;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter};
use transport::join;
use transport::pki::ClusterAuthority;
use transport::quic::{Listener, QuicConnection, Role, Timing};
use transport::token::JoinToken;

/// Nothing here takes so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

struct Coordinator {
    listener: Listener,
    authority: ClusterAuthority,
    token: JoinToken,
    folder: TempDir,
}

struct Control {
    connection: Arc<QuicConnection>,
    _writer: FrameWriter,
    reader: FrameReader,
    hello: Hello,
}

#[expect(clippy::disallowed_methods, reason = "certificates are checked against the real clock")]
fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

impl Coordinator {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = ClusterAuthority::load_or_create(folder.path(), now()).unwrap();
        let own = authority.coordinator(now()).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), &own, Timing::from(&Wire::default()), None).unwrap();
        let token = JoinToken::new(authority.fingerprint(), [7; 32]);
        std::fs::write(folder.path().join("token"), token.reveal()).unwrap();
        Self { listener, authority, token, folder }
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    async fn incoming(&mut self) -> (Role, Arc<QuicConnection>) {
        let incoming = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        (incoming.role, incoming.connection)
    }

    async fn let_join(&mut self) -> Result<NodeId, join::JoinError> {
        let (role, connection) = self.incoming().await;
        assert_eq!(role, Role::Join);
        join::serve(connection.as_ref(), &self.authority, &self.token, now(), PATIENCE).await
    }

    async fn welcome(&mut self) -> Control {
        let (role, connection) = self.incoming().await;
        let (mut writer, mut reader) = timeout(PATIENCE, connection.accept()).await.unwrap().unwrap();
        let Frame::Hello(hello) = next(&mut reader).await else { panic!("no hello") };
        assert_eq!(role, Role::Node(hello.node), "the certificate names the node of the hello");
        let welcome = Welcome {
            version: Versions::OURS.newest,
            cluster: self.authority.cluster(),
            report_every: Duration::from_millis(100),
        };
        writer.send(welcome).await.unwrap();
        Control { connection, _writer: writer, reader, hello }
    }

    /// A node with a mock for this coordinator.
    fn node(&self, state: &Path, more: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_troupe-node"));
        command.args(["--engine", "mock", "--name", "test", "--join"]).arg(self.listener.address().to_string());
        command.arg("--state").arg(state).args(more).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    }
}

async fn next(reader: &mut FrameReader) -> Frame {
    timeout(PATIENCE, reader.recv()).await.unwrap().unwrap().unwrap()
}

/// Waits for its end: how it ended, and what it said.
async fn end(mut node: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    let mut stderr = node.stderr.take().unwrap();
    timeout(PATIENCE, stderr.read_to_string(&mut said)).await.unwrap().unwrap();
    (timeout(PATIENCE, node.wait()).await.unwrap().unwrap(), said)
}

async fn terminate(node: &Child) {
    let kill = Command::new("kill").args(["-TERM", &node.id().unwrap().to_string()]).status().await.unwrap();
    assert!(kill.success());
}

fn job(max_tokens: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(1), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        prompt: vec![TokenId(65); 10],
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(max_tokens), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

/// How many tokens an attempt brings before it finishes.
async fn finished(reader: &mut FrameReader) -> usize {
    let mut tokens = 0;
    loop {
        match next(reader).await {
            Frame::Granted(_) | Frame::Begun(_) => {}
            Frame::Tokens(batch) => tokens += batch.tokens.len(),
            Frame::Finished(_) => return tokens,
            other => panic!("{other:?}"),
        }
    }
}

async fn page(address: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

#[tokio::test]
async fn it_joins_serves_drains_and_comes_back_without_a_token() {
    let mut coordinator = Coordinator::new();
    let state = tempfile::tempdir().unwrap();
    let token = coordinator.token_file();
    let mut node =
        coordinator.node(state.path(), &["--metrics", "127.0.0.1:0", "--token-file", token.to_str().unwrap()]);
    let mut lines = BufReader::new(node.stderr.take().unwrap()).lines();
    let id = coordinator.let_join().await.unwrap();
    let mut control = coordinator.welcome().await;
    assert_eq!((control.hello.node, control.hello.incarnation.0, control.hello.name.as_str()), (id, 1, "test"));

    let (mut writer, mut reader) = control.connection.open().await.unwrap();
    writer.send(Frame::Submit(job(20).into())).await.unwrap();
    assert_eq!(finished(&mut reader).await, 20);

    let metrics = loop {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("metrics at http://") {
            break rest.trim_end_matches("/metrics").to_owned();
        }
    };
    let page = page(&metrics).await;
    assert!(page.contains("troupe_node_tokens_generated_total{model=\"mock\"} 20"), "{page}");
    assert!(page.contains("troupe_node_step_seconds_bucket"), "{page}");

    // About a second's answer: it must come to its end although the node is told to stop.
    let (mut writer, mut reader) = control.connection.open().await.unwrap();
    writer.send(Frame::Submit(job(60).into())).await.unwrap();
    while !matches!(next(&mut reader).await, Frame::Tokens(_)) {}
    terminate(&node).await;
    while !matches!(next(&mut control.reader).await, Frame::Drain(_)) {}
    assert!(finished(&mut reader).await > 10, "the answer was cut");
    while !matches!(next(&mut control.reader).await, Frame::Goodbye(_)) {}
    control.connection.close(Code::Done, "");
    let status = timeout(PATIENCE, node.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));

    let again = coordinator.node(state.path(), &[]);
    let control = coordinator.welcome().await;
    assert_eq!((control.hello.node, control.hello.incarnation.0), (id, 2));

    let twin = coordinator.node(state.path(), &[]);
    let (status, said) = end(twin).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("another node runs with the state folder"), "{said}");
    drop(again);
}

#[tokio::test]
async fn a_wrong_token_is_refused_once_and_for_all() {
    let mut coordinator = Coordinator::new();
    let wrong = JoinToken::new(coordinator.authority.fingerprint(), [8; 32]);
    std::fs::write(coordinator.token_file(), wrong.reveal()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let token = coordinator.token_file();
    let node = coordinator.node(state.path(), &["--token-file", token.to_str().unwrap()]);
    coordinator.let_join().await.unwrap_err();
    let (status, said) = end(node).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("the join token is not of this cluster"), "{said}");
    assert_eq!(said.matches("join token").count(), 1, "said once: {said}");
}

#[tokio::test]
async fn another_clusters_coordinator_is_not_trusted() {
    let coordinator = Coordinator::new();
    let other = Coordinator::new();
    std::fs::write(coordinator.token_file(), other.token.reveal()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let token = coordinator.token_file();
    let (status, said) = end(coordinator.node(state.path(), &["--token-file", token.to_str().unwrap()])).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("is not of the trusted cluster"), "{said}");
}

#[tokio::test]
async fn a_first_start_without_a_token_says_what_is_missing() {
    let coordinator = Coordinator::new();
    let state = tempfile::tempdir().unwrap();
    let (status, said) = end(coordinator.node(state.path(), &[])).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("--token-file"), "{said}");
}

#[tokio::test]
async fn a_model_that_is_not_there_is_named() {
    let coordinator = Coordinator::new();
    let state = tempfile::tempdir().unwrap();
    let token = coordinator.token_file();
    let more = ["--engine", "torch", "--model", "small=/no/such/model.gguf", "--token-file", token.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_troupe-node"));
    command.arg("--state").arg(state.path()).args(["--join", &coordinator.listener.address().to_string()]);
    let node = command.args(more).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let (status, said) = end(node).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("troupe-node: the model 'small' cannot be loaded: /no/such/model.gguf"), "{said}");
}

/// A program that fetches what these settings say, and what it prints.
async fn fetch(settings: &str, folder: &Path, more: &[&str]) -> (ExitStatus, String, String) {
    std::fs::write(folder.join("cluster.toml"), settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_troupe-node"));
    command.current_dir(folder).args(["--config", "cluster.toml"]).args(more).arg("--fetch-only");
    command.env("HF_ENDPOINT", "nowhere").env_remove("HF_TOKEN").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_model_goes_from_one_node_to_another() {
    let mut coordinator = Coordinator::new();
    let (holder, asker) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let weights: Vec<u8> = (0..1_000_000u32).map(|number| (number % 253) as u8).collect();
    let model = holder.path().join("small.gguf");
    std::fs::write(&model, &weights).unwrap();
    let models = holder.path().join("models");
    let settings = format!("[node]\nlisten = \"127.0.0.1:0\"\nmodels = \"{}\"\n", models.display());
    let config = holder.path().join("cluster.toml");
    std::fs::write(&config, settings).unwrap();
    let token = coordinator.token_file();
    let token = token.to_str().unwrap();
    let named = format!("small={}", model.display());
    let more = ["--config", config.to_str().unwrap(), "--model", &named, "--token-file", token];
    let mut node = coordinator.node(&holder.path().join("state"), &more);
    coordinator.let_join().await.unwrap();
    let _control = coordinator.welcome().await;
    let mut lines = BufReader::new(node.stderr.take().unwrap()).lines();
    let address = loop {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        if let Some((_, address)) = line.split_once("model files at ") {
            break address.to_owned();
        }
    };
    let join = coordinator.listener.address();
    let settings =
        format!("[node]\ncoordinators = [\"{join}\"]\npeers = [\"{address}\"]\n[models.small]\nsource = \"node\"\n");
    let more = ["--token-file", token];
    let (fetched, joined) = tokio::join!(fetch(&settings, asker.path(), &more), coordinator.let_join());
    joined.unwrap();
    let (status, said, log) = fetched;
    assert_eq!((status.code(), said.as_str()), (Some(0), "small: .troupe/models/small/small.gguf\n"), "{log}");
    assert!(log.contains("1 of 1 files fetched from node") && log.contains("hashes checked"), "{log}");
    assert!(std::fs::read(asker.path().join(".troupe/models/small/small.gguf")).unwrap() == weights);
    drop(node);
    // What is there needs no peer.
    let (status, said, log) = fetch(&settings, asker.path(), &[]).await;
    assert_eq!((status.code(), said.lines().count()), (Some(0), 1), "{log}");
}

#[tokio::test]
async fn a_model_that_cannot_be_fetched_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/x.gguf"), "not much").unwrap();
    let settings = "[models.a]\nsource = \"hf:org/repo\"\n[models.b]\nsource = \"folder:shared\"\n";
    let (status, said, log) = fetch(settings, folder.path(), &[]).await;
    assert_eq!((status.code(), said.as_str()), (Some(1), "b: .troupe/models/b/x.gguf\n"), "{log}");
    assert!(log.contains("nowhere: is no address") && log.contains("HF_ENDPOINT"), "{log}");
}

#[tokio::test]
async fn a_model_that_cannot_be_fetched_is_named_as_one_that_cannot_be_loaded() {
    let coordinator = Coordinator::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cluster.toml");
    std::fs::write(&config, "[models.small]\nsource = \"folder:none\"\n").unwrap();
    let token = coordinator.token_file();
    let mut command = Command::new(env!("CARGO_BIN_EXE_troupe-node"));
    command.current_dir(folder.path()).arg("--config").arg(config).arg("--token-file").arg(token);
    command.args(["--join", &coordinator.listener.address().to_string()]);
    let (status, said) = end(command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()).await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("the model 'small' cannot be loaded: its files cannot be fetched"), "{said}");
}
