use futures_util::FutureExt;
use protocol::frame::Frame;
use protocol::message::Begun;
use protocol::units::Tokens;
use tokio::time::Instant;
use transport::error::{Code, Lost, StreamError};
use transport::frames::{Duplex, RecvError};

use super::*;

const NODE: Place = Place::Node(1);
const COORDINATOR: Place = Place::Coordinator(1);

type Ends = (Arc<Network>, [Arc<dyn Connection>; 2]);

async fn ends(line: Line) -> Ends {
    let network = Network::new(7);
    network.up(NODE);
    network.up(COORDINATOR);
    network.usual(line);
    let ends = network.connect(NodeId(1), 1).await.unwrap();
    (network, ends)
}

fn begun(tokens: u64) -> Frame {
    Begun { cached: Tokens(tokens) }.into()
}

/// A stream from the first end, with its first frame read at the second.
async fn stream([ours, theirs]: &[Arc<dyn Connection>; 2]) -> (Duplex, Duplex) {
    let mut near = ours.open().await.unwrap();
    near.0.send(begun(0)).await.unwrap();
    let mut far = theirs.accept().await.unwrap();
    assert_eq!(far.1.recv().await, Ok(Some(begun(0))));
    (near, far)
}

fn ragged() -> Line {
    Line { delay: Duration::from_millis(3), jitter: Duration::from_millis(40), bandwidth: Some(50_000), passes: true }
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_order_on_a_ragged_line_and_ends_after_its_last_frame() {
    let (_network, ends) = ends(ragged()).await;
    let ((mut writer, _keep), (_back, mut reader)) = stream(&ends).await;
    let sending = tokio::spawn(async move {
        for number in 1..200 {
            writer.send(begun(number)).await.unwrap();
        }
        writer.finish();
    });
    for number in 1..200 {
        assert_eq!(reader.recv().await, Ok(Some(begun(number))));
    }
    assert_eq!(reader.recv().await, Ok(None));
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn streams_overtake_each_other_and_a_slow_line_takes_its_time() {
    let (_network, ends) = ends(ragged()).await;
    let [ours, theirs] = &ends;
    let mut order = Vec::new();
    let mut writers = Vec::new();
    for number in 0..20 {
        let (mut writer, reader) = ours.open().await.unwrap();
        writer.send(begun(number)).await.unwrap();
        writers.push((writer, reader));
    }
    for _ in 0..20 {
        let (_writer, mut reader) = theirs.accept().await.unwrap();
        let Ok(Some(Frame::Begun(begun))) = reader.recv().await else { panic!("a frame is due") };
        order.push(begun.cached.0);
    }
    assert!(!order.is_sorted(), "{order:?}");
    let line = Line { bandwidth: Some(1000), jitter: Duration::ZERO, ..ragged() };
    let (_network, ends) = self::ends(line).await;
    let ((mut writer, _keep), (_back, mut reader)) = stream(&ends).await;
    let begun_at = Instant::now();
    writer.send(protocol::message::TextChunk { bytes: vec![0; 2000], last: true }).await.unwrap();
    reader.recv().await.unwrap();
    assert!(begun_at.elapsed() >= Duration::from_secs(2), "2,000 bytes at 1,000 a second");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_not_read_waits_and_a_reset_or_a_stop_is_seen() {
    let (_network, ends) = ends(Line::default()).await;
    let ((mut writer, _keep), (_back, reader)) = stream(&ends).await;
    let stopped = writer.stopped();
    let sending = tokio::spawn(async move {
        for number in 0..1000 {
            writer.send(begun(number)).await?;
        }
        Ok::<_, transport::frames::SendError>(())
    });
    sleep(Duration::from_secs(60)).await;
    assert!(!sending.is_finished());
    reader.stop(Code::Late);
    assert_eq!(stopped.await, StreamError::Stopped(Code::Late));
    assert_eq!(sending.await.unwrap(), Err(StreamError::Stopped(Code::Late).into()));
    let ((writer, _keep), (_back, mut reader)) = stream(&ends).await;
    writer.reset(Code::Cancelled);
    assert_eq!(reader.recv().await, Err(RecvError::Stream(StreamError::Reset(Code::Cancelled))));
}

#[tokio::test(start_paused = true)]
async fn who_hears_nothing_gives_up_after_the_idle_timeout_and_the_other_after_its_own() {
    let (network, [node, coordinator]) = ends(Line::default()).await;
    let begun = Instant::now();
    network.pass(COORDINATOR, NODE, false);
    assert_eq!(node.closed().await, Lost::Silent);
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert!(coordinator.closed().now_or_never().is_none());
    assert_eq!(coordinator.closed().await, Lost::Silent);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_delays_and_loses_nothing() {
    let (network, ends) = ends(Line::default()).await;
    let ((mut writer, _keep), (_back, mut reader)) = stream(&ends).await;
    network.pass(NODE, COORDINATOR, false);
    for number in 0..10 {
        writer.send(begun(number)).await.unwrap();
    }
    sleep(Duration::from_secs(4)).await;
    assert!(reader.recv().now_or_never().is_none());
    network.pass(NODE, COORDINATOR, true);
    for number in 0..10 {
        assert_eq!(reader.recv().await, Ok(Some(begun(number))));
    }
    sleep(Duration::from_secs(10)).await;
    assert!(ends[1].closed().now_or_never().is_none(), "it lives on");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_gone_says_nothing_and_one_that_is_back_says_that_it_has_forgotten() {
    let (network, [node, coordinator]) = ends(Line::default()).await;
    network.down(COORDINATOR);
    drop(coordinator);
    sleep(Duration::from_secs(2)).await;
    assert!(node.closed().now_or_never().is_none());
    network.up(COORDINATOR);
    assert_eq!(node.closed().await, Lost::Forgotten);
    let (network, [node, coordinator]) = ends(Line::default()).await;
    network.down(NODE);
    drop(node);
    assert_eq!(coordinator.closed().await, Lost::Silent);
}

#[tokio::test(start_paused = true)]
async fn a_close_is_seen_with_its_reason_and_a_cut_at_both_ends() {
    let (network, [node, coordinator]) = ends(Line::default()).await;
    node.close(Code::Stopping, "it stops");
    assert_eq!(coordinator.closed().await, Lost::Closed { code: Code::Stopping, reason: "it stops".into() });
    assert_eq!(node.closed().await, Lost::Here);
    let [node, coordinator] = network.connect(NodeId(1), 1).await.unwrap();
    network.cut(NODE, COORDINATOR);
    assert_eq!((node.closed().await, coordinator.closed().await), (Lost::Silent, Lost::Silent));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_reached_who_is_down_or_cannot_answer() {
    let (network, _ends) = ends(Line::default()).await;
    network.pass(COORDINATOR, NODE, false);
    assert!(network.connect(NodeId(1), 1).await.is_err());
    network.heal();
    network.down(COORDINATOR);
    assert!(network.connect(NodeId(1), 1).await.is_err());
    network.up(COORDINATOR);
    assert!(network.connect(NodeId(1), 1).await.is_ok());
}
