//! Who is let in over QUIC, and what those hear who are not.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use protocol::message::{Begun, JoinRefused};
use protocol::units::Tokens;
use transport::connection::Connection;
use transport::error::{Alert, Code, Lost, StreamError};
use transport::frames::RecvError;
use transport::join::{self, JoinError};
use transport::pki::Credentials;
use transport::quic::{BindError, DialError, Dialler, Listener, Role, Timing, Trust};
use transport::token::{Fingerprint, JoinToken};

#[path = "support/ends.rs"]
#[expect(dead_code, reason = "shared with the contract")]
mod support;

use support::{NODE, Server, TIMING, now};

const PATIENCE: Duration = Duration::from_secs(20);
const DAY: i64 = 86_400;

fn dialler() -> Dialler {
    Dialler::new(TIMING)
}

/// What a node hears that dials with these credentials and is not let in. The server's next peer is
/// another one, so the refused node never came through.
async fn refused_node(server: &mut Server, own: &Credentials) -> Lost {
    let address = server.address.clone();
    // TLS 1.3 lets the dialler finish before its own certificate was judged.
    let lost = match dialler().node(&address, own).await {
        Ok(connection) => connection.closed().await,
        Err(DialError::Refused { lost, .. }) => lost,
        Err(other) => Lost::Other(other.to_string()),
    };
    let trust = Trust::Fingerprint(server.authority.fingerprint());
    let dialler = dialler();
    let (client, accepted) = tokio::join!(dialler.client(&address, &trust), server.accept());
    client.unwrap();
    assert_eq!(accepted.role, Role::Client);
    lost
}

#[tokio::test]
async fn a_node_joins_with_a_token_and_comes_back_with_its_certificate() {
    let mut server = Server::start();
    let token = JoinToken::new(server.authority.fingerprint(), [9; 32]);
    let address = server.address.clone();
    let node = async {
        let connection = dialler().join(&address, &token).await.unwrap();
        join::request(&connection, &token, NODE, PATIENCE).await.unwrap()
    };
    let serve = async {
        let incoming = server.listener.accept().await.unwrap();
        assert_eq!(incoming.role, Role::Join);
        join::serve(&*incoming.connection, &server.authority, &token, now(), PATIENCE).await.unwrap()
    };
    let (own, joined) = tokio::join!(node, serve);
    assert_eq!(joined, NODE);
    let dialler = dialler();
    let (back, accepted) = tokio::join!(dialler.node(&address, &own), server.accept());
    back.unwrap();
    assert_eq!(accepted.role, Role::Node(NODE));
    assert_eq!(accepted.connection.peer().node, Some(NODE));
}

#[tokio::test]
async fn a_wrong_secret_is_refused_on_both_sides() {
    let mut server = Server::start();
    let right = JoinToken::new(server.authority.fingerprint(), [9; 32]);
    let wrong = JoinToken::new(server.authority.fingerprint(), [8; 32]);
    let address = server.address.clone();
    let node = async {
        let connection = dialler().join(&address, &wrong).await.unwrap();
        join::request(&connection, &wrong, NODE, PATIENCE).await
    };
    let serve = async {
        let incoming = server.listener.accept().await.unwrap();
        join::serve(&*incoming.connection, &server.authority, &right, now(), PATIENCE).await
    };
    let (asked, served) = tokio::join!(node, serve);
    assert!(matches!(asked, Err(JoinError::Refused(JoinRefused::WrongToken))), "{asked:?}");
    assert!(matches!(served, Err(JoinError::Refused(JoinRefused::WrongToken))), "{served:?}");
}

#[tokio::test]
async fn a_token_of_another_cluster_never_shows_its_secret() {
    let server = Server::start();
    let token = JoinToken::new(Fingerprint([1; 32]), [9; 32]);
    let error = dialler().join(&server.address, &token).await.unwrap_err();
    assert!(matches!(error, DialError::Untrusted { .. }), "{error}");
    let trust = Trust::Fingerprint(Fingerprint([1; 32]));
    let error = dialler().client(&server.address, &trust).await.unwrap_err();
    assert!(matches!(error, DialError::Untrusted { .. }), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_refused() {
    let mut server = Server::start();
    let foreign = Server::start().node(now());
    // It trusts this server, so that only the server has a reason to refuse.
    let own = Credentials { authority: server.authority.certificate().clone(), ..foreign };
    let lost = refused_node(&mut server, &own).await;
    assert!(matches!(lost, Lost::Tls(Alert::UNKNOWN_CA | Alert(51))), "{lost:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let mut server = Server::start();
    let own = server.node(now() - 2000 * DAY);
    assert_eq!(refused_node(&mut server, &own).await, Lost::Tls(Alert::EXPIRED));
    let early = server.node(now() + 10 * DAY);
    let lost = refused_node(&mut server, &early).await;
    assert!(matches!(lost, Lost::Tls(_)), "{lost:?}");
}

#[tokio::test]
async fn a_client_cannot_come_through_the_door_of_nodes() {
    let mut server = Server::start();
    let fingerprint = server.authority.fingerprint();
    let connection = dialler().speaking(&server.address, b"troupe/1", fingerprint).await.unwrap();
    let lost = connection.closed().await;
    assert!(matches!(&lost, Lost::Closed { code: Code::Refused, reason } if reason.contains("join first")), "{lost:?}");
    // A coordinator's own certificate names no node either.
    let coordinator = server.authority.coordinator(now()).unwrap();
    let lost = refused_node(&mut server, &coordinator).await;
    assert!(matches!(lost, Lost::Closed { code: Code::Refused, .. } | Lost::Tls(_)), "{lost:?}");
}

#[tokio::test]
async fn another_protocol_version_is_named_on_the_dialling_side() {
    let server = Server::start();
    let fingerprint = server.authority.fingerprint();
    let error = dialler().speaking(&server.address, b"troupe/2", fingerprint).await.unwrap_err();
    assert!(matches!(&error, DialError::Version { ours, .. } if ours == "troupe/2"), "{error}");
    assert!(error.to_string().contains("update the older"), "{error}");
}

#[tokio::test]
async fn silence_ends_a_connection() {
    // Neither side keeps it awake within the timeout.
    let timing = Timing { keep_alive: PATIENCE, idle_timeout: Duration::from_millis(200), ..TIMING };
    let mut server = Server::with(timing);
    let trust = Trust::Fingerprint(server.authority.fingerprint());
    let address = server.address.clone();
    let dialler = Dialler::new(timing);
    let (client, accepted) = tokio::join!(dialler.client(&address, &trust), server.accept());
    assert_eq!(client.unwrap().closed().await, Lost::Silent);
    assert_eq!(accepted.connection.closed().await, Lost::Silent);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    // A socket that never answers holds the port.
    let deaf = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let address = deaf.local_addr().unwrap().to_string();
    let dialler = Dialler::new(Timing { handshake: Duration::from_millis(200), ..TIMING });
    let error = dialler.client(&address, &Trust::Fingerprint(Fingerprint([1; 32]))).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    for address in ["localhost", "127.0.0.1:99999"] {
        let error = dialler.client(address, &Trust::Fingerprint(Fingerprint([1; 32]))).await.unwrap_err();
        assert!(matches!(error, DialError::Resolve { .. }) && error.to_string().contains("HOST:PORT"), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = Server::start();
    let credentials = server.authority.coordinator(now()).unwrap();
    let error = Listener::bind(server.listener.address(), &credentials, TIMING, None).unwrap_err();
    assert!(matches!(error, BindError::Port { .. }));
    assert!(error.to_string().contains(&server.address) && error.to_string().contains("--quic"), "{error}");
}

#[tokio::test]
async fn a_listener_that_was_restarted_tells_peers_of_the_last_one_at_once() {
    // A runtime of its own, so that it can end as a killed process does: without a word.
    let process = tokio::runtime::Runtime::new().unwrap();
    let mut server = process.spawn(async { Server::start() }).await.unwrap();
    let own = server.node(now());
    let (dialler, address) = (dialler(), server.address.clone());
    let (connection, accepted) = tokio::join!(dialler.node(&address, &own), server.accept());
    let connection = connection.unwrap();
    process.shutdown_background();
    let (at, key) = (server.listener.address(), server.authority.reset_key());
    let credentials = server.authority.coordinator(now()).unwrap();
    drop((accepted, server));
    let begun = tokio::time::Instant::now();
    let _again = loop {
        // The old socket is closed in a moment.
        match Listener::bind(at, &credentials, TIMING, Some(key)) {
            Ok(listener) => break listener,
            Err(_) if begun.elapsed() < PATIENCE => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    // By silence it would take the idle timeout, which is longer.
    let lost = tokio::time::timeout(PATIENCE / 2, connection.closed()).await.unwrap();
    assert_eq!(lost, Lost::Forgotten);
}

#[tokio::test]
async fn nodes_reach_each_other_and_nobody_else_does() {
    let cluster = Server::start();
    let own = cluster.node(now());
    let mut listener = Listener::bind_peers(([127, 0, 0, 1], 0).into(), &own, TIMING).unwrap();
    let address = listener.address().to_string();
    let dialler = dialler();
    // Not under another node's name, not a coordinator's door, not with another cluster's certificate.
    let other = dialler.peer(&address, &own, protocol::ids::NodeId(8)).await.unwrap_err();
    assert!(matches!(other, DialError::Untrusted { .. }), "{other}");
    let door = dialler.node(&address, &own).await.unwrap_err();
    assert!(matches!(door, DialError::Version { .. } | DialError::Untrusted { .. }), "{door}");
    let stranger = Server::start().node(now());
    assert!(matches!(dialler.peer(&address, &stranger, NODE).await, Err(DialError::Untrusted { .. })));
    let (connection, accepted) = tokio::join!(dialler.peer(&address, &own, NODE), listener.accept());
    let (connection, accepted) = (connection.unwrap(), accepted.unwrap());
    assert_eq!(accepted.role, Role::Node(NODE), "whoever was refused never came through");
    assert_eq!(connection.peer().address, address);
    // A node does not pass for a coordinator either.
    let posed = dialler.client(&address, &Trust::Fingerprint(cluster.authority.fingerprint())).await.unwrap_err();
    assert!(!matches!(posed, DialError::Unreachable { .. }), "{posed}");
}

#[tokio::test]
async fn any_node_of_the_cluster_is_a_peer_and_nobody_else() {
    let server = Server::start();
    let own = server.node(now());
    let peers = Listener::bind_peers(([127, 0, 0, 1], 0).into(), &own, TIMING).unwrap();
    let address = peers.address().to_string();
    dialler().any_peer(&address, &own).await.unwrap();
    // A coordinator's certificate names no node, and another cluster's node is of another authority.
    let coordinator = server.authority.coordinator(now()).unwrap();
    let other = Server::start();
    let foreign = other.node(now());
    for wrong in [coordinator, foreign] {
        let listener = Listener::bind_peers(([127, 0, 0, 1], 0).into(), &wrong, TIMING).unwrap();
        let error = dialler().any_peer(&listener.address().to_string(), &own).await.unwrap_err();
        assert!(matches!(error, DialError::Untrusted { .. }), "{error}");
    }
}

#[tokio::test]
async fn regression_clocks_that_differ_by_hours_keep_nobody_out() {
    let mut server = Server::start();
    // As made by a coordinator whose clock is ahead of everybody's: not valid yet, were it taken at its word.
    for ahead in [3_600, 2 * 3_600, 23 * 3_600] {
        let own = server.node(now() + ahead);
        let (address, dialler) = (server.address.clone(), dialler());
        let (node, accepted) = tokio::join!(dialler.node(&address, &own), server.accept());
        node.unwrap();
        assert_eq!(accepted.role, Role::Node(NODE));
    }
    let far = server.node(now() + 2 * DAY);
    let lost = refused_node(&mut server, &far).await;
    assert!(matches!(lost, Lost::Tls(_)), "days are no skew: {lost:?}");
}

#[tokio::test]
async fn regression_a_stream_more_than_are_served_can_be_opened_and_hears_so() {
    let mut server = Server::start();
    let own = server.node(now());
    let address = server.address.clone();
    // A node that serves one stream: the coordinator's second one must not wait in silence.
    let dialler = Dialler::new(Timing { streams: 1, ..TIMING });
    let (dialled, accepted) = tokio::join!(dialler.node(&address, &own), server.accept());
    let (node, coordinator) = (dialled.unwrap(), accepted.connection);
    let both = async {
        let (mut first, _first) = coordinator.open().await.unwrap();
        let (mut second, mut reader) = coordinator.open().await.unwrap();
        first.send(Begun { cached: Tokens::ZERO }).await.unwrap();
        second.send(Begun { cached: Tokens::ZERO }).await.unwrap();
        let _served = node.accept().await.unwrap();
        let (full, rest) = node.accept().await.unwrap();
        full.reset(Code::Full);
        rest.stop(Code::Full);
        assert_eq!(reader.recv().await.unwrap_err(), RecvError::Stream(StreamError::Reset(Code::Full)));
    };
    assert!(tokio::time::timeout(PATIENCE, both).await.is_ok(), "the second stream waits for the first");
}
