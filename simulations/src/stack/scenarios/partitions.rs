//! Lines that let nothing through, in one direction or for a moment.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

use super::{HEALED, MOVED, all_done, all_serve, ask_all, in_the_middle, start};
use crate::stack::client::Question;
use crate::stack::engine::Machine;
use crate::stack::oracle::Breach;
use crate::stack::wire::Place;
use crate::stack::{Cluster, Scenario};

pub(super) const NODE_UNHEARD: Scenario = Scenario {
    name: "node-unheard",
    what: "nothing that a node sends arrives, though it hears; it heals before or after the idle timeout",
    holds: "its streams move within suspicion's time; when it is heard again it gets work, and holds nothing old",
    run: |cluster| node_unheard(cluster).boxed(),
};

pub(super) const NODE_DEAF: Scenario = Scenario {
    name: "node-deaf",
    what: "a node hears nothing, though what it sends arrives: it reports, and answers no question",
    holds: "what runs goes on; new requests are granted elsewhere after the grant timeout; it comes back by itself",
    run: |cluster| node_deaf(cluster).boxed(),
};

pub(super) const CONNECTION_BREAKS: Scenario = Scenario {
    name: "connection-breaks",
    what: "connections break again and again while the machines live",
    holds: "every answer is whole; the nodes are back after each break",
    run: |cluster| connection_breaks(cluster).boxed(),
};

async fn node_unheard(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(512)).await?;
    ask_all(cluster, 1, 12, 80)?;
    let victim = in_the_middle(cluster, 1, 60).await?;
    let (node, coordinator) = (Place::Node(victim), Place::Coordinator(1));
    cluster.network.pass(node, coordinator, false);
    cluster.journal.note(format!("node-{victim} is not heard any more"));
    let heals = cluster.draw_time(Duration::from_millis(1500), Duration::from_secs(13));
    cluster.over(HEALED).await?;
    all_done(cluster, 0, MOVED)?;
    sleep(heals).await;
    cluster.network.pass(node, coordinator, true);
    cluster.journal.note(format!("node-{victim} is heard again"));
    cluster.ready(1, 3, HEALED).await?;
    all_serve(cluster).await
}

async fn node_deaf(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(512)).await?;
    ask_all(cluster, 1, 9, 300)?;
    let victim = in_the_middle(cluster, 1, 20).await?;
    let (node, coordinator) = (Place::Node(victim), Place::Coordinator(1));
    cluster.network.pass(coordinator, node, false);
    cluster.journal.note(format!("node-{victim} hears nothing any more"));
    let heals = cluster.draw_time(Duration::from_millis(1500), Duration::from_secs(13));
    // New ones meanwhile: some ask it, and go elsewhere when it says nothing.
    let from = cluster.asked();
    for number in 0..20 {
        cluster.ask(1, Question::drawn(500 + number, 30, 20))?;
        sleep(heals / 20).await;
    }
    for client in cluster.clients().iter().skip(from) {
        client.over().await;
        let first = client.seen().first;
        // One grant timeout or two, until its breaker opens.
        let soon = first.is_some_and(|first| first < Duration::from_secs(5));
        Breach::unless(soon, "a silent node costs no more than grant timeouts", || {
            format!("client {} had its first token after {first:?}", client.number)
        })?;
    }
    cluster.network.pass(coordinator, node, true);
    cluster.journal.note(format!("node-{victim} hears again"));
    cluster.over(HEALED).await?;
    all_done(cluster, 0, MOVED)?;
    cluster.ready(1, 3, HEALED).await?;
    // Its breaker, if it is the old connection, has to close first.
    sleep(Duration::from_secs(5)).await;
    all_serve(cluster).await
}

async fn connection_breaks(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(1024)).await?;
    ask_all(cluster, 1, 6, 400)?;
    for _ in 0..7 {
        let pause = cluster.draw_time(Duration::from_millis(50), Duration::from_millis(900));
        sleep(pause).await;
        let node = 1 + (cluster.draw() * 3.0) as u64;
        cluster.journal.note(format!("the connection of node-{node} breaks"));
        cluster.network.cut(Place::Node(node), Place::Coordinator(1));
    }
    cluster.over(Duration::from_secs(60)).await?;
    all_done(cluster, 0, MOVED)?;
    cluster.ready(1, 3, HEALED).await?;
    all_serve(cluster).await
}
