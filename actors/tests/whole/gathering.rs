//! Answers that are read as one, and bursts: they come in few pieces, and are the same.

use std::time::Duration;

use actors::mock::Timing;
use actors::node::Among;
use protocol::answer::Answer;
use tokio::sync::mpsc;

use crate::bed::{Coordinator, Host, Whole, ready, timing, whole};

/// An answer, and in how many pieces it came.
async fn counted(mut pieces: mpsc::Receiver<Answer>) -> (Whole, usize) {
    let (mut gathered, mut count) = (Whole::of(1), 0);
    while let Some(piece) = pieces.recv().await {
        gathered.take(piece).unwrap();
        count += 1;
    }
    (gathered, count)
}

#[tokio::test(start_paused = true)]
async fn a_stream_faster_than_anyone_reads_comes_in_few_pieces() {
    let mut counts = Vec::new();
    for step in [timing().decode_per_step, Duration::from_millis(1)] {
        let coordinator = Coordinator::start().await;
        let timing = Timing { decode_per_step: step, ..timing() };
        let _host = Host::among(1, 512, &coordinator, timing, |_| Among::default()).await;
        ready(&coordinator, 1).await;
        counts.push(counted(coordinator.ask(|_| {})).await);
    }
    let [(slow, each), (fast, few)] = counts.try_into().unwrap();
    assert_eq!(fast.content(), slow.content());
    // 40 tokens, between the start and the two ends.
    assert_eq!(each, 43, "each token comes at once");
    assert!((18..=25).contains(&few), "one in 2 ms: {few} pieces");
}

#[tokio::test(start_paused = true)]
async fn they_come_in_few_pieces_and_go_on_elsewhere_when_their_node_is_lost() {
    let coordinator = Coordinator::start().await;
    let hosts = [Host::start(1, 512, &coordinator).await, Host::start(2, 512, &coordinator).await];
    ready(&coordinator, 2).await;
    let one_by_one = whole(coordinator.ask(|_| {}), 1).await;

    let (gathered, count) = counted(coordinator.ask(|task| task.whole = true)).await;
    assert_eq!(gathered.content(), one_by_one.content());
    // 40 tokens of 10 ms, in pieces of 100 ms, between the start and the two ends.
    assert!((6..=10).contains(&count), "{count} pieces");

    let mut pieces = coordinator.ask(|task| task.whole = true);
    let mut moved = Whole::of(1);
    moved.take(pieces.recv().await.unwrap()).unwrap();
    let node = moved.started.as_ref().unwrap().node.clone();
    tokio::time::sleep(Duration::from_millis(150)).await;
    hosts.iter().find(|host| host.name == node).unwrap().cut();
    while let Some(piece) = pieces.recv().await {
        moved.take(piece).unwrap();
    }
    assert_eq!(moved.content(), one_by_one.content(), "what was gathered and lost is computed again");
}
