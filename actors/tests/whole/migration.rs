//! A node goes in the middle of an answer: the client must not see it.

use std::time::Duration;

use actors::cluster::job::Task;
use tokio::time::Instant;

use crate::bed::{Coordinator, Host, Whole, ready, whole};

type Change = fn(&mut Task);

/// Every kind of answer that has something to lose.
const KINDS: [(&str, usize, Change); 4] = [
    ("greedy", 1, |_| {}),
    ("seeded", 1, |task| task.sampling.temperature = 1.0),
    ("stop text", 1, |task| {
        task.sampling.temperature = 1.0;
        task.stops = vec!["zzzz-not-there".into(), "qqqq".into()];
    }),
    ("three choices", 3, |task| {
        task.sampling.temperature = 1.0;
        task.choices = 3;
    }),
];

/// Three nodes, of which the serving one is cut off once the client has so many tokens.
async fn cut_after(
    coordinator: &Coordinator,
    hosts: &[Host],
    tokens: usize,
    choices: usize,
    change: Change,
) -> (Whole, Duration) {
    ready(coordinator, hosts.len()).await;
    let mut pieces = coordinator.ask(change);
    let (mut whole, mut cut, mut silence, mut newest) = (Whole::of(choices), None, Duration::ZERO, Instant::now());
    while let Some(piece) = pieces.recv().await {
        whole.take(piece).unwrap();
        silence = silence.max(newest.elapsed());
        newest = Instant::now();
        if cut.is_none() && whole.logprobs[0].len() >= tokens {
            let name = whole.started.as_ref().map(|started| started.node.clone()).unwrap();
            let host = hosts.iter().find(|host| host.name == name).unwrap();
            host.cut();
            cut = Some(host);
        }
    }
    cut.unwrap().back();
    (whole, silence)
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_after_any_token_is_not_seen() {
    let coordinator = Coordinator::start().await;
    let mut hosts = Vec::new();
    for id in 1..=3 {
        hosts.push(Host::start(id, 512, &coordinator).await);
    }
    for (kind, choices, change) in KINDS {
        ready(&coordinator, 3).await;
        let undisturbed = whole(coordinator.ask(change), choices).await;
        assert_eq!(undisturbed.error, None, "{kind}");
        assert!(undisturbed.texts[0].len() > 30, "{kind}: {undisturbed:?}");
        for tokens in 1..=32 {
            let (disturbed, silence) = cut_after(&coordinator, &hosts, tokens, choices, change).await;
            assert_eq!(disturbed.content(), undisturbed.content(), "{kind}, cut off after {tokens}");
            assert!(silence < Duration::from_secs(2), "{kind}, cut off after {tokens}: silent for {silence:?}");
        }
    }
    for host in &hosts {
        ready(&coordinator, 3).await;
        let load = host.worker.report().load;
        assert_eq!((load.running, load.waiting, load.blocks_used.0), (0, 0, 0), "{} holds something", host.name);
    }
    assert_eq!(coordinator.directory.sent(), 0, "a reservation is left");
}

#[tokio::test(start_paused = true)]
async fn an_answer_outlives_all_nodes_if_one_comes_back() {
    let coordinator = Coordinator::start().await;
    let host = Host::start(1, 512, &coordinator).await;
    ready(&coordinator, 1).await;
    let undisturbed = whole(coordinator.ask(|_| {}), 1).await;
    let mut pieces = coordinator.ask(|_| {});
    let mut told = Whole::of(1);
    while told.logprobs[0].len() < 10 {
        told.take(pieces.recv().await.unwrap()).unwrap();
    }
    host.cut();
    tokio::time::sleep(Duration::from_secs(20)).await;
    host.back();
    while let Some(piece) = pieces.recv().await {
        told.take(piece).unwrap();
    }
    assert_eq!(told.content(), undisturbed.content());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_left_and_the_engine_is_free() {
    let coordinator = Coordinator::start().await;
    let host = Host::start(1, 512, &coordinator).await;
    ready(&coordinator, 1).await;
    let mut pieces = coordinator.ask(|task| task.limits.max_tokens = protocol::units::Tokens(2000));
    // Longer than requests.client_stall.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let load = host.worker.report().load;
    assert_eq!((load.running, load.blocks_used.0), (0, 0));
    let mut last = None;
    while let Some(piece) = pieces.recv().await {
        last = Some(piece);
    }
    assert!(!matches!(last, Some(protocol::answer::Answer::Done { .. })), "it cannot be complete: {last:?}");
}
