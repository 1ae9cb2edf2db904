//! A submit with a hint: the node fetches first, and then it is a job like any other.

use std::sync::Arc;
use std::time::Duration;

use actors::mock::Faults;
use actors::node::Among;
use actors::node::pull::{PeerDialer, PullSettings, Pulls};
use policy::pull::Terms;
use protocol::frame::Frame;
use protocol::ids::NodeId;
use protocol::message::{Pull, Submit};
use protocol::units::{Blocks, Tokens};
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::memory::pair;

use crate::bed::{Bed, bed, job, next, read};

struct Holder(Option<Arc<Pulls>>);

impl PeerDialer for Holder {
    fn dial(&self, _: NodeId, _: String) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        let Some(pulls) = &self.0 else { return Box::pin(async { Err("nobody answers".to_owned()) }) };
        let peer = || Peer { address: "memory".to_owned(), node: None };
        let (near, far) = pair(peer(), peer());
        tokio::spawn(Arc::clone(pulls).serve(far));
        Box::pin(async move { Ok(near as Arc<dyn Connection>) })
    }
}

fn pulls(bed: &Bed, holder: Option<Arc<Pulls>>) -> Arc<Pulls> {
    let terms = Terms { margin: 1.0, limit: Duration::from_secs(1), bandwidth: 1e9, least: Tokens(32) };
    let settings = PullSettings { terms, fetches: 4, serves: 4, patience: Duration::from_secs(5) };
    Pulls::new(settings, Arc::new(Holder(holder)), bed.node.workers())
}

/// The answer of `bed` to a submit with a hint, and what it granted as cached.
async fn ask(bed: &mut Bed) -> (Vec<protocol::ids::TokenId>, Tokens) {
    let peering = bed.welcome().await;
    let pull = Pull { node: NodeId(1), address: "memory".to_owned(), blocks: Blocks(9) };
    let (mut writer, mut reader) = peering.connection.open().await.unwrap();
    writer.send(Submit { job: job(1, 8), deadline: None, pull: Some(pull), gather: None }).await.unwrap();
    let Frame::Granted(granted) = next(&mut reader).await else { panic!("not granted") };
    let (tokens, last) = read(&mut reader).await;
    assert!(matches!(last, Frame::Finished(_)), "{last:?}");
    (tokens, granted.cached)
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_hint_finds_what_another_node_computed() {
    let (mut first, mut second, mut third) =
        (bed(Faults::default()).await, bed(Faults::default()).await, bed(Faults::default()).await);
    let (undisturbed, cached) = ask(&mut first).await;
    assert_eq!(cached, Tokens::ZERO, "a node that was not told to fetch computes");
    let holder = pulls(&first, None);
    second.node.stand_among(Among { pulls: Some(pulls(&second, Some(holder))), ..Among::default() });
    assert_eq!(ask(&mut second).await, (undisturbed.clone(), Tokens(32)));
    third.node.stand_among(Among { pulls: Some(pulls(&third, None)), ..Among::default() });
    assert_eq!(ask(&mut third).await, (undisturbed, Tokens::ZERO), "a dead holder costs nothing but the try");
    for bed in [&first, &second, &third] {
        assert_eq!(bed.worker.report().load.blocks_used, Blocks::ZERO);
    }
}
