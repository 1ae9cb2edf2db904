//! What every connection keeps, over whatever it runs: the same tests over memory and over QUIC.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::panic, reason = "a test names what it did not expect")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use protocol::frame::{Frame, Kind, ReadError, WriteError};
use protocol::message::{Begun, FetchText, Goodbye, TextChunk};
use protocol::units::Tokens;
use transport::connection::Connection;
use transport::error::{Code, Lost, StreamError};
use transport::frames::{FrameReader, FrameWriter, RecvError, SendError};

#[path = "support/ends.rs"]
mod support;

use support::{Ends, NODE};

macro_rules! contract {
    ($($name:ident)*) => {
        mod over_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::support::memory()).await;
            })*
        }

        mod over_quic {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::support::quic().await).await;
            })*
        }
    };
}

contract! {
    frames_go_both_ways_and_end
    frames_kept_back_go_out_together
    both_sides_open_streams
    a_writer_that_is_not_read_waits
    a_reset_is_seen
    a_dropped_writer_is_a_reset
    a_dropped_reader_stops_the_writer
    stopping_is_seen_by_a_writer_that_does_not_write
    a_cut_send_is_never_an_end
    a_frame_of_no_kind_ends_its_stream_alone
    an_oversized_frame_ends_its_stream_alone
    a_malformed_body_ends_its_stream_alone
    a_truncated_frame_ends_its_stream_alone
    a_late_frame_ends_its_stream_alone
    a_frame_in_pieces_survives_dropped_reads
    many_streams_at_once
    a_close_is_seen_with_its_reason
    peers_are_known
}

fn text(bytes: usize) -> Frame {
    TextChunk { bytes: vec![7; bytes], last: false }.into()
}

fn begun(tokens: u64) -> Frame {
    Begun { cached: Tokens(tokens) }.into()
}

/// A stream whose first frame has arrived: both halves on both sides.
async fn stream(ends: &Ends) -> ((FrameWriter, FrameReader), (FrameWriter, FrameReader)) {
    stream_of(&ends.dialled, &ends.accepted).await
}

async fn stream_of(
    from: &Arc<dyn Connection>,
    to: &Arc<dyn Connection>,
) -> ((FrameWriter, FrameReader), (FrameWriter, FrameReader)) {
    let mut ours = from.open().await.unwrap();
    ours.0.send(FetchText { hash: [3; 32] }).await.unwrap();
    let mut theirs = to.accept().await.unwrap();
    assert_eq!(theirs.1.recv().await.unwrap(), Some(FetchText { hash: [3; 32] }.into()));
    (ours, theirs)
}

/// The connection still carries frames.
async fn lives(ends: &Ends) {
    let ((mut writer, _), (_, mut reader)) = stream(ends).await;
    writer.send(begun(1)).await.unwrap();
    assert_eq!(reader.recv().await.unwrap(), Some(begun(1)));
}

/// Bytes that are no frame: the reader's error is typed and stays, the writer is told, the rest lives.
async fn refused(ends: Ends, bytes: &[u8], check: impl Fn(&RecvError) -> bool) {
    let ((mut writer, _keep), (_other, mut reader)) = stream(&ends).await;
    let stopped = writer.stopped();
    writer.send_raw(bytes).await.unwrap();
    let error = reader.recv().await.unwrap_err();
    assert!(check(&error), "{error:?}");
    assert_eq!(error.code(), Code::Malformed);
    assert_eq!(reader.recv().await, Err(StreamError::Ended.into()), "a fault is not an end");
    assert_eq!(stopped.await, StreamError::Stopped(Code::Malformed));
    lives(&ends).await;
}

async fn frames_go_both_ways_and_end(ends: Ends) {
    let ((mut writer, mut reader), (mut back, mut there)) = stream(&ends).await;
    for tokens in 0..100 {
        writer.send(begun(tokens)).await.unwrap();
        assert_eq!(there.recv().await.unwrap(), Some(begun(tokens)));
        back.send(text(1000)).await.unwrap();
        assert_eq!(reader.recv().await.unwrap(), Some(text(1000)));
    }
    writer.send(begun(100)).await.unwrap();
    writer.finish();
    back.finish();
    assert_eq!(there.recv().await.unwrap(), Some(begun(100)));
    for _ in 0..2 {
        assert_eq!(there.recv().await.unwrap(), None);
        assert_eq!(reader.recv().await.unwrap(), None);
    }
    let within = reader.recv_within(Duration::from_secs(1), "a frame").await;
    assert_eq!(within, Err(RecvError::Missing("a frame")));
}

async fn frames_kept_back_go_out_together(ends: Ends) {
    let ((mut writer, _reader), (_back, mut there)) = stream(&ends).await;
    writer.flush().await.unwrap();
    for tokens in 0..3 {
        writer.hold(begun(tokens)).unwrap();
    }
    assert!(matches!(writer.hold(text(17 << 20)), Err(WriteError::TooLong { .. })), "and harms nothing kept before");
    assert!(tokio::time::timeout(Duration::from_millis(50), there.recv()).await.is_err(), "nothing was sent yet");
    writer.send(begun(3)).await.unwrap();
    for tokens in 0..4 {
        assert_eq!(there.recv().await.unwrap(), Some(begun(tokens)));
    }
}

async fn both_sides_open_streams(ends: Ends) {
    let _one = stream_of(&ends.dialled, &ends.accepted).await;
    let _other = stream_of(&ends.accepted, &ends.dialled).await;
}

async fn a_writer_that_is_not_read_waits(ends: Ends) {
    const FRAMES: usize = 20;
    let ((mut writer, _keep), (_other, mut reader)) = stream(&ends).await;
    // 20 MiB, more than any window: the task can only end when the other side reads.
    let sent = Arc::new(tokio::sync::Semaphore::new(0));
    let counter = Arc::clone(&sent);
    let task = tokio::spawn(async move {
        for _ in 0..FRAMES {
            writer.send(text(1 << 20)).await.unwrap();
            counter.add_permits(1);
        }
        writer.finish();
    });
    drop(sent.acquire().await.unwrap());
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    assert!(!task.is_finished(), "all was taken though nobody reads");
    let mut got = 0;
    while let Some(frame) = reader.recv().await.unwrap() {
        assert_eq!(frame.kind(), Kind::TextChunk);
        got += 1;
    }
    assert_eq!(got, FRAMES);
    task.await.unwrap();
}

async fn a_reset_is_seen(ends: Ends) {
    let ((writer, _keep), (_other, mut reader)) = stream(&ends).await;
    writer.reset(Code::Stopping);
    assert_eq!(reader.recv().await, Err(StreamError::Reset(Code::Stopping).into()));
    lives(&ends).await;
}

async fn a_dropped_writer_is_a_reset(ends: Ends) {
    let ((writer, _keep), (_other, mut reader)) = stream(&ends).await;
    drop(writer);
    assert_eq!(reader.recv().await, Err(StreamError::Reset(Code::Cancelled).into()));
    lives(&ends).await;
}

async fn a_dropped_reader_stops_the_writer(ends: Ends) {
    let ((mut writer, _keep), (_other, reader)) = stream(&ends).await;
    drop(reader);
    loop {
        match writer.send(text(1 << 20)).await {
            Ok(()) => {}
            Err(SendError::Stream(error)) => {
                assert_eq!(error, StreamError::Stopped(Code::Cancelled));
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    lives(&ends).await;
}

async fn stopping_is_seen_by_a_writer_that_does_not_write(ends: Ends) {
    let ((writer, _keep), (_other, reader)) = stream(&ends).await;
    let stopped = writer.stopped();
    reader.stop(Code::Refused);
    assert_eq!(stopped.await, StreamError::Stopped(Code::Refused));
    lives(&ends).await;
}

async fn a_cut_send_is_never_an_end(ends: Ends) {
    let ((mut writer, _keep), (_other, mut reader)) = stream(&ends).await;
    // Nobody reads: some send does not get through at once, and is dropped in the middle.
    loop {
        let mut send = Box::pin(writer.send(text(1 << 20)));
        let waits =
            std::future::poll_fn(|context| std::task::Poll::Ready(send.as_mut().poll(context).is_pending())).await;
        if waits {
            break;
        }
    }
    assert_eq!(writer.send(begun(1)).await, Err(StreamError::Ended.into()));
    writer.finish();
    let error = loop {
        match reader.recv().await {
            Ok(Some(frame)) => assert_eq!(frame, text(1 << 20)),
            Ok(None) => panic!("a cut was taken for an end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, StreamError::Reset(Code::Cancelled).into());
}

async fn a_frame_of_no_kind_ends_its_stream_alone(ends: Ends) {
    let unknown = |error: &RecvError| *error == RecvError::Frame(ReadError::UnknownKind(999));
    refused(ends, &[2, 0, 0, 0, 0xe7, 0x03], unknown).await;
}

async fn an_oversized_frame_ends_its_stream_alone(ends: Ends) {
    // 4 GiB, by its length alone: refused before anything follows.
    let too_long = |error: &RecvError| matches!(error, RecvError::Frame(ReadError::TooLong { .. }));
    refused(ends, &[0xff; 4], too_long).await;
}

async fn a_malformed_body_ends_its_stream_alone(ends: Ends) {
    let malformed = |error: &RecvError| matches!(error, RecvError::Frame(ReadError::Body { kind: Kind::Begun, .. }));
    // A body of two bytes, where the number takes one.
    refused(ends, &[4, 0, 0, 0, 19, 0, 1, 1], malformed).await;
}

async fn a_truncated_frame_ends_its_stream_alone(ends: Ends) {
    let ((mut writer, _keep), (_other, mut reader)) = stream(&ends).await;
    writer.send_raw(&[3, 0, 0, 0, 19]).await.unwrap();
    writer.finish();
    assert_eq!(reader.recv().await, Err(RecvError::CutOff(5)));
    lives(&ends).await;
}

async fn a_late_frame_ends_its_stream_alone(ends: Ends) {
    let ((writer, _keep), (_other, mut reader)) = stream(&ends).await;
    let limit = Duration::from_millis(20);
    let late = reader.recv_within(limit, "a hello").await.unwrap_err();
    assert_eq!((late.code(), late), (Code::Late, RecvError::Late(limit)));
    assert_eq!(writer.stopped().await, StreamError::Stopped(Code::Late));
    lives(&ends).await;
}

async fn a_frame_in_pieces_survives_dropped_reads(ends: Ends) {
    let ((mut writer, _keep), (_other, mut reader)) = stream(&ends).await;
    let frame = Frame::from(Goodbye { reason: "in pieces".to_owned() });
    let mut bytes = Vec::new();
    frame.write(&mut bytes).unwrap();
    let (last, first) = bytes.split_last().unwrap();
    for byte in first {
        writer.send_raw(&[*byte]).await.unwrap();
        // A read that is polled and dropped, as in a select.
        let polled = tokio::time::timeout(Duration::from_millis(1), reader.recv()).await;
        assert!(polled.is_err(), "{polled:?} came of a part of a frame");
    }
    writer.send_raw(&[*last]).await.unwrap();
    assert_eq!(reader.recv().await.unwrap(), Some(frame));
}

async fn many_streams_at_once(ends: Ends) {
    const STREAMS: u64 = 200;
    let accepted = Arc::clone(&ends.accepted);
    let server = tokio::spawn(async move {
        for _ in 0..STREAMS {
            let (mut writer, mut reader) = accepted.accept().await.unwrap();
            tokio::spawn(async move {
                while let Some(frame) = reader.recv().await.unwrap() {
                    writer.send(frame).await.unwrap();
                }
                writer.finish();
            });
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..STREAMS {
        let connection = Arc::clone(&ends.dialled);
        clients.spawn(async move {
            let (mut writer, mut reader) = connection.open().await.unwrap();
            for step in 0..10 {
                writer.send(begun(number * 100 + step)).await.unwrap();
                assert_eq!(reader.recv().await.unwrap(), Some(begun(number * 100 + step)));
            }
            writer.finish();
            assert_eq!(reader.recv().await.unwrap(), None);
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    server.await.unwrap();
}

async fn a_close_is_seen_with_its_reason(ends: Ends) {
    let ((writer, mut reader), _theirs) = stream(&ends).await;
    let (here, there) = (ends.accepted.closed(), ends.dialled.closed());
    ends.accepted.close(Code::Superseded, "a newer start");
    let lost = Lost::Closed { code: Code::Superseded, reason: "a newer start".to_owned() };
    assert_eq!(there.await, lost);
    assert_eq!(here.await, Lost::Here);
    assert_eq!(reader.recv().await, Err(StreamError::Lost(lost.clone()).into()));
    assert_eq!(writer.stopped().await, StreamError::Lost(lost.clone()));
    assert_eq!(ends.dialled.open().await.unwrap_err(), lost);
    assert_eq!(ends.accepted.accept().await.unwrap_err(), Lost::Here);
}

async fn peers_are_known(ends: Ends) {
    assert_eq!(ends.accepted.peer().node, Some(NODE));
    assert!(!ends.dialled.peer().address.is_empty());
    assert_eq!(ends.dialled.peer().address.starts_with("127.0.0.1:"), ends.quic);
}

#[tokio::test(start_paused = true)]
async fn a_severed_memory_connection_looks_lost_from_both_sides() {
    use transport::connection::Peer;
    let peer = |name: &str| Peer { address: name.to_owned(), node: None };
    let (first, second) = transport::memory::pair(peer("second"), peer("first"));
    let (mut writer, mut reader) = first.open().await.unwrap();
    writer.send(begun(1)).await.unwrap();
    first.sever();
    assert_eq!(reader.recv().await, Err(StreamError::Lost(Lost::Silent).into()));
    assert_eq!(writer.send(begun(2)).await, Err(StreamError::Lost(Lost::Silent).into()));
    assert_eq!(first.closed().await, Lost::Silent);
    assert_eq!(second.closed().await, Lost::Silent);
    assert_eq!(second.accept().await.unwrap_err(), Lost::Silent);
}
