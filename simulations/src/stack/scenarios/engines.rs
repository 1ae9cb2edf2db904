//! Engines that stall, fail, are slow, or give their jobs back.

use std::time::Duration;

use futures_util::FutureExt;
use protocol::answer::NodeState;
use protocol::config::Config;
use tokio::time::sleep;

use super::{HEALED, MOVED, all_done, all_serve, ask_all, ask_steadily, in_the_middle, start};
use crate::stack::engine::Machine;
use crate::stack::oracle::Breach;
use crate::stack::{Cluster, Scenario};

pub(super) const ENGINE_STALLS: Scenario = Scenario {
    name: "engine-stalls",
    what: "an engine makes no step any more while its node reports as ever; later it computes again",
    holds: "health is progress: its streams move after health.stall; it is trusted again and gets work",
    run: |cluster| engine_stalls(cluster).boxed(),
};

pub(super) const ENGINE_FAILS: Scenario = Scenario {
    name: "engine-fails",
    what: "an engine fails in a step, and another panics, in the middle of answers",
    holds: "their jobs move at once; supervisors start engines with empty caches; the nodes stay",
    run: |cluster| engine_fails(cluster).boxed(),
};

pub(super) const NODE_SLOW: Scenario = Scenario {
    name: "node-slow",
    what: "one of three nodes is five times as slow",
    holds: "it gets less than half of what the others get each; nobody fails",
    run: |cluster| node_slow(cluster).boxed(),
};

pub(super) const NODE_FLAPS: Scenario = Scenario {
    name: "node-flaps",
    what: "a node gives every job back for a while, is well, and does so again",
    holds: "its breaker opens after three faults in a row and lets one probe pass at a time; then it heals",
    run: |cluster| node_flaps(cluster).boxed(),
};

/// How often somebody asks.
const EVERY: Duration = Duration::from_millis(50);
/// `health.stall`, a report's age, and the way to another node.
const STALLED: Duration = Duration::from_millis(3500);

async fn engine_stalls(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(512)).await?;
    ask_all(cluster, 1, 9, 80)?;
    let victim = in_the_middle(cluster, 1, 60).await?;
    cluster.switch(victim).stall(true);
    cluster.journal.note(format!("the engine of node-{victim} stalls"));
    let name = format!("node-{victim}");
    let suspect = || cluster.states(1).get(&name) == Some(&NodeState::Suspect);
    cluster.until("work without progress is suspect", STALLED, suspect).await?;
    cluster.over(HEALED).await?;
    all_done(cluster, 0, STALLED)?;
    let heals = cluster.draw_time(Duration::ZERO, Duration::from_secs(10));
    sleep(heals).await;
    cluster.switch(victim).stall(false);
    cluster.journal.note(format!("the engine of node-{victim} computes again"));
    cluster.ready(1, 3, HEALED).await?;
    // Its breaker, which three moved streams have opened, lets a probe pass by then.
    sleep(Duration::from_secs(5)).await;
    all_serve(cluster).await
}

async fn engine_fails(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(512)).await?;
    ask_all(cluster, 1, 12, 120)?;
    let first = in_the_middle(cluster, 1, 40).await?;
    cluster.journal.note(format!("the engine of node-{first} fails"));
    cluster.switch(first).fail();
    let pause = cluster.draw_time(Duration::from_millis(10), Duration::from_millis(500));
    sleep(pause).await;
    let second = first % 3 + 1;
    cluster.journal.note(format!("the engine of node-{second} panics"));
    cluster.switch(second).panic();
    cluster.over(HEALED).await?;
    all_done(cluster, 0, MOVED)?;
    cluster.ready(1, 3, HEALED).await?;
    sleep(Duration::from_secs(5)).await;
    all_serve(cluster).await
}

async fn node_slow(cluster: &mut Cluster) -> Result<(), Breach> {
    cluster.coordinator(1, Config::default()).await?;
    let slow = 1 + (cluster.draw() * 3.0) as u64;
    for node in 1..=3 {
        let machine = Machine::of(2048);
        cluster.node(node, if node == slow { machine.slower(5) } else { machine }, &[1]).await?;
    }
    cluster.ready(1, 3, HEALED).await?;
    // The first ones tell how fast each is.
    ask_steadily(cluster, 20, Duration::from_millis(20)).await?;
    cluster.over(HEALED).await?;
    let count = |cluster: &Cluster, node| cluster.switch(node).admitted();
    let before = [1, 2, 3].map(|node| count(cluster, node));
    ask_steadily(cluster, 120, Duration::from_millis(10)).await?;
    cluster.over(Duration::from_secs(60)).await?;
    all_done(cluster, 0, MOVED)?;
    let taken: Vec<(u64, u32)> =
        (1..).zip(before).map(|(node, before)| (node, count(cluster, node).saturating_sub(before))).collect();
    let of =
        |slower: bool| taken.iter().filter(|(node, _)| (*node == slow) == slower).map(|(_, count)| count).sum::<u32>();
    Breach::unless(of(true) * 4 < of(false), "work goes where it is done soonest", || {
        format!("node-{slow} is five times as slow; jobs: {taken:?}")
    })
}

async fn node_flaps(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(1024)).await?;
    let victim = 1 + (cluster.draw() * 3.0) as u64;
    ask_steadily(cluster, 30, Duration::from_millis(20)).await?;
    for round in 0..2 {
        let (switch, from) = (cluster.switch(victim), cluster.asked());
        cluster.over(HEALED).await?;
        let before = switch.admitted();
        switch.sicken(true);
        cluster.journal.note(format!("node-{victim} gives its jobs back"));
        // By then it is open: three faults in a row do not take a second.
        ask_steadily(cluster, 20, EVERY).await?;
        let opened = switch.admitted();
        switch.together();
        ask_steadily(cluster, 80, EVERY).await?;
        let (probes, together) = (switch.admitted() - opened, switch.together());
        switch.sicken(false);
        let tried = opened - before;
        cluster.journal.note(format!("node-{victim} is well; {tried} jobs were tried, then {probes} probes"));
        // Open for 1 s at the least, then for 2, and a probe takes a third of a second.
        Breach::unless(
            tried >= 3 && (1..=3).contains(&probes) && together == 1,
            "an open breaker lets one probe pass at a time",
            || {
                format!(
                    "round {round}: {tried} jobs and then {probes} probes went to a node that gives all back, {together} at once"
                )
            },
        )?;
        cluster.over(HEALED).await?;
        all_done(cluster, from, MOVED)?;
        let healed = Duration::from_secs(10);
        sleep(healed).await;
        all_serve(cluster).await?;
    }
    Ok(())
}
