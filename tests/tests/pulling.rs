//! Cached blocks that go from one node to another, over QUIC, with the real model: what is computed with them is what would
//! have been computed without.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use client::{Ask, Client, OrderAction, Whole};
use tests::cluster::{Cluster, Engine, MODEL, Plan};
use tests::http::Http;
use tests::wait;

/// No answer from a cache, and time enough for a machine that does other things.
const SETTINGS: &str = r#"
[node]
listen = "127.0.0.1:0"
[pull]
enabled = true
least_tokens = 32
limit = "20s"
[requests]
grant_timeout = "30s"
[answers]
memory = "0B"
"#;

/// Some six blocks that all questions begin with.
fn ask(question: &str) -> Ask {
    let rules = "You are a careful assistant who answers in one short sentence and never invents anything. ".repeat(12);
    Ask::chat(MODEL).system(rules).user(question).max_tokens(12).temperature(0.0)
}

async fn answer(client: &Client, question: &str) -> Whole {
    client.submit(ask(question)).await.unwrap().collect().await.unwrap()
}

/// Lets only one of the two nodes take work.
async fn only(client: &Client, one: &str, other: &str) {
    client.order(one, OrderAction::Resume).await.unwrap();
    client.order(other, OrderAction::Drain { limit: Duration::from_secs(60) }).await.unwrap();
    wait::until("one node takes work", || async {
        let status = client.status().await.unwrap();
        let draining = |name: &str| {
            let node = status.nodes.iter().find(|node| node.name == name);
            node.is_some_and(|node| node.state == protocol::answer::NodeState::Draining)
        };
        if draining(other) && !draining(one) { Ok(()) } else { Err(status) }
    })
    .await;
}

async fn metric(address: &str, name: &str) -> u64 {
    let page = Http::new(address, None).get("/metrics").await.text();
    let line = page.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_fetches_what_another_has_computed() {
    let node_arguments = vec!["--metrics".to_owned(), "127.0.0.1:0".to_owned()];
    let plan = Plan { config: SETTINGS.to_owned(), node_arguments, ..Plan::new(2, Engine::Torch) };
    let cluster = Cluster::of(plan).await;
    let client = cluster.client().await;
    only(&client, "node-1", "node-2").await;
    let first = answer(&client, "What is the capital of France?").await;
    assert_eq!((first.node(), first.usage.cached.0), ("node-1", 0));

    only(&client, "node-2", "node-1").await;
    let fetched = answer(&client, "What is the capital of Italy?").await;
    assert_eq!(fetched.node(), "node-2");
    assert!(fetched.usage.cached.0 >= 128, "node-2 has never seen the prompt: {:?}", fetched.usage);
    let (one, two) = (cluster.node_metrics(0), cluster.node_metrics(1));
    let blocks = metric(&two, "troupe_node_blocks_fetched_total").await;
    assert!(blocks >= 4, "{blocks}");
    assert_eq!(metric(&one, "troupe_node_blocks_handed_out_total").await, blocks);
    assert_eq!(metric(&two, "troupe_node_pulls_total{outcome=\"whole\"}").await, 1);

    only(&client, "node-1", "node-2").await;
    let computed = answer(&client, "What is the capital of Italy?").await;
    assert_eq!(computed.node(), "node-1");
    assert_eq!(computed.text(), fetched.text(), "with fetched blocks as with its own");
    client.close().await;
}
