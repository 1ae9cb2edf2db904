//! What a node does for a coordinator.

use actors::mock::{Faults, bundle};
use protocol::engine::RefusalReason;
use protocol::frame::Frame;
use protocol::ids::{Incarnation, NodeId};
use protocol::message::{FetchText, Goodbye};
use protocol::units::Tokens;
use text::bundle::TextBundle;
use tokio::time::Instant;
use transport::connection::Connection;
use transport::error::{Code, StreamError};
use transport::frames::RecvError;

use crate::bed::{REPORT_EVERY, bed, job, next, read};

#[tokio::test(start_paused = true)]
async fn it_presents_itself_and_reports() {
    let mut bed = bed(Faults::default()).await;
    let mut peering = bed.welcome().await;
    assert_eq!(
        (peering.hello.node, peering.hello.incarnation, peering.hello.name.as_str()),
        (NodeId(7), Incarnation(3), "seven")
    );
    assert_eq!(peering.hello.cards, [bed.worker.card().unwrap()]);
    let first = peering.report().await;
    let begun = Instant::now();
    let second = peering.report().await;
    assert_eq!(begun.elapsed(), REPORT_EVERY);
    assert_eq!((first.incarnation, second.sequence), (Incarnation(3), first.sequence + 1));
    assert!(second.workers[0].ready && !second.draining);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_granted_streamed_and_finished() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, mut reader) = peering.submit(job(1, 20)).await;
    let Frame::Granted(granted) = next(&mut reader).await else { panic!("not granted") };
    assert_eq!(granted.cached, Tokens::ZERO);
    let (tokens, last) = read(&mut reader).await;
    let Frame::Finished(finished) = last else { panic!("{last:?}") };
    assert_eq!((tokens.len(), finished.usage.generated), (20, Tokens(20)));
    // A peer that finishes its half still listens.
    let (writer, mut reader) = peering.submit(job(1, 20)).await;
    writer.finish();
    assert_eq!(read(&mut reader).await.0, tokens);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_is_refused() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let mut unknown = job(1, 5);
    unknown.model = "other".to_owned();
    let (_writer, mut reader) = peering.submit(unknown).await;
    let (_, last) = read(&mut reader).await;
    assert!(
        matches!(last, Frame::Refused(refused) if refused.reason == RefusalReason::UnknownModel { model: "other".to_owned() })
    );
    let (_writer, mut reader) = peering.submit(job(1, 0)).await;
    let (_, last) = read(&mut reader).await;
    assert!(matches!(last, Frame::Refused(refused) if refused.reason == RefusalReason::NothingToDo));
}

#[tokio::test(start_paused = true)]
async fn nonsense_on_a_stream_harms_no_other() {
    let mut bed = bed(Faults::default()).await;
    let mut peering = bed.welcome().await;
    let (_answer, mut reader) = peering.submit(job(1, 50)).await;

    let (mut nonsense, mut reset) = peering.connection.open().await.unwrap();
    nonsense.send_raw(&[9, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7]).await.unwrap();
    assert_eq!(reset.recv().await.unwrap_err(), RecvError::Stream(StreamError::Reset(Code::Malformed)));

    let (mut misplaced, mut reset) = peering.connection.open().await.unwrap();
    misplaced.send(Goodbye { reason: String::new() }).await.unwrap();
    assert_eq!(reset.recv().await.unwrap_err(), RecvError::Stream(StreamError::Reset(Code::Unexpected)));

    let (_silent, mut reset) = peering.connection.open().await.unwrap();
    assert_eq!(reset.recv().await.unwrap_err(), RecvError::Stream(StreamError::Reset(Code::Late)));

    assert_eq!(read(&mut reader).await.0.len(), 50, "the answer beside them goes on");
    peering.report().await;
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_bound_are_reset() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let mut answers = Vec::new();
    for number in 0..8 {
        answers.push(peering.submit(job(number, 30)).await);
    }
    let (_writer, mut reader) = peering.submit(job(9, 30)).await;
    assert_eq!(reader.recv().await.unwrap_err(), RecvError::Stream(StreamError::Reset(Code::Full)));
    for (_, reader) in &mut answers {
        assert_eq!(read(reader).await.0.len(), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn words_are_fetched_by_their_hash() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let fetch = async |hash: [u8; 32]| {
        let (mut writer, mut reader) = peering.connection.open().await.unwrap();
        writer.send(FetchText { hash }).await.unwrap();
        writer.finish();
        let (mut bytes, mut last) = (Vec::new(), false);
        while let Some(frame) = reader.recv().await.unwrap() {
            let Frame::TextChunk(chunk) = frame else { panic!("{frame:?}") };
            assert!(!last, "nothing follows the last chunk");
            bytes.extend(chunk.bytes);
            last = chunk.last;
        }
        bytes
    };
    let bytes = fetch(peering.hello.cards[0].text).await;
    assert_eq!(protocol::codec::decode::<TextBundle>(&bytes).unwrap(), bundle());
    assert!(fetch([9; 32]).await.is_empty(), "there is no such bundle");
}
