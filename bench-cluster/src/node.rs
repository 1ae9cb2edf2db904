//! An imitated node: all of a node's own code over real QUIC, with the mock in place of an engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions, bundle};
use actors::node::{Dialer, Node, NodeSettings};
use actors::supervisor::{ChildSpec, Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, WorkerMetrics, worker};
use policy::restart::Intensity;
use protocol::config::Config;
use protocol::ids::{Incarnation, NodeId};
use ractor::{Actor, ActorRef};
use transport::BoxFuture;
use transport::connection::Connection;
use transport::join;
use transport::pki::{Credentials, read_secret};
use transport::quic::{Dialler, Timing};
use transport::token::JoinToken;

use crate::error::BenchError;

/// How long a coordinator may take to sign a certificate.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an actor may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// A node that serves until it is dropped.
#[derive(Debug)]
pub(crate) struct MockNode {
    node: Node,
    trees: [ActorRef<SupervisorMsg>; 2],
}

impl MockNode {
    /// Joins with the token, and waits until the coordinator has taken it in.
    ///
    /// # Errors
    /// It does not get in.
    pub(crate) async fn start(
        number: u64,
        quic: &str,
        token: &Path,
        options: &MockOptions,
        config: &Config,
    ) -> Result<Self, BenchError> {
        let id = NodeId(number);
        let intensity = Intensity::from(&config.supervision);
        let options = options.clone();
        let model = options.model.clone();
        let factory = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
        let (handle, child) = worker(model, Arc::new(factory), Drive::Task, WorkerMetrics::none());
        let engine = supervise(child, intensity, number).await?;
        let settings = NodeSettings {
            id,
            name: format!("node-{number}"),
            incarnation: Incarnation(1),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            streams: config.wire.streams as usize,
            patience: config.wire.handshake.0,
            backoff: intensity.backoff,
            seed: number,
        };
        let node = Node::new(settings, vec![handle]).await?;
        let token: JoinToken = read_secret(token)?.parse()?;
        let dialler = Dialler::new(Timing::from(&config.wire));
        let connection = dialler.join(quic, &token).await?;
        let credentials = Arc::new(join::request(&connection, &token, id, PATIENCE).await?);
        let dialer = QuicDialer { address: quic.to_owned(), dialler, credentials };
        let link = supervise(node.link(Arc::new(dialer)), intensity, number).await?;
        let node = Self { node, trees: [link, engine] };
        node.connected().await;
        Ok(node)
    }

    /// Waits until a coordinator has taken it in.
    pub(crate) async fn connected(&self) {
        // The sender lives in the node itself.
        drop(self.node.connected().wait_for(|count| *count > 0).await);
    }
}

impl Drop for MockNode {
    fn drop(&mut self) {
        for tree in &self.trees {
            tree.stop(None);
        }
    }
}

async fn supervise(child: ChildSpec, intensity: Intensity, seed: u64) -> Result<ActorRef<SupervisorMsg>, BenchError> {
    let args = SupervisorArgs { intensity, children: vec![child], seed, grace: GRACE };
    Ok(Supervisor::spawn(None, Supervisor, args).await?.0)
}

/// Dials one coordinator over QUIC, with the node's certificate.
#[derive(Debug)]
struct QuicDialer {
    address: String,
    dialler: Dialler,
    credentials: Arc<Credentials>,
}

impl Dialer for QuicDialer {
    fn address(&self) -> &str {
        &self.address
    }

    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            match self.dialler.node(&self.address, &self.credentials).await {
                Ok(connection) => Ok(Arc::new(connection) as Arc<dyn Connection>),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
