//! Several coordinators of one cluster: the next takes over.

use client::{AnswerError, Client};
use tokio::join;
use transport::connection::Connection;
use transport::error::Code;

use super::hello;
use super::server::{Guest, Server, answer, started, whole};

/// Two coordinators, and a client that the first has taken in.
async fn three() -> (Server, Server, Client, Guest) {
    let mut first = Server::start();
    let second = first.beside();
    let mut options = first.options();
    options.addresses.push(second.address());
    let (client, guest) = join!(Client::connect(options), first.welcome());
    (first, second, client.unwrap(), guest)
}

#[tokio::test]
async fn a_request_goes_to_the_next_when_its_coordinator_is_gone_without_a_word() {
    let (_first, mut second, client, guest) = three().await;
    let (stream, (asked, ..)) = join!(client.submit(hello()), guest.ask());
    guest.connection.close(Code::Stopping, "");
    let serve = async {
        let guest = second.welcome().await;
        let (again, mut writer, reader) = guest.ask().await;
        assert_eq!(again, asked);
        answer(&mut writer, whole(["He", "y"])).await;
        (guest, writer, reader)
    };
    let (collected, _held) = join!(stream.unwrap().collect(), serve);
    assert_eq!(collected.unwrap().text(), "Hey");
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let (_first, mut second, client, guest) = three().await;
    let (stream, (_, mut writer, _reader)) = join!(client.submit(hello()), guest.ask());
    let mut stream = stream.unwrap();
    answer(&mut writer, [started()]).await;
    stream.next().await.unwrap().unwrap();
    guest.connection.close(Code::Stopping, "");
    let broken = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(broken, AnswerError::Interrupted { pieces: 1, .. }), "{broken:?}");
    assert!(stream.next().await.is_none());

    // The next request finds the other coordinator.
    let serve = async {
        let guest = second.welcome().await;
        let (_, mut writer, reader) = guest.ask().await;
        answer(&mut writer, whole(["ag", "ain"])).await;
        (guest, writer, reader)
    };
    let ask = async { client.submit(hello()).await.unwrap().collect().await };
    let (collected, _held) = join!(ask, serve);
    assert_eq!(collected.unwrap().text(), "again");
}

#[tokio::test]
async fn each_coordinator_is_asked_once_at_most() {
    let (_first, mut second, client, guest) = three().await;
    let (stream, _asked) = join!(client.submit(hello()), guest.ask());
    guest.connection.close(Code::Stopping, "");
    let serve = async {
        let guest = second.welcome().await;
        let _asked = guest.ask().await;
        guest.connection.close(Code::Stopping, "");
    };
    let (collected, ()) = join!(stream.unwrap().collect(), serve);
    assert!(matches!(collected, Err(AnswerError::Interrupted { pieces: 0, .. })), "{collected:?}");
}
