//! Models that come and go while the cluster runs: `troupe model`. With the mock engine.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use client::{Ask, Client, Whole};
use protocol::serving::LoadState;
use tests::cluster::{Cluster, Engine, MODEL, Plan, run};

/// In the nodes' settings, and not loaded when they start.
const SECOND: &str = "second";
/// Long enough, at the mock's pace, to be in the middle when the model goes.
const LONG: u32 = 120;
/// Clients.
const ASKING: usize = 8;

async fn cluster(nodes: usize) -> Cluster {
    with(nodes, "", "").await
}

/// With more settings, and more of the second model.
async fn with(nodes: usize, settings: &str, second: &str) -> Cluster {
    let config = format!("{settings}[models.{SECOND}]\npath = \"none.gguf\"\nload = \"asked\"\n{second}");
    Cluster::of(Plan { config, ..Plan::new(nodes, Engine::Mock) }).await
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn ask(client: &Client, model: &str, prompt: &str, tokens: u32) -> Result<Whole, String> {
    let ask = Ask::chat(model).user(prompt).max_tokens(tokens).temperature(0.0);
    let stream = client.submit(ask).await.map_err(|error| error.to_string())?;
    stream.collect().await.map_err(|error| error.to_string())
}

/// Who answers.
async fn who(client: &Client, model: &str, prompt: &str) -> Result<String, String> {
    ask(client, model, prompt, 4).await.map(|whole| whole.node().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_loaded_served_and_unloaded() {
    let cluster = cluster(2).await;
    let client = cluster.client().await;
    let list = said(&run(cluster.troupe(&["model", "list"])).await);
    for line in ["second   node-1  not loaded", "second   node-2  not loaded", "smollm2  node-1  loaded"] {
        assert!(list.contains(line), "no '{line}' in\n{list}");
    }
    let idle = who(&client, SECOND, "Hello!").await.unwrap_err();
    assert!(idle.contains("not loaded on any node") && idle.contains("troupe model load second"), "{idle}");

    let loaded = said(&run(cluster.troupe(&["model", "load", SECOND, "--node", "node-2"])).await);
    assert!(loaded.contains("second is loaded on node-2"), "{loaded}");
    for place in 0..4 {
        assert_eq!(who(&client, SECOND, &format!("{place}")).await.unwrap(), "node-2");
    }
    let again = refused(&run(cluster.troupe(&["model", "load", SECOND, "--node", "node-2"])).await);
    assert!(again.contains("loaded already on node 'node-2'"), "{again}");
    let unknown = refused(&run(cluster.troupe(&["model", "load", "third", "--node", "node-2"])).await);
    assert!(unknown.contains("no model 'third'") && unknown.contains(SECOND), "{unknown}");

    let loaded = said(&run(cluster.troupe(&["model", "load", SECOND])).await);
    assert!(loaded.contains("second is loaded on node-1"), "it goes where it is not: {loaded}");
    let gone = said(&run(cluster.troupe(&["model", "unload", SECOND])).await);
    assert!(gone.contains("on node-1 any more") && gone.contains("on node-2 any more"), "{gone}");
    let nobody = who(&client, SECOND, "Still there?").await.unwrap_err();
    assert!(nobody.contains(SECOND), "{nobody}");
    who(&client, MODEL, "the other model is not touched").await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_when_their_model_goes() {
    let cluster = cluster(2).await;
    for node in ["node-1", "node-2"] {
        said(&run(cluster.troupe(&["model", "load", SECOND, "--node", node])).await);
    }
    let client = cluster.client().await;
    // What the mock says depends on the prompt alone: the first model tells what the second should say.
    let mut due = Vec::new();
    for place in 0.. {
        let prompt = format!("{place}");
        let whole = ask(&client, MODEL, &prompt, LONG).await.unwrap();
        if whole.usage.completion.0 >= u64::from(LONG / 2) {
            due.push((prompt, whole.text().to_owned()));
        }
        if due.len() == ASKING {
            break;
        }
    }
    let mut asking = Vec::new();
    for (prompt, text) in due {
        let client = client.clone();
        asking.push(tokio::spawn(async move {
            let whole = ask(&client, SECOND, &prompt, LONG).await.unwrap();
            assert_eq!(whole.text(), text, "no token is lost or comes twice");
        }));
    }
    // Both carry some of them, so that some must move.
    tests::wait::until("both nodes are busy", || async {
        let status = client.status().await.unwrap();
        let busy = |node: &protocol::answer::NodeStatus| {
            node.models.iter().any(|model| model.model == SECOND && model.running > 0)
        };
        if status.nodes.iter().all(busy) { Ok(()) } else { Err(status) }
    })
    .await;
    let gone = said(&run(cluster.troupe(&["model", "unload", SECOND, "--node", "node-1", "--limit", "0s"])).await);
    assert!(gone.contains("not loaded on node-1 any more"), "{gone}");
    for answer in asking {
        answer.await.unwrap();
    }
    assert_eq!(who(&client, SECOND, "And now?").await.unwrap(), "node-2");
    let log = cluster.nodes[0].as_ref().unwrap().log();
    assert!(log.contains("handed back"), "no answer had to move: the test has tested nothing\n{log}");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_is_asked_when_requests_wait() {
    let loading = "[loading]\ndelay = \"100ms\"\nafter = \"300ms\"\nidle = \"100ms\"\n";
    // One answer at a time, so that a few requests are too many.
    let cluster = with(2, loading, "max_batch = 1\n").await;
    said(&run(cluster.troupe(&["model", "load", SECOND, "--node", "node-1"])).await);
    let client = cluster.client().await;
    let over = Arc::new(AtomicBool::new(false));
    let mut asking = Vec::new();
    for place in 0..ASKING {
        let (client, over) = (client.clone(), Arc::clone(&over));
        asking.push(tokio::spawn(async move {
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) {
                ask(&client, SECOND, &format!("{place} {answers}"), LONG).await.unwrap();
                answers += 1;
            }
        }));
    }
    tests::wait::until("node-2 has the model, too", || async {
        let status = client.status().await.unwrap();
        let other = status.nodes.iter().find(|node| node.name == "node-2").unwrap();
        let there = other.places.iter().any(|place| place.model == SECOND && place.state == LoadState::Loaded);
        if there { Ok(()) } else { Err(status) }
    })
    .await;
    over.store(true, Ordering::Relaxed);
    for client in asking {
        client.await.unwrap();
    }
    let log = cluster.coordinator.log();
    assert!(log.contains("requests for second wait: node-2, which is idle, is asked to load it"), "{log}");
    client.close().await;
}
