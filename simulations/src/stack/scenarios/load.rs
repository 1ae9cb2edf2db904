//! Work that comes and goes: restarts under load, bursts, clients that vanish.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use policy::invariants::pages::pages_free;
use policy::invariants::queues::bounded;
use protocol::answer::ErrorKind;
use protocol::config::Config;
use tokio::time::{Instant, sleep, sleep_until};

use super::{HEALED, MOVED, all_begun, all_done, all_serve, ask_all, start};
use crate::stack::client::Question;
use crate::stack::engine::Machine;
use crate::stack::oracle::{Breach, nothing_sent};
use crate::stack::{Cluster, Scenario};

pub(super) const ROLLING_RESTART: Scenario = Scenario {
    name: "rolling-restart",
    what: "under steady load all nodes are told to stop and started again, one after the other",
    holds: "no request is lost, and none pauses for longer than a move takes",
    run: |cluster| rolling_restart(cluster).boxed(),
};

pub(super) const BURST: Scenario = Scenario {
    name: "burst",
    what: "three times more comes at once than nodes and queue hold; whoever is refused comes when it was told to",
    holds: "the queue keeps its bound; refusals are typed and say when; the ladder climbs and comes down again",
    run: |cluster| burst(cluster).boxed(),
};

pub(super) const CLIENTS_VANISH: Scenario = Scenario {
    name: "clients-vanish",
    what: "clients vanish in prefills, in answers and while they wait",
    holds: "pages and reservations are free within a step; who stays is not harmed",
    run: |cluster| clients_vanish(cluster).boxed(),
};

async fn rolling_restart(cluster: &mut Cluster) -> Result<(), Breach> {
    start(cluster, 3, &Machine::of(1024)).await?;
    let mut number = 0;
    for node in 1..=3 {
        let limit = cluster.draw_time(Duration::ZERO, Duration::from_millis(800));
        let host = cluster.hosts().find(|(other, _)| *other == node).map(|(_, host)| host.node.clone());
        let host = host.ok_or_else(|| Breach::harness(format!("node-{node} does not run")))?;
        cluster.journal.note(format!("node-{node} is told to stop; what runs has {limit:?}"));
        let drained = tokio::spawn(async move { host.drain(limit).await });
        while !drained.is_finished() {
            cluster.ask(1, Question::drawn(number, 40, 50))?;
            number += 1;
            sleep(Duration::from_millis(25)).await;
        }
        cluster.kill_node(node);
        cluster.start_node(node).await?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            cluster.ask(1, Question::drawn(number, 40, 50))?;
            number += 1;
            sleep(Duration::from_millis(25)).await;
        }
        cluster.ready(1, 3, HEALED).await?;
    }
    cluster.over(HEALED).await?;
    all_done(cluster, 0, Duration::from_secs(1))?;
    all_begun(cluster, 0, Duration::from_secs(1))
}

/// A model that two nodes of which hold eight requests each.
fn small() -> Machine {
    let mut machine = Machine::of(256);
    (machine.options.queue, machine.options.max_batch) = (8, 4);
    machine
}

async fn burst(cluster: &mut Cluster) -> Result<(), Breach> {
    let mut config = Config::default();
    config.queue.requests = 24;
    cluster.coordinator(1, config.clone()).await?;
    for node in [1, 2] {
        cluster.node(node, small(), &[1]).await?;
    }
    cluster.ready(1, 2, HEALED).await?;
    for number in 0..120 {
        let tenant = if number % 3 == 0 { "small" } else { "large" };
        cluster.ask(1, Question { tenant, ..Question::drawn(number, 50, 80) })?;
    }
    let bound = config.queue.requests as usize;
    let (mut highest, mut longest, mut back) = (0, 0, BTreeMap::new());
    while cluster.clients().iter().any(|client| client.is_open() || due(&back, client.number).is_some()) {
        sleep(Duration::from_millis(50)).await;
        let there = cluster.at(1)?;
        let jam = there.shared.waiting.jam("mock");
        bounded("requests that wait", jam.requests, bound)?;
        (longest, highest) = (jam.requests.max(longest), there.degrading.level("mock").max(highest));
        come_back(cluster, &mut back)?;
    }
    cluster.journal.note(format!("at most {longest} waited; rung {highest} was reached"));
    Breach::unless(longest == bound, "a burst fills the queue", || format!("{longest} of {bound} waited"))?;
    Breach::unless(highest > 0, "the ladder climbs under pressure", || "it stayed at rung 0".to_owned())?;
    let served = cluster.clients().iter().filter(|client| client.is_done()).count();
    Breach::unless(served == 120, "who comes back when told is served", || format!("{served} of 120 were served"))?;
    // Ten seconds for each rung, and what the signals need to fall.
    let there = cluster.at(1)?;
    let down = || there.degrading.level("mock") == 0;
    cluster.until("the ladder comes down when all is well", Duration::from_secs(70), down).await?;
    all_serve(cluster).await
}

/// When a client that was refused comes again; none: it does not, or has come already.
fn due(back: &BTreeMap<usize, Option<Instant>>, client: usize) -> Option<Instant> {
    back.get(&client).copied().flatten()
}

/// Whoever was refused comes again when it was told to. A refusal must say that it is one, and when.
fn come_back(cluster: &mut Cluster, back: &mut BTreeMap<usize, Option<Instant>>) -> Result<(), Breach> {
    let (now, mut again) = (Instant::now(), Vec::new());
    for client in cluster.clients() {
        let Some(error) = client.failure() else { continue };
        let typed = error.kind == ErrorKind::Busy && error.retry_after.is_some_and(|after| !after.is_zero());
        Breach::unless(typed, "a refusal is typed and says when to come again", || format!("{error:?}"))?;
        let after = error.retry_after.unwrap_or_default();
        match back.entry(client.number).or_insert(Some(now + after)) {
            Some(due) if *due <= now => again.push((client.number, client.question.clone())),
            _ => {}
        }
    }
    for (number, question) in again {
        back.insert(number, None);
        cluster.ask(1, Question { again: true, ..question })?;
    }
    Ok(())
}

async fn clients_vanish(cluster: &mut Cluster) -> Result<(), Breach> {
    let mut machine = Machine::of(512);
    // A chunk of a prefill takes 51 ms.
    machine.options.timing.prefill_per_token = Duration::from_micros(200);
    (machine.options.max_batch, machine.options.queue) = (6, 8);
    start(cluster, 2, &machine).await?;
    // A chunk, a step, the way there, and the look at what nobody wants.
    let step = Duration::from_millis(150);
    for round in 0..3_u64 {
        let (stays, from) = (cluster.asked(), cluster.asked() + 2);
        ask_all(cluster, 1, 2, 60)?;
        for number in 0..30 {
            let tokens = if number % 3 == 0 { 2000 } else { 50 };
            cluster.ask(1, Question::drawn(round * 100 + number, tokens, 200))?;
        }
        let begun = Instant::now();
        let mut leaves: Vec<(Duration, usize)> = Vec::new();
        for client in from..cluster.asked() {
            leaves.push((cluster.draw_time(Duration::ZERO, Duration::from_millis(900)), client));
        }
        leaves.sort_unstable();
        for (at, client) in leaves {
            sleep_until(begun + at).await;
            cluster.leave(client);
        }
        for client in stays..from {
            cluster.client(client)?.over().await;
        }
        sleep(step).await;
        for (node, host) in cluster.hosts() {
            pages_free(&host.worker.report().load).map_err(|breach| breach.of(format!("node-{node}")))?;
        }
        nothing_sent(&*cluster.at(1)?)?;
        for client in stays..from {
            let done = cluster.client(client)?.is_done();
            Breach::unless(done, "who stays is served", || format!("client {client} is not"))?;
        }
    }
    // All at once, and nobody stays.
    let from = cluster.asked();
    ask_all(cluster, 1, 20, 200)?;
    sleep(Duration::from_millis(300)).await;
    for client in from..cluster.asked() {
        cluster.leave(client);
    }
    sleep(step).await;
    for (node, host) in cluster.hosts() {
        pages_free(&host.worker.report().load).map_err(|breach| breach.of(format!("node-{node}")))?;
    }
    nothing_sent(&*cluster.at(1)?)?;
    let from = cluster.asked();
    ask_all(cluster, 1, 4, 20)?;
    cluster.over(HEALED).await?;
    all_done(cluster, from, MOVED)
}
