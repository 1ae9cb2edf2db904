//! Work under the hub: one that fails harms no other, and whoever waits for it is told.

use std::sync::Arc;

use actors::cluster::hub::{Hub, Work};
use actors::cluster::job::Answers;
use actors::cluster::metrics::ClusterMetrics;
use protocol::answer::{Answer, ErrorKind};
use ractor::Actor;
use tokio::sync::{Semaphore, mpsc, oneshot};

#[tokio::test]
async fn a_request_whose_actor_fails_ends_with_an_error_and_frees_its_place() {
    let (hub, _) = Actor::spawn(None, Hub, ()).await.unwrap();
    let places = Arc::new(Semaphore::new(1));
    let (sender, mut pieces) = mpsc::channel(2);
    let place = Arc::clone(&places).try_acquire_owned().unwrap();
    let answers = Answers::new(sender, ClusterMetrics::new(), place).unwrap();
    let failing = Box::pin(async move {
        let _answers = answers;
        panic!("as a fault of our own would");
    });
    hub.cast(Work { name: "request", future: failing }).unwrap();
    match pieces.recv().await {
        Some(Answer::Failed(error)) => assert_eq!(error.kind, ErrorKind::Internal),
        other => panic!("it ended without a word: {other:?}"),
    }
    assert_eq!(pieces.recv().await, None);
    let _place = places.acquire().await.unwrap();
    // The hub goes on.
    let (done, seen) = oneshot::channel();
    let next = Box::pin(async move {
        let _ = done.send(());
    });
    hub.cast(Work { name: "request", future: next }).unwrap();
    seen.await.unwrap();
    hub.stop(None);
}
