//! Other nodes: where they fetch this node's cached blocks and model files, and how it reaches theirs.

use std::sync::Arc;

use actors::node::pull::{Beside, PeerDialer, PullSettings, Pulls};
use actors::node::{Among, Node};
use policy::pull::Terms;
use protocol::ids::NodeId;
use tokio::task::JoinSet;
use transport::BoxFuture;
use transport::connection::Connection;
use transport::error::Code;
use transport::pki::Credentials;
use transport::quic::{BindError, Dialler, Listener, Timing};

use crate::options::Plan;

/// Nodes that may be connected to fetch; one more is turned away.
const PEERS: usize = 256;

struct QuicPeers {
    dialler: Dialler,
    credentials: Arc<Credentials>,
}

impl PeerDialer for QuicPeers {
    fn dial(&self, node: NodeId, address: String) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async move {
            match self.dialler.peer(&address, &self.credentials, node).await {
                Ok(connection) => Ok(Arc::new(connection) as Arc<dyn Connection>),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

/// Opens the port, if there is one, and tells the node how it stands to the others. What is given back serves
/// until it is dropped.
pub(crate) fn begin(
    plan: &Plan,
    node: &Node,
    credentials: &Arc<Credentials>,
    files: Arc<dyn Beside>,
) -> Result<JoinSet<()>, BindError> {
    let (config, settings) = (&plan.config.node, &plan.config.pull);
    let timing = Timing::from(&plan.config.wire);
    let terms = Terms::from(settings);
    let (fetches, serves) = (settings.fetches as usize, settings.serves as usize);
    let dialer = QuicPeers { dialler: Dialler::new(timing), credentials: Arc::clone(credentials) };
    let settings = PullSettings { terms, fetches, serves, patience: timing.handshake };
    let pulls = Pulls::new(settings, Arc::new(dialer), node.workers());
    let mut serving = JoinSet::new();
    let mut address = None;
    if let Some(listen) = config.listen {
        let listener = Listener::bind_peers(listen, credentials, timing)?;
        let reached = config.address.clone().unwrap_or_else(|| listener.address().to_string());
        tracing::info!("other nodes fetch cached blocks and model files at {reached}");
        address = Some(reached);
        serving.spawn(accept(listener, Arc::clone(&pulls), files));
    }
    node.stand_among(Among { role: config.role, address, pulls: plan.config.pull.enabled.then_some(pulls) });
    Ok(serving)
}

async fn accept(mut listener: Listener, pulls: Arc<Pulls>, files: Arc<dyn Beside>) {
    let mut peers = JoinSet::new();
    loop {
        tokio::select! {
            incoming = listener.accept() => match incoming {
                None => return,
                Some(incoming) if peers.len() >= PEERS => incoming.connection.close(Code::Full, "too many peers"),
                Some(incoming) => {
                    peers.spawn(Arc::clone(&pulls).serve_beside(incoming.connection, Arc::clone(&files)));
                }
            },
            Some(_) = peers.join_next() => {}
        }
    }
}
