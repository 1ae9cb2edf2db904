//! How attempts, links and nodes end.

use std::time::Duration;

use actors::mock::Faults;
use protocol::engine::{JobFault, RefusalReason};
use protocol::frame::Frame;
use protocol::message::{Failed, Goodbye, Refusal};
use tokio::time::{Instant, sleep};
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::RecvError;

use crate::bed::{Peering, bed, is_free, job, long_answer, next, read};

#[tokio::test(start_paused = true)]
async fn a_reset_stream_cancels_the_job() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (writer, _reader) = long_answer(&peering).await;
    assert!(!is_free(&bed.worker).await);
    writer.reset(Code::Cancelled);
    assert!(is_free(&bed.worker).await);
}

#[tokio::test(start_paused = true)]
async fn so_does_a_peer_that_stops_reading() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, reader) = long_answer(&peering).await;
    reader.stop(Code::Cancelled);
    assert!(is_free(&bed.worker).await);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_frees_everything_and_the_node_comes_back() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, _reader) = long_answer(&peering).await;
    peering.connection.sever();
    assert!(is_free(&bed.worker).await);
    let again = bed.welcome().await;
    assert_eq!(again.hello, peering.hello);
    let (_writer, mut reader) = again.submit(job(2, 5)).await;
    assert_eq!(read(&mut reader).await.0.len(), 5);
    assert_eq!(*bed.node.connected().borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_node_asks_again_with_growing_patience() {
    let mut bed = bed(Faults::default()).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let connection = bed.dialled.recv().await.unwrap();
        let (mut writer, mut reader) = connection.accept().await.unwrap();
        assert!(matches!(next(&mut reader).await, Frame::Hello(_)));
        writer.send(Refusal::Full { limit: 0 }).await.unwrap();
        writer.finish();
        assert!(matches!(reader.recv().await, Err(RecvError::Stream(_)) | Ok(None)), "it goes when it is refused");
    }
    // With the waits of tries in vain, a second at most, it could not be so long.
    assert!(begun.elapsed() > Duration::from_secs(20), "twenty tries in {:?}: the waits do not grow", begun.elapsed());
    bed.welcome().await.report().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_frame_from_the_coordinator_ends_the_attempt() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (mut writer, _reader) = long_answer(&peering).await;
    writer.send(Frame::Submit(job(2, 5).into())).await.unwrap();
    assert!(is_free(&bed.worker).await);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_dies_ends_its_jobs_with_a_typed_error() {
    let mut bed = bed(Faults { panic_at: Some(4), ..Faults::default() }).await;
    let peering = bed.welcome().await;
    let (_writer, mut reader) = peering.submit(job(1, 50)).await;
    let (_, last) = read(&mut reader).await;
    assert!(matches!(last, Frame::Failed(failed) if matches!(failed.error, JobFault::WorkerLost { .. })));
    let (_writer, mut reader) = peering.submit(job(2, 5)).await;
    let (_, last) = read(&mut reader).await;
    assert!(matches!(last, Frame::Refused(refused) if refused.reason == RefusalReason::NotReady));
    while !bed.worker.report().ready {
        sleep(Duration::from_millis(10)).await;
    }
    let (_writer, mut reader) = peering.submit(job(3, 3)).await;
    assert_eq!(read(&mut reader).await.0.len(), 3, "its successor answers");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_finishes_what_it_has() {
    let mut bed = bed(Faults::default()).await;
    let mut peering = bed.welcome().await;
    let (_writer, mut reader) = peering.submit(job(1, 100)).await;
    assert!(matches!(next(&mut reader).await, Frame::Granted(_)));
    let node = bed.node.clone();
    let draining = tokio::spawn(async move { node.drain(Duration::from_secs(20)).await });
    while !matches!(next(&mut peering.reader).await, Frame::Drain(_)) {}
    let (_late, mut refused) = peering.submit(job(2, 5)).await;
    assert!(matches!(next(&mut refused).await, Frame::Refused(refused) if refused.reason == RefusalReason::Draining));
    assert!(peering.report().await.draining);
    assert_eq!(read(&mut reader).await.0.len(), 100, "the running answer comes to its end");
    drop((reader, refused));
    loop {
        match next(&mut peering.reader).await {
            Frame::Report(_) => {}
            Frame::Goodbye(_) => break,
            other => panic!("{other:?}"),
        }
    }
    drop(peering);
    assert!(draining.await.unwrap());
    bed.links.stop_and_wait(None, None).await.unwrap();
    assert!(bed.dialled.recv().await.is_none(), "it does not come back");
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_the_limit_is_handed_back() {
    let mut bed = bed(Faults::default()).await;
    let peering = bed.welcome().await;
    let (_writer, mut reader) = long_answer(&peering).await;
    let Peering { connection: _connection, writer: _control, reader: mut control, .. } = peering;
    tokio::spawn(async move { while let Ok(Some(_)) = control.recv().await {} });
    let node = bed.node.clone();
    let draining = tokio::spawn(async move { node.drain(Duration::from_secs(2)).await });
    let last = loop {
        match next(&mut reader).await {
            Frame::Tokens(_) => {}
            last => break last,
        }
    };
    assert_eq!(last, Failed { error: JobFault::Drained }.into(), "so that it is carried on elsewhere");
    assert_eq!(reader.recv().await.unwrap(), None, "and nothing after it");
    drop(reader);
    assert!(!draining.await.unwrap());
    assert!(is_free(&bed.worker).await);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_does_not_read_is_given_up() {
    let mut bed = bed(Faults::default()).await;
    let _deaf = bed.welcome().await;
    bed.welcome().await.report().await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_leaves_is_asked_again() {
    let mut bed = bed(Faults::default()).await;
    let mut peering = bed.welcome().await;
    peering.writer.send(Goodbye { reason: "restart".to_owned() }).await.unwrap();
    bed.welcome().await.report().await;
}

#[tokio::test(start_paused = true)]
async fn regression_goodbyes_are_said_before_links_can_be_stopped() {
    for _ in 0..20 {
        let mut bed = bed(Faults::default()).await;
        let mut peering = bed.welcome().await;
        peering.report().await;
        let (node, links) = (bed.node.clone(), bed.links.clone());
        tokio::spawn(async move {
            node.drain(Duration::from_secs(1)).await;
            links.stop(None);
        });
        let goodbye = loop {
            match next(&mut peering.reader).await {
                Frame::Goodbye(goodbye) => break goodbye,
                Frame::Report(_) | Frame::Drain(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(goodbye.reason, "the node stops");
        peering.connection.close(Code::Done, "");
    }
}
