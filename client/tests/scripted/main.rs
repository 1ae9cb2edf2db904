//! The client library against a coordinator that follows a script, over real QUIC.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod connecting;
mod failover;
mod manage;
mod server;

use client::{
    Answer, AnswerError, Ask, ChatMessage, Client, ClusterStatus, Disorder, ErrorKind, FinishReason, Input, JobError,
    StatusError, SubmitError,
};
use protocol::frame::Frame;
use protocol::message::{AskStatus, Status};
use tokio::join;
use transport::connection::Connection;
use transport::error::{Code, StreamError};
use transport::frames::{FrameReader, FrameWriter, RecvError};

use server::{CLUSTER, Guest, Server, USAGE, answer, delta, finished, started, whole};

/// A client and its connection, seen from the server.
async fn pair() -> (Server, Client, Guest) {
    let mut server = Server::start();
    let options = server.options();
    let (client, guest) = join!(Client::connect(options), server.welcome());
    (server, client.unwrap(), guest)
}

fn hello() -> Ask {
    Ask::chat("m").user("Hello!")
}

/// The client has reset the stream: neither half goes on.
async fn is_cancelled(writer: FrameWriter, mut reader: FrameReader) {
    assert_eq!(reader.recv().await, Err(RecvError::Stream(StreamError::Reset(Code::Cancelled))));
    assert_eq!(writer.stopped().await, StreamError::Stopped(Code::Cancelled));
}

#[tokio::test]
async fn an_answer_comes_piece_by_piece() {
    let (_server, client, guest) = pair().await;
    let ask = Ask::chat("m").system("Be brief.").user("Hello!").max_tokens(9).seed(3).temperature(0.0);
    let (stream, (request, mut writer, mut reader)) = join!(client.submit(ask), guest.ask());
    let mut stream = stream.unwrap();
    assert_eq!(request.model, "m");
    let turns = vec![ChatMessage::new("system", "Be brief."), ChatMessage::new("user", "Hello!")];
    assert_eq!(request.input, Input::Chat(turns));
    assert_eq!((request.params.max_tokens, request.params.seed), (Some(9), Some(3)));

    for piece in whole(["He", "y"]) {
        answer(&mut writer, [piece.clone()]).await;
        assert_eq!(stream.next().await.unwrap().unwrap(), piece, "each comes before the next is sent");
    }
    assert!(stream.next().await.is_none());
    assert!(stream.time_to_first_text().is_some());
    assert_eq!(reader.recv().await, Ok(None), "a whole answer's stream is finished, not reset");
}

#[tokio::test]
async fn a_whole_answer_is_collected() {
    let (_server, client, guest) = pair().await;
    let serve = async {
        let (_, mut writer, _reader) = guest.ask().await;
        answer(&mut writer, whole(["Hel", "lo"])).await;
        writer.finish();
    };
    let (whole, ()) = join!(async { client.submit(hello()).await.unwrap().collect().await }, serve);
    let whole = whole.unwrap();
    assert_eq!((whole.text(), whole.node(), whole.usage), ("Hello", "node-1", USAGE));
    assert_eq!(whole.choices[0].reason, Some(FinishReason::Stop));
    assert!(whole.time_to_first_text.unwrap() <= whole.time);
}

#[tokio::test]
async fn what_the_cluster_has_against_a_request_is_the_last_word() {
    let (_server, client, guest) = pair().await;
    let (stream, (_, mut writer, _reader)) = join!(client.submit(hello()), guest.ask());
    let error = JobError::new(ErrorKind::UnknownModel, "no model 'm'").field("model");
    answer(&mut writer, [Answer::Failed(error.clone())]).await;
    let mut stream = stream.unwrap();
    assert!(matches!(stream.next().await, Some(Err(AnswerError::Failed(said))) if said == error));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn to_cancel_or_drop_an_answer_resets_its_stream_and_no_other() {
    let (_server, client, guest) = pair().await;
    let (kept, (_, mut kept_writer, _kept_reader)) = join!(client.submit(hello()), guest.ask());

    let (stream, (_, mut writer, reader)) = join!(client.submit(hello()), guest.ask());
    let mut stream = stream.unwrap();
    answer(&mut writer, [started(), delta("x")]).await;
    stream.next().await.unwrap().unwrap();
    stream.cancel();
    is_cancelled(writer, reader).await;
    assert!(stream.next().await.is_none(), "nothing follows");

    let (stream, (_, writer, reader)) = join!(client.submit(hello()), guest.ask());
    drop(stream);
    is_cancelled(writer, reader).await;

    answer(&mut kept_writer, whole(["a", "b"])).await;
    assert_eq!(kept.unwrap().collect().await.unwrap().text(), "ab");
}

#[tokio::test]
async fn an_answer_without_an_end_is_interrupted() {
    let (_server, client, guest) = pair().await;
    let (stream, (_, mut writer, _reader)) = join!(client.submit(hello()), guest.ask());
    answer(&mut writer, [started(), delta("x")]).await;
    writer.finish();
    let outcome = stream.unwrap().collect().await;
    assert!(matches!(outcome, Err(AnswerError::Interrupted { pieces: 2, .. })), "{outcome:?}");

    let (stream, (_, mut writer, _reader)) = join!(client.submit(hello()), guest.ask());
    answer(&mut writer, [started()]).await;
    let mut stream = stream.unwrap();
    stream.next().await.unwrap().unwrap();
    guest.connection.close(Code::Stopping, "going down");
    match stream.next().await {
        Some(Err(AnswerError::Interrupted { pieces: 1, reason })) => assert!(reason.contains("going down"), "{reason}"),
        other => panic!("expected an interruption, got {other:?}"),
    }
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn disorder_ends_an_answer_and_cancels_its_job() {
    let (_server, client, guest) = pair().await;
    let (stream, (_, mut writer, reader)) = join!(client.submit(hello()), guest.ask());
    answer(&mut writer, [started(), finished(), delta("late")]).await;
    let outcome = stream.unwrap().collect().await;
    assert!(matches!(outcome, Err(AnswerError::Disorder(Disorder::AfterFinish(0)))), "{outcome:?}");
    is_cancelled(writer, reader).await;
}

#[tokio::test]
async fn a_frame_of_another_kind_is_no_answer() {
    let (_server, client, guest) = pair().await;
    let (stream, (_, mut writer, reader)) = join!(client.submit(hello()), guest.ask());
    writer.send(AskStatus {}).await.unwrap();
    let outcome = stream.unwrap().collect().await;
    assert!(matches!(outcome, Err(AnswerError::Protocol(_))), "{outcome:?}");
    is_cancelled(writer, reader).await;
}

#[tokio::test]
async fn a_lost_connection_is_dialled_again_and_no_request_is_sent_twice() {
    let (mut server, client, guest) = pair().await;
    let (stream, (_, _writer, _reader)) = join!(client.submit(hello()), guest.ask());
    guest.connection.close(Code::Stopping, "");
    let outcome = stream.unwrap().collect().await;
    assert!(matches!(outcome, Err(AnswerError::Interrupted { pieces: 0, .. })), "{outcome:?}");

    let serve = async {
        let guest = server.welcome().await;
        let (request, mut writer, _reader) = guest.ask().await;
        answer(&mut writer, whole(["ag", "ain"])).await;
        writer.finish();
        (guest, request)
    };
    let again = Ask::text("m", "another");
    let (stream, (_guest, request)) = join!(client.submit(again), serve);
    assert_eq!(stream.unwrap().collect().await.unwrap().text(), "again");
    assert_eq!(request.input, Input::Text("another".into()), "the first request was not sent again");
}

#[tokio::test]
async fn clones_share_a_connection() {
    let (_server, client, guest) = pair().await;
    let other = client.clone();
    let (first, _) = join!(client.submit(hello()), guest.ask());
    let (second, _) = join!(other.submit(hello()), guest.ask());
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(other.cluster().await.unwrap(), CLUSTER);
}

#[tokio::test]
async fn a_request_that_fits_no_frame_is_refused_here_and_the_connection_lives() {
    let (_server, client, guest) = pair().await;
    let huge = Ask::text("m", "x".repeat(9 << 20));
    let outcome = client.submit(huge).await;
    assert!(matches!(outcome, Err(SubmitError::TooLarge(_))), "{outcome:?}");
    // Its stream was opened and reset: the peer may or may not have seen it.
    let serve = async {
        loop {
            let (mut writer, mut reader) = guest.connection.accept().await.unwrap();
            if let Ok(Some(Frame::Ask(_))) = reader.recv().await {
                answer(&mut writer, whole(["o", "k"])).await;
                writer.finish();
                return;
            }
        }
    };
    let (stream, ()) = join!(client.submit(hello()), serve);
    assert_eq!(stream.unwrap().collect().await.unwrap().text(), "ok");
}

#[tokio::test]
async fn the_cluster_tells_how_it_is() {
    let (_server, client, guest) = pair().await;
    let told = ClusterStatus { cluster: "c".into(), nodes: Vec::new(), requests: 3, tree: Vec::new() };
    let serve = async {
        let (frame, mut writer, _reader) = guest.next().await;
        assert_eq!(frame, Frame::AskStatus(AskStatus {}));
        writer.send(Status { status: told.clone() }).await.unwrap();
        writer.finish();
    };
    let (status, ()) = join!(client.status(), serve);
    assert_eq!(status.unwrap(), told);

    let (status, (_, writer, _reader)) = join!(client.status(), async {
        let (frame, writer, reader) = guest.next().await;
        guest.connection.close(Code::Stopping, "");
        (frame, writer, reader)
    });
    drop(writer);
    assert!(matches!(status, Err(StatusError::Interrupted(_))), "{status:?}");
}

#[tokio::test]
async fn a_closed_client_stays_closed_and_the_server_hears_of_it() {
    let (_server, client, guest) = pair().await;
    let other = client.clone();
    join!(client.close(), guest.connection.closed());
    let outcome = other.submit(hello()).await;
    assert!(matches!(outcome, Err(SubmitError::Connect(client::ConnectError::Closed))), "{outcome:?}");
}
