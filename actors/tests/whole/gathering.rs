//! Answers that are read as one: they come in few pieces, and are the same.

use std::time::Duration;

use crate::bed::{Coordinator, Host, Whole, ready, whole};

#[tokio::test(start_paused = true)]
async fn they_come_in_few_pieces_and_go_on_elsewhere_when_their_node_is_lost() {
    let coordinator = Coordinator::start();
    let hosts = [Host::start(1, 512, &coordinator).await, Host::start(2, 512, &coordinator).await];
    ready(&coordinator, 2).await;
    let one_by_one = whole(coordinator.ask(|_| {}), 1).await;

    let mut pieces = coordinator.ask(|task| task.whole = true);
    let (mut gathered, mut count) = (Whole::of(1), 0);
    while let Some(piece) = pieces.recv().await {
        gathered.take(piece);
        count += 1;
    }
    assert_eq!(gathered.content(), one_by_one.content());
    // 40 tokens of 10 ms, in pieces of 100 ms, between the start and the two ends.
    assert!((6..=10).contains(&count), "{count} pieces");

    let mut pieces = coordinator.ask(|task| task.whole = true);
    let mut moved = Whole::of(1);
    moved.take(pieces.recv().await.unwrap());
    let node = moved.started.as_ref().unwrap().node.clone();
    tokio::time::sleep(Duration::from_millis(150)).await;
    hosts.iter().find(|host| host.name == node).unwrap().cut();
    while let Some(piece) = pieces.recv().await {
        moved.take(piece);
    }
    assert_eq!(moved.content(), one_by_one.content(), "what was gathered and lost is computed again");
}
