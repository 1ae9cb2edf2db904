//! A rolling restart: every node is told to stop and started again, in turn, while clients ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use client::Ask;
use nix::sys::signal::Signal;
use tests::cluster::{Cluster, Engine, MODEL, Plan};

const NODES: usize = 3;
const CLIENTS: usize = 6;
/// Far longer at the mock's pace than nodes may drain: answers must move in the middle.
const LONG: u32 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_no_request() {
    let config = "[requests]\ndrain = \"200ms\"\n".to_owned();
    let mut cluster = Cluster::of(Plan { config, ..Plan::new(NODES, Engine::Mock) }).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut asking = Vec::new();
    for _ in 0..CLIENTS {
        let (client, over) = (cluster.client().await, Arc::clone(&over));
        asking.push(tokio::spawn(async move {
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) {
                let ask = Ask::chat(MODEL).user("Hello!").max_tokens(LONG);
                let whole = client.submit(ask).await.unwrap().collect().await.unwrap();
                assert!(!whole.text().is_empty());
                answers += 1;
            }
            client.close().await;
            answers
        }));
    }
    let mut handed_back = false;
    for place in 0..NODES {
        let mut node = cluster.nodes.get_mut(place).and_then(Option::take).unwrap();
        node.signal(Signal::SIGTERM);
        let status = node.end().await;
        assert!(status.success(), "{status}\n{}", node.tail());
        handed_back |= node.log().contains("handed back");
        cluster.restart_node(place);
        cluster.ready(NODES).await;
    }
    over.store(true, Ordering::Relaxed);
    for client in asking {
        assert!(client.await.unwrap() > 0, "each client has heard whole answers");
    }
    assert!(handed_back, "no answer had to move: the test has tested nothing");
}
