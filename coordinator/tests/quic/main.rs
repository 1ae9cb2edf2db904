//! A whole coordinator over real QUIC: joining, the client door, an orderly end.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod auto;
mod bed;
mod kept;
mod keyed;
mod manage;
mod providers;
mod scale;
mod shared;

use std::time::Duration;

use bed::{Bed, ask, next, request, status, until};
use protocol::answer::{Answer, ErrorKind};
use protocol::frame::Frame;
use protocol::message::{Ask, ClientRefused};
use protocol::version::{Version, Versions};
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::RecvError;

const PACE: Duration = Duration::from_millis(1);

fn error(answers: &[Answer]) -> ErrorKind {
    match answers {
        [Answer::Failed(error)] => error.kind,
        other => panic!("not one failure: {other:?}"),
    }
}

#[tokio::test]
async fn a_node_joins_by_the_token_and_answers_a_client() {
    let bed = Bed::start().await;
    let client = bed.client().await;
    let unknown = ask(&client, request(3)).await;
    assert_eq!(error(&unknown), ErrorKind::UnknownModel, "nobody serves it yet");
    let _node = bed.node(5, PACE).await;
    let answers = ask(&client, request(12)).await;
    assert!(matches!(&answers[0], Answer::Started(started) if started.node == "node-5" && started.prompt.0 == 3));
    assert!(matches!(answers.last(), Some(Answer::Done { usage }) if usage.completion.0 == 12), "{answers:?}");
    let mut other = request(3);
    other.model = "nobody".to_owned();
    assert_eq!(error(&ask(&client, other).await), ErrorKind::UnknownModel);
}

#[tokio::test]
async fn without_the_key_or_a_common_version_nothing_is_answered() {
    let bed = Bed::start().await;
    let (denied, said) = bed.greet("sk-troupe-wrong", Versions::OURS).await;
    match said {
        Frame::ClientRefused(ClientRefused::Denied(error)) => assert_eq!(error.kind, ErrorKind::Unauthorized),
        other => panic!("let in: {other:?}"),
    }
    // Whoever was refused is not served, hello or not.
    let (mut writer, mut reader) = denied.open().await.unwrap();
    let sent = writer.send(Ask { request: request(1) }).await;
    assert!(sent.is_err() || !matches!(reader.recv().await, Ok(Some(_))));
    let far = Versions { oldest: Version(90), newest: Version(99) };
    let (_connection, said) = bed.greet(&bed.key(), far).await;
    assert!(matches!(said, Frame::ClientRefused(ClientRefused::Version(_))), "{said:?}");
    let rude = bed.connect().await;
    let (mut writer, mut reader) = rude.open().await.unwrap();
    writer.send(Ask { request: request(1) }).await.unwrap();
    assert!(!matches!(reader.recv().await, Ok(Some(_))), "a request instead of a hello was answered");
}

#[tokio::test]
async fn a_malformed_frame_ends_its_stream_and_no_other() {
    let bed = Bed::start().await;
    let client = bed.client().await;
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send_raw(&[0xff; 64]).await.unwrap();
    assert!(matches!(reader.recv().await, Err(RecvError::Stream(_))));
    assert!(status(&client).await.nodes.is_empty());
}

#[tokio::test]
async fn a_client_that_resets_its_stream_frees_the_node() {
    let bed = Bed::start().await;
    let _node = bed.node(5, Duration::from_millis(20)).await;
    let client = bed.client().await;
    let (mut writer, mut reader) = client.open().await.unwrap();
    // 80 seconds: longer than this test waits.
    writer.send(Ask { request: request(4000) }).await.unwrap();
    assert!(matches!(next(&mut reader).await, Frame::Answered(_)));
    assert_eq!(status(&client).await.requests, 1);
    writer.reset(Code::Cancelled);
    reader.stop(Code::Cancelled);
    until(async || {
        let now = status(&client).await;
        let idle =
            now.nodes.iter().all(|node| node.models.iter().all(|model| model.running == 0 && model.blocks_used.0 == 0));
        (now.requests == 0 && idle).then_some(())
    })
    .await;
}

#[tokio::test]
async fn told_to_stop_it_ends_what_runs_and_takes_nothing_new() {
    let bed = Bed::start().await;
    let _node = bed.node(5, PACE).await;
    let client = bed.client().await;
    let (mut writer, mut reader) = client.open().await.unwrap();
    writer.send(Ask { request: request(1000) }).await.unwrap();
    assert!(matches!(next(&mut reader).await, Frame::Answered(_)));
    bed.stop();
    // Until it has noticed, what is asked is still answered; then it is refused while the first goes on.
    let refused = until(async || {
        let answers = ask(&client, request(1)).await;
        matches!(answers.as_slice(), [Answer::Failed(_)]).then(|| error(&answers))
    })
    .await;
    assert_eq!(refused, ErrorKind::Overloaded);
    let mut last = None;
    while let Ok(Some(Frame::Answered(answered))) = reader.recv().await {
        last = Some(answered.answer);
    }
    assert!(matches!(&last, Some(Answer::Done { usage }) if usage.completion.0 == 1000), "{last:?}");
    bed.ended().await.unwrap();
}
