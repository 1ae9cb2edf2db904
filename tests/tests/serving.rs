//! Real answers from a real model: over HTTP, over QUIC, from both nodes, and when one is lost.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use client::{Answer, Ask, Client, JobStream};
use serde_json::json;
use tests::cluster::{Cluster, Engine, MODEL, run};
use tests::wait;

const FRANCE: &str = "What is the capital of France?";

/// A conversation that no end token ends before `tokens`.
fn long(tokens: u32) -> Ask {
    let mut request = Ask::chat(MODEL).user("Tell me a long story.").max_tokens(tokens).temperature(0.0).build();
    request.params.ignore_eos = true;
    Ask::chat(MODEL).user("Tell me a long story.").params(request.params)
}

/// Submits, and waits until a node has taken it.
async fn begin(client: &Client) -> (JobStream, String) {
    let mut stream = client.submit(long(200)).await.unwrap();
    match stream.next().await.unwrap().unwrap() {
        Answer::Started(started) => (stream, started.node),
        other => panic!("expected the start, got {other:?}"),
    }
}

#[tokio::test]
async fn the_capital_of_france_by_every_way_and_both_nodes_serve() {
    let cluster = Cluster::start(2, Engine::Torch).await;
    let client = cluster.client().await;
    let ask = Ask::chat(MODEL).user(FRANCE).max_tokens(24).temperature(0.0);
    let whole = client.submit(ask).await.unwrap().collect().await.unwrap();
    assert!(whole.text().contains("Paris"), "over QUIC: {}", whole.text());
    assert!(whole.usage.prompt.0 > 5 && whole.usage.completion.0 > 0, "{:?}", whole.usage);

    let body = json!({
        "model": MODEL, "max_tokens": 24, "temperature": 0,
        "messages": [{ "role": "user", "content": FRANCE }],
    });
    let response = cluster.http().post("/v1/chat/completions", &body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let text = response.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(text, whole.text(), "HTTP and QUIC give the same answer");

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let events = cluster.http().stream("/v1/chat/completions", &streamed).await.events().await;
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{events:#?}");
    let pieces = events.iter().filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok());
    let joined: String =
        pieces.filter_map(|piece| Some(piece["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect();
    assert_eq!(joined, text, "streamed and whole are the same");

    let output = run(cluster.troupe(&["chat", "--ask", FRANCE, "--max-tokens", "24", "--temperature", "0"])).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), text.trim_end(), "and so does the command");

    let mut running = Vec::new();
    let mut nodes = BTreeSet::new();
    for _ in 0..6 {
        let (stream, node) = begin(&client).await;
        running.push(stream);
        nodes.insert(node);
    }
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["node-1", "node-2"], "jobs at once go to both nodes");
    drop(running);
    cluster.idle().await;
}

#[tokio::test]
async fn an_idle_node_is_killed_and_nobody_notices_and_it_comes_back() {
    let mut cluster = Cluster::start(2, Engine::Torch).await;
    let client = cluster.client().await;
    cluster.kill_node(0);
    for number in 1..=20 {
        let ask = Ask::chat(MODEL).user(FRANCE).max_tokens(3).temperature(0.0);
        let answer = client.submit(ask).await.unwrap().collect().await;
        match answer {
            Ok(whole) => assert_eq!(whole.node(), "node-2", "request {number}"),
            Err(error) => panic!("request {number}: {error}"),
        }
    }
    cluster.ready(1).await;
    let before = cluster.status().await.unwrap();

    cluster.restart_node(0);
    let after = cluster.ready(2).await;
    let names: Vec<&str> = after.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["node-1", "node-2"], "before: {before:#?}");
    let mut nodes = BTreeSet::new();
    let mut running = Vec::new();
    for _ in 0..6 {
        let (stream, node) = begin(&client).await;
        running.push(stream);
        nodes.insert(node);
    }
    assert!(nodes.contains("node-1"), "the node that came back serves: {nodes:?}");
}

#[tokio::test]
async fn clients_that_go_away_leave_no_block_in_use() {
    let cluster = Cluster::start(2, Engine::Torch).await;
    let body = json!({
        "model": MODEL, "max_tokens": 1000, "stream": true, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Tell me a long story." }],
    });
    let mut incoming = Vec::new();
    for _ in 0..10 {
        let mut stream = cluster.http().stream("/v1/chat/completions", &body).await;
        assert_eq!(stream.status, 200);
        stream.first_events(2).await;
        incoming.push(stream);
    }
    busy(&cluster).await;
    drop(incoming);
    cluster.idle().await;

    let client = cluster.client().await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(begin(&client).await);
    }
    busy(&cluster).await;
    drop(running);
    cluster.idle().await;

    let gone = cluster.client().await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(begin(&gone).await);
    }
    busy(&cluster).await;
    gone.close().await;
    cluster.idle().await;
}

/// Waits until the status shows that blocks are in use: only then it says something that none is.
async fn busy(cluster: &Cluster) {
    wait::until("blocks are in use", || async {
        let status = cluster.status().await?;
        let models = status.nodes.iter().flat_map(|node| &node.models);
        let used: u64 = models.map(|model| model.blocks_used.0).sum();
        if used > 0 { Ok(()) } else { Err(format!("{status:#?}")) }
    })
    .await;
}
