//! Nodes of several models, of which some cannot be loaded.

use std::sync::Arc;

use actors::mock::{MockEngine, MockOptions, bundle};
use actors::node::{Node, NotServed};
use actors::worker::{Drive, Factory, Loaded, WorkerHandle, WorkerMetrics, worker};

use crate::bed::{settings, supervise};

async fn run(name: &str, factory: Factory) -> WorkerHandle {
    let (worker, child) = worker(name, factory, Drive::Task, WorkerMetrics::none());
    supervise(child).await;
    worker
}

async fn good() -> WorkerHandle {
    let make = || Ok(Loaded { engine: Box::new(MockEngine::new(MockOptions::default())), bundle: bundle() });
    run("mock", Arc::new(make)).await
}

async fn bad() -> WorkerHandle {
    run("bad", Arc::new(|| Err("its file is cut short".to_owned()))).await
}

fn missing() -> NotServed {
    NotServed { model: "bad".to_owned(), reason: "its file is cut short".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_be_loaded_takes_no_other_with_it() {
    let node = Node::new(settings(), vec![bad().await, good().await]).await.unwrap();
    assert_eq!(node.missing(), [missing()]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_can_load_nothing_says_why() {
    let outcome = Node::new(settings(), vec![bad().await, bad().await]).await;
    assert_eq!(outcome.err(), Some(missing()));
}
