//! Two ends of a connection, over memory and over QUIC.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::ids::NodeId;
use transport::connection::{Connection, Peer};
use transport::pki::{ClusterAuthority, Credentials, NodeRequest};
use transport::quic::{Dialler, Incoming, Listener, Role, Timing};

pub(crate) const NODE: NodeId = NodeId(7);

pub(crate) const TIMING: Timing = Timing {
    keep_alive: Duration::from_secs(1),
    idle_timeout: Duration::from_secs(20),
    handshake: Duration::from_secs(20),
    streams: 64,
};

/// A coordinator with an authority of its own.
pub(crate) struct Server {
    pub(crate) authority: ClusterAuthority,
    pub(crate) listener: Listener,
    pub(crate) address: String,
    _folder: tempfile::TempDir,
}

#[expect(clippy::disallowed_methods, reason = "TLS compares certificates with the wall clock")]
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(TIMING)
    }

    pub(crate) fn with(timing: Timing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = ClusterAuthority::load_or_create(folder.path(), now()).unwrap();
        let credentials = authority.coordinator(now()).unwrap();
        let listener =
            Listener::bind(([127, 0, 0, 1], 0).into(), &credentials, timing, Some(authority.reset_key())).unwrap();
        let address = listener.address().to_string();
        Self { authority, listener, address, _folder: folder }
    }

    /// What a node that joined at `when` holds.
    pub(crate) fn node(&self, when: i64) -> Credentials {
        let request = NodeRequest::new(NODE).unwrap();
        let certificate = self.authority.sign_node(&request.request, NODE, when).unwrap();
        request.signed(certificate.to_vec(), self.authority.certificate().to_vec())
    }

    pub(crate) async fn accept(&mut self) -> Incoming {
        self.listener.accept().await.unwrap()
    }
}

/// Two ends, and what must live as long as they do.
pub(crate) struct Ends {
    pub(crate) dialled: Arc<dyn Connection>,
    pub(crate) accepted: Arc<dyn Connection>,
    pub(crate) quic: bool,
    _server: Option<Server>,
}

pub(crate) fn memory() -> Ends {
    let first = Peer { address: "second".to_owned(), node: None };
    let second = Peer { address: "first".to_owned(), node: Some(NODE) };
    let (dialled, accepted) = transport::memory::pair(first, second);
    Ends { dialled, accepted, quic: false, _server: None }
}

pub(crate) async fn quic() -> Ends {
    let mut server = Server::start();
    let own = server.node(now());
    let address = server.address.clone();
    let dialler = Dialler::new(TIMING);
    let (dialled, accepted) = tokio::join!(dialler.node(&address, &own), server.accept());
    assert_eq!(accepted.role, Role::Node(NODE));
    Ends { dialled: Arc::new(dialled.unwrap()), accepted: accepted.connection, quic: true, _server: Some(server) }
}
