//! Who may connect, who is trusted, and what is tried again.

use std::net::UdpSocket;
use std::time::Duration;

use client::{Client, ConnectError, ErrorKind, JobError, Trust};
use protocol::message::ClientRefused;
use protocol::version::{Version, VersionMismatch, Versions};
use tokio::join;
use transport::connection::Connection;
use transport::error::Code;

use super::server::Server;

/// The error of connecting to a server that must never take us in.
async fn refused(server: &Server, trust: Trust) -> ConnectError {
    let mut options = server.options();
    options.trust = trust;
    Client::connect(options).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_key_is_told_and_not_tried_again() {
    let mut server = Server::start();
    let options = server.options();
    let denied = JobError::new(ErrorKind::Unauthorized, "the key is not known");
    let serve = async {
        server.refuse(ClientRefused::Denied(denied.clone())).await;
        server
    };
    let (outcome, mut server) = join!(Client::connect(options), serve);
    assert!(matches!(outcome, Err(ConnectError::Denied(ref error)) if *error == denied), "{outcome:?}");
    let again = tokio::time::timeout(Duration::from_millis(100), server.hello()).await;
    assert!(again.is_err(), "a key does not become right by trying again");
}

#[tokio::test]
async fn another_version_is_told_with_both_ranges() {
    let mut server = Server::start();
    let options = server.options();
    let theirs = Versions { oldest: Version(3), newest: Version(4) };
    let mismatch = VersionMismatch { ours: theirs, theirs: Versions::OURS };
    let (outcome, ()) = join!(Client::connect(options), server.refuse(ClientRefused::Version(mismatch)));
    assert!(matches!(outcome, Err(ConnectError::Version(told)) if told == mismatch), "{outcome:?}");
}

#[tokio::test]
async fn the_right_fingerprint_is_trusted() {
    let mut server = Server::start();
    let mut options = server.options();
    options.trust = Trust::Fingerprint(server.fingerprint());
    let (client, _guest) = join!(Client::connect(options), server.welcome());
    assert!(client.is_ok(), "{client:?}");
}

#[tokio::test]
async fn another_cluster_is_not_trusted() {
    let (server, other) = (Server::start(), Server::start());
    for trust in [Trust::Fingerprint(other.fingerprint()), Trust::CaFile(other.ca_file())] {
        let error = refused(&server, trust).await;
        assert!(matches!(error, ConnectError::Untrusted { .. }), "{error:?}");
        assert!(error.to_string().contains("CA file"), "{error}");
    }
}

#[tokio::test]
async fn trust_that_cannot_be_read_is_told() {
    let server = Server::start();
    for trust in [Trust::Fingerprint("abc".into()), Trust::CaFile("/nowhere/ca.crt".into())] {
        let error = refused(&server, trust).await;
        assert!(matches!(error, ConnectError::Trust(_)), "{error:?}");
    }
}

#[tokio::test]
async fn silence_is_tried_again_and_then_told() {
    let server = Server::start();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut options = server.options();
    options.addresses = vec![silent.local_addr().unwrap().to_string()];
    options.timeouts.connect = Duration::from_millis(50);
    let error = Client::connect(options).await.unwrap_err();
    match error {
        ConnectError::TimedOut { attempts, .. } | ConnectError::Unreachable { attempts, .. } => assert_eq!(attempts, 3),
        other => panic!("expected silence, got {other:?}"),
    }
}

#[tokio::test]
async fn a_coordinator_that_hangs_up_is_tried_again() {
    let mut server = Server::start();
    let options = server.options();
    let serve = async {
        let (connection, ..) = server.hello().await;
        connection.close(Code::Stopping, "");
        server.welcome().await
    };
    let (client, _guest) = join!(Client::connect(options), serve);
    assert!(client.is_ok(), "{client:?}");
}

#[tokio::test]
async fn the_next_address_is_asked_when_one_is_silent() {
    let mut server = Server::start();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut options = server.options();
    options.addresses.insert(0, silent.local_addr().unwrap().to_string());
    options.timeouts.connect = Duration::from_millis(500);
    let (client, _guest) = join!(Client::connect(options), server.welcome());
    assert!(client.is_ok(), "{client:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_told() {
    let server = Server::start();
    let mut options = server.options();
    options.addresses = vec!["nonsense".into()];
    let error = Client::connect(options.clone()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Address { .. }), "{error:?}");
    options.addresses.clear();
    let error = Client::connect(options).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoAddress), "{error:?}");
}
