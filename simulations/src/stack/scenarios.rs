//! The scenarios, by name, and what they share.

use std::time::Duration;

use protocol::config::Config;
use tokio::time::sleep;

use super::client::Question;
use super::engine::Machine;
use super::oracle::Breach;
use super::{Cluster, Scenario};

mod engines;
mod load;
mod losing;
mod money;
mod partitions;
mod storm;

/// All of them, in the order of their list.
pub const ALL: &[Scenario] = &[
    losing::NODE_DIES,
    losing::COORDINATOR_RESTARTS,
    losing::COORDINATOR_DIES,
    partitions::NODE_UNHEARD,
    partitions::NODE_DEAF,
    partitions::CONNECTION_BREAKS,
    engines::ENGINE_STALLS,
    engines::ENGINE_FAILS,
    engines::NODE_SLOW,
    engines::NODE_FLAPS,
    load::ROLLING_RESTART,
    load::BURST,
    load::CLIENTS_VANISH,
    money::BUDGET_RUNS_OUT,
    storm::STORM,
];

/// By name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// Suspicion after a second of silence, a sweep, the way to another node, and its prefill.
const MOVED: Duration = Duration::from_millis(2500);
/// From a question to its first token while all is well and nothing queues.
const SOON: Duration = Duration::from_millis(500);
/// Long enough for all to find each other again after a fault.
const HEALED: Duration = Duration::from_secs(15);

/// One coordinator and so many nodes of this machine, ready.
async fn start(cluster: &mut Cluster, nodes: u64, machine: &Machine) -> Result<(), Breach> {
    cluster.coordinator(1, Config::default()).await?;
    for node in 1..=nodes {
        // Each with a switch of its own.
        cluster.node(node, Machine::with(machine.options.clone()), &[1]).await?;
    }
    cluster.ready(1, usize::try_from(nodes).unwrap_or(usize::MAX), HEALED).await
}

/// So many clients ask at once; half of them draw their tokens.
fn ask_all(cluster: &mut Cluster, coordinator: u64, clients: u64, answer: u64) -> Result<(), Breach> {
    for number in 0..clients {
        let number = number + (coordinator << 32);
        let question = if number.is_multiple_of(2) { Question::of } else { Question::drawn };
        cluster.ask(coordinator, question(number, 60, answer))?;
    }
    Ok(())
}

/// So many clients ask, one after each pause; when the last has asked.
async fn ask_steadily(cluster: &mut Cluster, clients: u64, pause: Duration) -> Result<(), Breach> {
    let first = cluster.asked() as u64 + 1000;
    for number in first..first + clients {
        cluster.ask(1, Question::drawn(number, 40, 20))?;
        sleep(pause).await;
    }
    Ok(())
}

/// Waits until the first client has so many tokens, drawn between these; the node that serves it.
async fn in_the_middle(cluster: &mut Cluster, least: usize, most: usize) -> Result<u64, Breach> {
    let tokens = least + (cluster.draw() * (most - least) as f64) as usize;
    let first = cluster.client(0)?;
    first.has(tokens).await;
    first.node().ok_or_else(|| Breach::scenario("progress", "the first answer has not begun"))
}

/// Every client from this one on has its whole answer, and none has waited for longer than `silence` between two words.
fn all_done(cluster: &Cluster, from: usize, silence: Duration) -> Result<(), Breach> {
    for client in cluster.clients().iter().skip(from).filter(|client| !client.is_orphan()) {
        let seen = client.seen();
        let of = || format!("client {}: silent for {:?}, {:?}", client.number, seen.silence, seen.whole.error);
        Breach::unless(client.is_done(), "every answer is complete", of)?;
        Breach::unless(seen.silence <= silence, "no answer pauses for longer than suspicion takes", of)?;
    }
    Ok(())
}

/// Every client from this one on had its first token within `limit`.
fn all_begun(cluster: &Cluster, from: usize, limit: Duration) -> Result<(), Breach> {
    for client in cluster.clients().iter().skip(from).filter(|client| !client.is_orphan()) {
        let first = client.seen().first;
        Breach::unless(first.is_some_and(|first| first <= limit), "who asks is answered soon", || {
            format!("client {} had its first token after {first:?}, {limit:?} is the most", client.number)
        })?;
    }
    Ok(())
}

/// Work comes to every node again that runs.
async fn all_serve(cluster: &mut Cluster) -> Result<(), Breach> {
    let before: Vec<(u64, u32)> = cluster.hosts().map(|(node, _)| (node, cluster.switch(node).admitted())).collect();
    let from = cluster.asked();
    ask_steadily(cluster, 10 * before.len() as u64, Duration::from_millis(30)).await?;
    cluster.over(HEALED).await?;
    all_done(cluster, from, MOVED)?;
    all_begun(cluster, from, SOON)?;
    for (node, count) in before {
        let taken = cluster.switch(node).admitted() > count;
        Breach::unless(taken, "all must recover", || format!("node-{node} gets no work any more"))?;
    }
    Ok(())
}
