//! Nodes and coordinators that are lost, and come back.

use std::time::Duration;

use actors::worker::Heard;
use futures_util::FutureExt;
use protocol::config::Config;
use protocol::units::Blocks;
use tokio::time::sleep;

use super::{HEALED, MOVED, SOON, all_begun, all_done, all_serve, ask_all, ask_steadily, in_the_middle, start};
use crate::stack::engine::Machine;
use crate::stack::oracle::{Breach, check_index};
use crate::stack::{Cluster, Scenario};

pub(super) const NODE_DIES: Scenario = Scenario {
    name: "node-dies",
    what: "one of three nodes is killed in the middle of answers, and comes back with an empty cache",
    holds: "its streams go on elsewhere and pause for no longer than suspicion takes; it gets work again",
    run: |cluster| node_dies(cluster).boxed(),
};

pub(super) const COORDINATOR_RESTARTS: Scenario = Scenario {
    name: "coordinator-restarts",
    what: "the only coordinator is killed with full caches and open requests, and started again",
    holds: "nodes come back by themselves within three seconds; a second after the last has, the index holds what they hold",
    run: |cluster| coordinator_restarts(cluster).boxed(),
};

pub(super) const COORDINATOR_DIES: Scenario = Scenario {
    name: "coordinator-dies",
    what: "of two coordinators that share three nodes one is killed in the middle of answers",
    holds: "nodes let go of its jobs after the idle timeout; the other's answers do not even pause",
    run: |cluster| coordinator_dies(cluster).boxed(),
};

/// The try that is under way ([`actors::node::DIAL`]), the wait before the next (`wire.redial`), hello and report; or,
/// for who has not noticed, the keep-alive that is answered by nobody who knows it.
const BACK: Duration = Duration::from_secs(3);

async fn node_dies(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(512)).await?;
    ask_all(cluster, 1, 12, 60)?;
    let victim = in_the_middle(cluster, 1, 45).await?;
    cluster.kill_node(victim);
    cluster.over(HEALED).await?;
    all_done(cluster, 0, MOVED)?;
    cluster.start_node(victim).await?;
    cluster.ready(1, 3, HEALED).await?;
    all_serve(cluster).await
}

async fn coordinator_restarts(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(512)).await?;
    ask_steadily(cluster, 30, Duration::from_millis(20)).await?;
    let away = cluster.draw_time(Duration::from_millis(100), Duration::from_secs(8));
    cluster.kill_coordinator(1);
    sleep(away).await;
    cluster.start_coordinator(1).await?;
    let from = cluster.asked();
    cluster.ready(1, 3, BACK).await?;
    cluster.journal.note("all nodes are back");
    // By load at once, by prefix within a second.
    ask_steadily(cluster, 5, Duration::from_millis(100)).await?;
    sleep(Duration::from_millis(500)).await;
    cluster.over(HEALED).await?;
    all_done(cluster, from, MOVED)?;
    all_begun(cluster, from, SOON)?;
    sleep(Duration::from_millis(50)).await;
    let mut held = Blocks::ZERO;
    for (_, host) in cluster.hosts() {
        if let Some(Heard::All(keys)) = host.worker.cache().await.next().await {
            held += Blocks::of(keys.len());
        }
    }
    let known = cluster.at(1)?.index.held("mock");
    Breach::unless(known == held && held > Blocks::ZERO, "the index is whole again a second after a restart", || {
        format!("{known} of {held} are known")
    })?;
    check_index(cluster, 1).await
}

async fn coordinator_dies(cluster: &mut Cluster) -> Result<(), Breach> {
    for coordinator in [1, 2] {
        cluster.coordinator(coordinator, Config::default()).await?;
    }
    for node in 1..=3 {
        cluster.node(node, Machine::of(1024), &[1, 2]).await?;
    }
    cluster.ready(1, 3, HEALED).await?;
    cluster.ready(2, 3, HEALED).await?;
    // Long enough to outlive the idle timeout.
    ask_all(cluster, 1, 6, 900)?;
    ask_all(cluster, 2, 6, 900)?;
    in_the_middle(cluster, 5, 60).await?;
    cluster.kill_coordinator(2);
    let running = |cluster: &Cluster| cluster.hosts().map(|(_, host)| host.worker.report().load.running).sum::<u32>();
    let is_theirs = || running(cluster) == 6;
    let limit = Duration::from_millis(5500);
    cluster.until("a lost coordinator's jobs are cancelled", limit, is_theirs).await?;
    cluster.over(Duration::from_secs(60)).await?;
    all_done(cluster, 0, Duration::from_millis(100))?;
    cluster.start_coordinator(2).await?;
    cluster.ready(2, 3, HEALED).await
}
