//! The dialling side: nodes, joining nodes, clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::ids::NodeId;
use protocol::version::{ALPN_CLIENT, ALPN_JOIN, ALPN_NODE, ALPN_PEER};
use quinn::crypto::rustls::QuicClientConfig;

use super::stream::QuicConnection;
use super::tls::{Root, client};
use super::{Timing, lost};
use crate::error::{Alert, Lost};
use crate::pki::{COORDINATOR_NAME, Credentials, PkiError, node_name, read_certificate};
use crate::token::{Fingerprint, JoinToken};

/// Whom a client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authority in this PEM file.
    CaFile(PathBuf),
    /// The authority with this fingerprint.
    Fingerprint(Fingerprint),
}

/// A connection that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address cannot be found.
    #[error("'{address}' cannot be resolved: {problem}; write HOST:PORT")]
    Resolve {
        /// As it was given.
        address: String,
        /// What the resolver says.
        problem: String,
    },
    /// Nobody answers.
    #[error("{address} does not answer: is a coordinator running there, and is UDP let through?")]
    Unreachable {
        /// As it was given.
        address: String,
    },
    /// The other side speaks another protocol version.
    #[error("{address} speaks another protocol version than {ours}: update the older of the two")]
    Version {
        /// As it was given.
        address: String,
        /// What this side speaks.
        ours: String,
    },
    /// The server is not the one that is trusted.
    #[error("{address} is not of the trusted cluster: check the CA file, the fingerprint or the join token")]
    Untrusted {
        /// As it was given.
        address: String,
    },
    /// It answered and then refused.
    #[error("{address}: {lost}")]
    Refused {
        /// As it was given.
        address: String,
        /// Why.
        lost: Lost,
    },
    /// Certificates on this side.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// There is no socket.
    #[error("no UDP socket can be opened: {0}")]
    Socket(std::io::Error),
}

/// Dials coordinators.
#[derive(Clone, Copy, Debug)]
pub struct Dialler {
    timing: Timing,
}

impl Dialler {
    /// With this timing.
    pub fn new(timing: Timing) -> Self {
        Self { timing }
    }

    /// As a node that has joined.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn node(&self, address: &str, own: &Credentials) -> Result<QuicConnection, DialError> {
        self.dial(address, ALPN_NODE, client(Root::Authority(own.authority.clone()), Some(own), ALPN_NODE)?).await
    }

    /// As a node, another node: whoever answers must show the certificate of that very node.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn peer(&self, address: &str, own: &Credentials, node: NodeId) -> Result<QuicConnection, DialError> {
        let tls = client(Root::Authority(own.authority.clone()), Some(own), ALPN_PEER)?;
        self.dial_name(address, &node_name(node), ALPN_PEER, tls).await
    }

    /// As a node, another one that is known by its address alone: whoever answers must show the certificate of a
    /// node of the same cluster.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn any_peer(&self, address: &str, own: &Credentials) -> Result<QuicConnection, DialError> {
        let tls = client(Root::AnyNode(own.authority.clone()), Some(own), ALPN_PEER)?;
        // The name is not looked at, but TLS sends one.
        self.dial_name(address, COORDINATOR_NAME, ALPN_PEER, tls).await
    }

    /// As a node that wants to join: the server must hold the authority that the token names.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn join(&self, address: &str, token: &JoinToken) -> Result<QuicConnection, DialError> {
        self.dial(address, ALPN_JOIN, client(Root::Fingerprint(token.fingerprint), None, ALPN_JOIN)?).await
    }

    /// As a client.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn client(&self, address: &str, trust: &Trust) -> Result<QuicConnection, DialError> {
        let root = match trust {
            Trust::CaFile(path) => Root::Authority(read_certificate(path)?),
            Trust::Fingerprint(fingerprint) => Root::Fingerprint(*fingerprint),
        };
        self.dial(address, ALPN_CLIENT, client(root, None, ALPN_CLIENT)?).await
    }

    /// With any protocol name, for tests of the refusal.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn speaking(
        &self,
        address: &str,
        alpn: &'static [u8],
        fingerprint: Fingerprint,
    ) -> Result<QuicConnection, DialError> {
        self.dial(address, alpn, client(Root::Fingerprint(fingerprint), None, alpn)?).await
    }

    async fn dial(&self, address: &str, alpn: &[u8], tls: QuicClientConfig) -> Result<QuicConnection, DialError> {
        self.dial_name(address, COORDINATOR_NAME, alpn, tls).await
    }

    async fn dial_name(
        &self,
        address: &str,
        name: &str,
        alpn: &[u8],
        tls: QuicClientConfig,
    ) -> Result<QuicConnection, DialError> {
        let remote = resolve(address).await?;
        let here: SocketAddr = if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let endpoint = quinn::Endpoint::client(here).map_err(DialError::Socket)?;
        self.connect(endpoint, remote, address, name, alpn, tls).await
    }

    /// As [`Dialler::node`], over a socket of a simulated network. What the endpoint leaves to chance follows from `seed`.
    ///
    /// # Errors
    /// See [`DialError`].
    #[cfg(feature = "simulated")]
    pub async fn node_over(
        &self,
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        remote: SocketAddr,
        own: &Credentials,
        seed: u64,
    ) -> Result<QuicConnection, DialError> {
        let tls = client(Root::Authority(own.authority.clone()), Some(own), ALPN_NODE)?;
        let endpoint = super::simulated::endpoint(socket, None, seed).map_err(DialError::Socket)?;
        self.connect(endpoint, remote, &remote.to_string(), COORDINATOR_NAME, ALPN_NODE, tls).await
    }

    async fn connect(
        &self,
        endpoint: quinn::Endpoint,
        remote: SocketAddr,
        address: &str,
        name: &str,
        alpn: &[u8],
        tls: QuicClientConfig,
    ) -> Result<QuicConnection, DialError> {
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.timing.transport());
        let refused = |problem: String| DialError::Resolve { address: address.to_owned(), problem };
        let connecting = endpoint.connect_with(config, remote, name).map_err(|error| refused(error.to_string()))?;
        let address = address.to_owned();
        match tokio::time::timeout(self.timing.handshake, connecting).await {
            Err(_) => Err(DialError::Unreachable { address }),
            Ok(Ok(connection)) => Ok(QuicConnection::new(connection, None, Some(endpoint))),
            Ok(Err(error)) => Err(match lost(error) {
                Lost::Silent => DialError::Unreachable { address },
                Lost::Tls(Alert::NO_PROTOCOL) => {
                    DialError::Version { address, ours: String::from_utf8_lossy(alpn).into_owned() }
                }
                // Our own check of the server's certificate ends in one of these.
                Lost::Tls(Alert(42..=44 | 46..=48 | 51)) => DialError::Untrusted { address },
                lost => DialError::Refused { address, lost },
            }),
        }
    }
}

async fn resolve(address: &str) -> Result<SocketAddr, DialError> {
    let refused = |problem: String| DialError::Resolve { address: address.to_owned(), problem };
    let mut found = tokio::net::lookup_host(address).await.map_err(|error| refused(error.to_string()))?;
    found.next().ok_or_else(|| refused("the name has no address".to_owned()))
}
