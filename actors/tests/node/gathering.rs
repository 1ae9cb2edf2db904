//! Tokens that come sooner than they are wanted.

use std::time::Duration;

use actors::mock::Faults;
use protocol::engine::JobFault;
use protocol::frame::Frame;
use protocol::message::{Failed, Submit};
use protocol::units::Tokens;
use tokio::time::Instant;
use transport::connection::Connection;
use transport::frames::{FrameReader, FrameWriter};

use crate::bed::{Peering, bed, job, next};

/// An answer of so many tokens, of 10 ms each.
async fn gathered(peering: &Peering, tokens: u64, gather: Duration) -> (FrameWriter, FrameReader) {
    let (mut writer, reader) = peering.connection.open().await.unwrap();
    let submit = Submit { job: job(1, tokens), deadline: None, pull: None, gather: Some(gather) };
    writer.send(submit).await.unwrap();
    (writer, reader)
}

/// How many tokens came together, and when, to the end of an answer of 40.
async fn pieces(reader: &mut FrameReader) -> (Vec<usize>, Vec<Instant>) {
    let (mut batches, mut times) = (Vec::new(), Vec::new());
    let last = loop {
        match next(reader).await {
            Frame::Granted(_) | Frame::Begun(_) => {}
            Frame::Tokens(batch) => {
                assert_eq!(batch.first, Tokens::of(batches.iter().sum()), "a gap or an overlap");
                batches.push(batch.tokens.len());
                times.push(Instant::now());
            }
            last => break last,
        }
    };
    assert!(matches!(last, Frame::Finished(finished) if finished.usage.generated == Tokens(40)), "{last:?}");
    (batches, times)
}

#[tokio::test(start_paused = true)]
async fn they_come_together() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, mut reader) = gathered(&peering, 40, Duration::from_millis(100)).await;
    let (batches, _) = pieces(&mut reader).await;
    assert_eq!((batches[0], batches.iter().sum::<usize>()), (1, 40), "the first comes at once, and none is lost");
    assert!((4..=6).contains(&batches.len()), "400 ms in pieces of 100: {batches:?}");
}

#[tokio::test(start_paused = true)]
async fn those_that_come_slowly_do_not_wait() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, mut reader) = gathered(&peering, 40, Duration::from_millis(8)).await;
    let (batches, times) = pieces(&mut reader).await;
    assert_eq!(batches, [1; 40], "each comes 10 ms after the last");
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap.abs_diff(Duration::from_millis(10)) <= Duration::from_millis(1), "none is held up: {gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn they_are_not_lost_when_the_node_drains() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, mut reader) = gathered(&peering, 1000, Duration::from_secs(60)).await;
    while !matches!(next(&mut reader).await, Frame::Tokens(_)) {}
    let rest = async { (next(&mut reader).await, next(&mut reader).await) };
    let ((tokens, last), clean) = tokio::join!(rest, bed.node.drain(Duration::from_millis(500)));
    assert!(!clean, "it was still running");
    assert!(
        matches!(&tokens, Frame::Tokens(batch) if batch.first == Tokens(1) && batch.tokens.len() > 40),
        "{tokens:?}"
    );
    assert_eq!(last, Frame::Failed(Failed { error: JobFault::Drained }));
}
