//! Everything at once: a late and slow network, and small faults at random, from one seed.

use std::time::Duration;

use futures_util::FutureExt;
use protocol::answer::{ErrorKind, NodeState};
use protocol::config::Config;
use protocol::message::OrderAction;
use tokio::time::{Instant, sleep};

use super::{HEALED, all_serve};
use crate::stack::client::{Client, Question};
use crate::stack::engine::Machine;
use crate::stack::oracle::Breach;
use crate::stack::wire::{Line, Place};
use crate::stack::{Cluster, Scenario};

pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    what: "two coordinators and four nodes on a late and slow network; lines stall and break, machines die and return, \
           engines stall and fail, nodes drain, clients vanish; then all is mended",
    holds: "most who stay are served; whoever is not hears why, in a kind that a client knows; then all recover, and all is served",
    run: |cluster| storm(cluster).boxed(),
};

const NODES: u64 = 4;
const COORDINATORS: u64 = 2;
/// How long it lasts.
const LASTS: Duration = Duration::from_secs(25);

/// Of a hundred who stay, and whose coordinator does, so many are served at the least.
const SERVED: usize = 75;

async fn storm(cluster: &mut Cluster) -> Result<(), Breach> {
    for coordinator in 1..=COORDINATORS {
        cluster.coordinator(coordinator, Config::default()).await?;
    }
    for node in 1..=NODES {
        cluster.node(node, Machine::of(512), &[1, 2]).await?;
    }
    for coordinator in 1..=COORDINATORS {
        cluster.ready(coordinator, 4, HEALED).await?;
    }
    let late = |delay, jitter| Line {
        delay: Duration::from_millis(delay),
        jitter: Duration::from_millis(jitter),
        bandwidth: Some(300_000),
        passes: true,
    };
    cluster.network.usual(late(10, 30));
    let begun = Instant::now();
    let (mut number, mut mends) = (0, Mends::default());
    while begun.elapsed() < LASTS {
        let pause = cluster.draw_time(Duration::from_millis(30), Duration::from_millis(150));
        sleep(pause).await;
        mends.due(cluster).await?;
        cluster.start_failed().await?;
        let coordinator = pick(cluster, COORDINATORS);
        if cluster.at(coordinator).is_ok() {
            let (prompt, answer) = (10 + (cluster.draw() * 200.0) as usize, 5 + (cluster.draw() * 120.0) as u64);
            cluster.ask(coordinator, Question::drawn(number, prompt, answer))?;
            number += 1;
        }
        if cluster.draw() < 0.25 {
            fault(cluster, &mut mends).await?;
        }
    }
    mends.all(cluster).await?;
    cluster.start_failed().await?;
    cluster.network.heal();
    cluster.journal.note("all is mended");
    resume_all(cluster).await?;
    for coordinator in 1..=COORDINATORS {
        cluster.ready(coordinator, 4, Duration::from_secs(30)).await?;
    }
    cluster.over(Duration::from_secs(120)).await?;
    // A coordinator that is killed says nothing to its clients.
    for client in cluster.clients().iter().filter(|client| !client.is_orphan()) {
        let error = client.seen().whole.error;
        let known = error.as_ref().is_none_or(|error| {
            matches!(error.kind, ErrorKind::Busy | ErrorKind::NoNode | ErrorKind::NodeLost | ErrorKind::Timeout)
        });
        Breach::unless(known, "who is not served hears why", || format!("client {}: {error:?}", client.number))?;
    }
    let heard: Vec<bool> = cluster
        .clients()
        .iter()
        .filter(|client| !client.is_orphan() && !client.has_left())
        .map(Client::is_done)
        .collect();
    let served = heard.iter().filter(|done| **done).count();
    cluster.journal.note(format!("{served} of {} were served", heard.len()));
    Breach::unless(served * 100 >= heard.len() * SERVED, "most are served all the same", || {
        format!("{served} of {} who stayed, {SERVED} in a hundred are the least", heard.len())
    })?;
    // The longest that a breaker may stay open after so many faults.
    sleep(Duration::from_secs(70)).await;
    all_serve(cluster).await
}

/// As an operator does who sees a node drain that should not: an order that was held on its way may have come late.
async fn resume_all(cluster: &Cluster) -> Result<(), Breach> {
    let end = Instant::now() + HEALED;
    while Instant::now() < end {
        for node in 1..=NODES {
            let drains = |coordinator: &u64| {
                cluster.states(*coordinator).get(&format!("node-{node}")) == Some(&NodeState::Draining)
            };
            if let Some(coordinator) = (1..=COORDINATORS).find(drains) {
                cluster.order(coordinator, node, OrderAction::Resume)?;
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// What is to be mended, and when.
#[derive(Default)]
struct Mends(Vec<(Instant, Mend)>);

#[derive(Clone, Copy)]
enum Mend {
    Line(Place, Place),
    Engine(u64),
    Node(u64),
    Coordinator(u64),
    Drained(u64),
}

impl Mends {
    fn at(&mut self, cluster: &mut Cluster, most: Duration, mend: Mend) {
        let after = cluster.draw_time(Duration::from_millis(100), most);
        self.0.push((Instant::now() + after, mend));
    }

    async fn due(&mut self, cluster: &mut Cluster) -> Result<(), Breach> {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.0).into_iter().partition(|(at, _)| *at <= now);
        self.0 = later;
        self.mend(cluster, due).await
    }

    async fn all(&mut self, cluster: &mut Cluster) -> Result<(), Breach> {
        let due = std::mem::take(&mut self.0);
        self.mend(cluster, due).await
    }

    async fn mend(&mut self, cluster: &mut Cluster, due: Vec<(Instant, Mend)>) -> Result<(), Breach> {
        for (_, mend) in due {
            match mend {
                Mend::Line(from, to) => cluster.network.pass(from, to, true),
                Mend::Engine(node) => cluster.switch(node).stall(false),
                Mend::Node(node) => cluster.start_node(node).await?,
                Mend::Coordinator(coordinator) => cluster.start_coordinator(coordinator).await?,
                Mend::Drained(node) => {
                    for coordinator in 1..=COORDINATORS {
                        // One that does not see it drain has nothing to take back.
                        let state = cluster.states(coordinator).get(&format!("node-{node}")).copied();
                        if state == Some(NodeState::Draining) {
                            cluster.order(coordinator, node, OrderAction::Resume)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// One of so many, from 1 on.
fn pick(cluster: &mut Cluster, of: u64) -> u64 {
    1 + (cluster.draw() * of as f64) as u64
}

async fn fault(cluster: &mut Cluster, mends: &mut Mends) -> Result<(), Breach> {
    let (node, coordinator) = (pick(cluster, NODES), pick(cluster, COORDINATORS));
    let runs = cluster.hosts().any(|(other, _)| other == node);
    let (here, there) = (Place::Node(node), Place::Coordinator(coordinator));
    let secs = Duration::from_secs;
    match (cluster.draw() * 10.0) as u32 {
        0 => {
            cluster.journal.note(format!("node-{node} is not heard by coordinator-{coordinator}"));
            cluster.network.pass(here, there, false);
            mends.at(cluster, secs(8), Mend::Line(here, there));
        }
        1 => {
            cluster.journal.note(format!("node-{node} does not hear coordinator-{coordinator}"));
            cluster.network.pass(there, here, false);
            mends.at(cluster, secs(8), Mend::Line(there, here));
        }
        2 => {
            cluster.journal.note(format!("the connection of node-{node} and coordinator-{coordinator} breaks"));
            cluster.network.cut(here, there);
        }
        3 => {
            cluster.journal.note(format!("the line of node-{node} and coordinator-{coordinator} is slow"));
            cluster.network.alter(here, there, |line| line.bandwidth = Some(20_000));
        }
        4 if runs => {
            cluster.journal.note(format!("the engine of node-{node} stalls"));
            cluster.switch(node).stall(true);
            mends.at(cluster, secs(6), Mend::Engine(node));
        }
        5 if runs => {
            cluster.journal.note(format!("the engine of node-{node} fails"));
            cluster.switch(node).fail();
        }
        6 if runs && cluster.hosts().count() > 2 => {
            cluster.kill_node(node);
            mends.at(cluster, secs(6), Mend::Node(node));
        }
        7 if cluster.coordinators().len() > 1 && cluster.draw() < 0.5 => {
            cluster.kill_coordinator(coordinator);
            mends.at(cluster, secs(7), Mend::Coordinator(coordinator));
        }
        8 if cluster.states(coordinator).get(&format!("node-{node}")) == Some(&NodeState::Ready) => {
            cluster.order(coordinator, node, OrderAction::Drain { limit: Duration::from_millis(300) })?;
            mends.at(cluster, secs(4), Mend::Drained(node));
        }
        _ if cluster.asked() > 0 => {
            let client = pick(cluster, cluster.asked() as u64) as usize - 1;
            if cluster.client(client)?.is_open() {
                cluster.leave(client);
            }
        }
        _ => {}
    }
    Ok(())
}
