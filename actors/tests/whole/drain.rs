//! An operator drains a node and lets it work again.

use std::time::Duration;

use actors::cluster::directory::NotOrdered;
use protocol::answer::NodeState;
use protocol::message::OrderAction;
use tokio::time::Instant;

use crate::bed::{Coordinator, Host, Whole, ready, whole};

#[tokio::test(start_paused = true)]
async fn a_drained_node_hands_its_answer_over_gets_nothing_and_comes_back() {
    let coordinator = Coordinator::start().await;
    let _hosts = [Host::start(1, 512, &coordinator).await, Host::start(2, 512, &coordinator).await];
    ready(&coordinator, 2).await;
    let undisturbed = whole(coordinator.ask(|_| {}), 1).await;
    let mut pieces = coordinator.ask(|_| {});
    let mut told = Whole::of(1);
    while told.logprobs[0].len() < 7 {
        told.take(pieces.recv().await.unwrap()).unwrap();
    }
    let drained = told.started.as_ref().unwrap().node.clone();
    assert_eq!(
        coordinator.directory.order(&drained, OrderAction::Drain { limit: Duration::ZERO }),
        Ok(drained.clone())
    );
    let begun = Instant::now();
    while let Some(piece) = pieces.recv().await {
        told.take(piece).unwrap();
    }
    assert_eq!(told.content(), undisturbed.content());
    assert!(begun.elapsed() < Duration::from_secs(2), "it went on after {:?}", begun.elapsed());
    let status = coordinator.directory.status("", 0, Vec::new());
    let states: Vec<NodeState> =
        status.nodes.iter().filter(|node| node.name == drained).map(|node| node.state).collect();
    assert_eq!(states, [NodeState::Draining]);
    for _ in 0..5 {
        assert_ne!(whole(coordinator.ask(|_| {}), 1).await.started.unwrap().node, drained);
    }
    coordinator.directory.order(&drained, OrderAction::Resume).unwrap();
    ready(&coordinator, 2).await;
    let mut nodes: Vec<String> = Vec::new();
    for seed in 0..20 {
        let answer = whole(coordinator.ask(|task| (task.prompt.truncate(9), task.random = seed).1), 1).await;
        nodes.push(answer.started.unwrap().node);
    }
    assert!(nodes.contains(&drained), "it gets work again: {nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_order_for_nobody_names_who_is_there() {
    let coordinator = Coordinator::start().await;
    let _host = Host::start(1, 512, &coordinator).await;
    ready(&coordinator, 1).await;
    let error = coordinator.directory.order("node-9", OrderAction::Resume).unwrap_err();
    assert_eq!(error, NotOrdered::Unknown { node: "node-9".into(), there: "node-1".into() });
}
