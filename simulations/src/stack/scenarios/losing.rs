//! Nodes and coordinators that are lost, and come back.

use std::time::Duration;

use futures_util::FutureExt;
use protocol::config::Config;

use crate::stack::client::Question;
use crate::stack::engine::Machine;
use crate::stack::oracle::Breach;
use crate::stack::{Cluster, Scenario};

pub(super) const NODE_DIES: Scenario = Scenario {
    name: "node-dies",
    what: "one of three nodes is killed in the middle of answers, and comes back with an empty cache",
    holds: "its streams go on elsewhere; nobody waits for longer than suspicion takes",
    run: |cluster| node_dies(cluster).boxed(),
};

/// Suspicion, a report's time, a sweep, and the way to another node and its prefill.
const MOVED: Duration = Duration::from_millis(2500);

async fn node_dies(cluster: &mut Cluster) -> Result<(), Breach> {
    cluster.coordinator(1, Config::default()).await?;
    for node in 1..=3 {
        cluster.node(node, Machine::of(512), &[1]).await?;
    }
    cluster.ready(1, 3, Duration::from_secs(2)).await?;
    for number in 0..12 {
        cluster.ask(1, if number % 2 == 0 { Question::of(number, 60, 60) } else { Question::drawn(number, 60, 60) })?;
    }
    let tokens = 5 + (cluster.draw() * 30.0) as usize;
    cluster.client(0)?.has(tokens).await;
    let victim = cluster.client(0)?.node().unwrap_or(1);
    cluster.kill_node(victim);
    cluster.over(Duration::from_secs(30)).await?;
    for client in cluster.clients() {
        let seen = client.seen();
        let of = || format!("client {}: silent for {:?}, {:?}", client.number, seen.silence, seen.whole.error);
        Breach::unless(client.is_done() && seen.silence < MOVED, "streams move from a node that is lost", of)?;
    }
    cluster.start_node(victim).await?;
    cluster.ready(1, 3, Duration::from_secs(8)).await?;
    cluster.ask(1, Question::of(99, 40, 10))?;
    Ok(())
}
