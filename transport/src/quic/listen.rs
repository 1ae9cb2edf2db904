//! The listening side: one port, three doors.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use protocol::ids::NodeId;
use protocol::version::{ALPN_CLIENT, ALPN_JOIN, ALPN_NODE, ALPN_PEER};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{EndpointConfig, TokioRuntime};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::pki_types::CertificateDer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::quiet::Quiet;
use super::stream::QuicConnection;
use super::{Timing, lost, tls};
use crate::error::Code;
use crate::pki::{Credentials, PkiError, ResetKey, node_of};

/// Handshakes under way at once; more peers have to come again.
const HANDSHAKES: usize = 256;
/// Finished handshakes that wait to be accepted.
const READY: usize = 64;

/// Through which door a peer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node with a certificate of this cluster.
    Node(NodeId),
    /// A node that wants to join.
    Join,
    /// A client.
    Client,
}

/// A peer whose handshake is done.
#[derive(Debug)]
pub struct Incoming {
    /// Through which door it came.
    pub role: Role,
    /// The connection.
    pub connection: Arc<QuicConnection>,
}

/// A listener that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken or forbidden.
    #[error(
        "UDP {address} cannot be used: {source}; stop what uses it, or choose another with --quic or coordinator.quic"
    )]
    Port {
        /// As it was given.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Certificates on this side.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// Accepts peers.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    ready: mpsc::Receiver<Incoming>,
    address: SocketAddr,
}

impl Listener {
    /// Opens the port and begins to accept. Must be called on a tokio runtime. With a reset key, peers of an
    /// earlier listener with the same key and port are told at their next packet that it is gone.
    ///
    /// # Errors
    /// A port that cannot be used, or certificates that cannot.
    pub fn bind(
        address: SocketAddr,
        credentials: &Credentials,
        timing: Timing,
        reset: Option<ResetKey>,
    ) -> Result<Self, BindError> {
        Self::accepting(address, tls::server(credentials)?, timing, reset)
    }

    /// As [`Listener::bind`], for a node: only other nodes of the cluster are let in.
    ///
    /// # Errors
    /// A port that cannot be used, or certificates that cannot.
    pub fn bind_peers(address: SocketAddr, credentials: &Credentials, timing: Timing) -> Result<Self, BindError> {
        Self::accepting(address, tls::peers(credentials)?, timing, None)
    }

    fn accepting(
        address: SocketAddr,
        tls: QuicServerConfig,
        timing: Timing,
        reset: Option<ResetKey>,
    ) -> Result<Self, BindError> {
        let config = server_config(tls, timing);
        let port = |source| BindError::Port { address, source };
        let socket = UdpSocket::bind(address).map_err(port)?;
        let local = socket.local_addr().map_err(port)?;
        let own = reset.map(|key| endpoint_config(key, local)).unwrap_or_default();
        let endpoint = quinn::Endpoint::new(own, Some(config), socket, Arc::new(TokioRuntime)).map_err(port)?;
        Ok(Self::serving(endpoint, local, timing))
    }

    /// As [`Listener::bind`], over a socket of a simulated network. What the endpoint leaves to chance follows from `seed`.
    ///
    /// # Errors
    /// A socket without an address, or certificates that cannot be used.
    #[cfg(feature = "simulated")]
    pub fn over(
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        credentials: &Credentials,
        timing: Timing,
        seed: u64,
    ) -> Result<Self, BindError> {
        let config = server_config(tls::server(credentials)?, timing);
        let port = |source| BindError::Port { address: ([0, 0, 0, 0], 0).into(), source };
        let local = socket.local_addr().map_err(port)?;
        let endpoint = super::simulated::endpoint(socket, Some(config), seed).map_err(port)?;
        Ok(Self::serving(endpoint, local, timing))
    }

    fn serving(endpoint: quinn::Endpoint, address: SocketAddr, timing: Timing) -> Self {
        let (sender, ready) = mpsc::channel(READY);
        tokio::spawn(accept_all(endpoint.clone(), sender, timing));
        Self { endpoint, ready, address }
    }

    /// The port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next peer; none after the listener was closed.
    pub async fn accept(&mut self) -> Option<Incoming> {
        self.ready.recv().await
    }

    /// Ends all connections and accepts no more.
    pub fn close(&self, code: Code, reason: &str) {
        self.endpoint.close(quinn::VarInt::from_u32(code.number()), reason.as_bytes());
    }

    /// Waits until the peers have been told.
    pub async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

fn server_config(tls: QuicServerConfig, timing: Timing) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(timing.transport());
    config.max_incoming(HANDSHAKES);
    config
}

/// Connection ids and reset tokens that a later listener on this port recognises.
fn endpoint_config(ResetKey(secret): ResetKey, address: SocketAddr) -> EndpointConfig {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
    let ids = ring::hmac::sign(&key, format!("connection ids of {}", address.port()).as_bytes());
    let (first, _) = ids.as_ref().split_first_chunk().unwrap_or((&[0; 8], &[]));
    let ids = u64::from_le_bytes(*first);
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
    config
}

/// What came of a handshake: the peer was let in, or why it was not.
type Outcome = (IpAddr, Result<(), String>);

async fn accept_all(endpoint: quinn::Endpoint, ready: mpsc::Sender<Incoming>, timing: Timing) {
    let mut handshakes = JoinSet::new();
    let mut quiet = Quiet::default();
    loop {
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                None => return,
                Some(incoming) if handshakes.len() >= HANDSHAKES => incoming.refuse(),
                Some(incoming) => {
                    handshakes.spawn(take(incoming, ready.clone(), timing));
                }
            },
            Some(Ok((peer, outcome))) = handshakes.join_next() => match outcome {
                Ok(()) => quiet.forget(peer),
                Err(problem) if quiet.is_news(peer, &problem) => tracing::warn!(%peer, "a peer was refused: {problem}"),
                Err(problem) => tracing::debug!(%peer, "a peer was refused again: {problem}"),
            },
        }
    }
}

async fn take(incoming: quinn::Incoming, ready: mpsc::Sender<Incoming>, timing: Timing) -> Outcome {
    let peer = incoming.remote_address().ip();
    match tokio::time::timeout(timing.handshake, handshake(incoming)).await {
        Ok(Ok(incoming)) => {
            // Only fails when the listener is gone; the connection then closes.
            let _ = ready.send(incoming).await;
            (peer, Ok(()))
        }
        Ok(Err(problem)) => (peer, Err(problem)),
        Err(_) => (peer, Err(format!("its handshake took longer than {:?}", timing.handshake))),
    }
}

async fn handshake(incoming: quinn::Incoming) -> Result<Incoming, String> {
    let connection = incoming.await.map_err(|error| lost(error).to_string())?;
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let protocol = data.and_then(|data| data.protocol).unwrap_or_default();
    let node = certified(&connection);
    let role = match (protocol.as_slice(), node) {
        (ALPN_NODE | ALPN_PEER, Some(node)) => Role::Node(node),
        (ALPN_NODE | ALPN_PEER, None) => {
            let reason = "a node must show a certificate of this cluster: join first";
            connection.close(quinn::VarInt::from_u32(Code::Refused.number()), reason.as_bytes());
            return Err(reason.to_owned());
        }
        (ALPN_JOIN, _) => Role::Join,
        (ALPN_CLIENT, _) => Role::Client,
        _ => return Err("it speaks no protocol of ours".to_owned()),
    };
    Ok(Incoming { role, connection: Arc::new(QuicConnection::new(connection, node, None)) })
}

/// Which node the peer's certificate names. TLS has checked it.
fn certified(connection: &quinn::Connection) -> Option<NodeId> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    node_of(chain.first()?)
}
