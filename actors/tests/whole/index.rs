//! What the coordinator knows of its nodes' caches, and what it makes of it.

use std::time::Duration;

use actors::cluster::placing::Prefixes;
use policy::index::Hits;
use protocol::engine::BlockHash;
use protocol::ids::{NodeId, TokenId};
use protocol::units::{Blocks, Tokens};

use crate::bed::{BLOCK, Coordinator, Host, ready, whole};

fn prompt(seed: u32, tokens: u32) -> Vec<TokenId> {
    (0..tokens).map(|n| TokenId(97 + (seed * 7 + n * (seed % 5 + 1)) % 26)).collect()
}

fn chain(prompt: &[TokenId]) -> Vec<BlockHash> {
    BlockHash::chain([0; 16], prompt, BLOCK).collect()
}

/// Once what was said has arrived.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn a_prompt_goes_back_to_where_it_is_cached_and_prediction_grant_and_delivery_agree() {
    let coordinator = Coordinator::start().await;
    let hosts = [1, 2, 3].map(|id| Host::start(id, 512, &coordinator));
    let _hosts = futures_util::future::join_all(hosts).await;
    ready(&coordinator, 3).await;
    let asked = prompt(1, 100);
    let first = whole(coordinator.ask(|task| task.prompt = asked.clone()), 1).await.started.unwrap();
    assert_eq!(first.cached, Tokens(0));
    settle().await;
    for _ in 0..10 {
        let again = whole(coordinator.ask(|task| task.prompt = asked.clone()), 1).await.started.unwrap();
        assert_eq!(again.node, first.node);
        // The last token is always computed: 12 whole blocks of 100 tokens.
        assert_eq!((again.predicted, again.granted, again.cached), (Tokens(96), Tokens(96), Tokens(96)));
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_index_follows_what_a_small_cache_forgets() {
    let coordinator = Coordinator::start().await;
    let _host = Host::start(1, 40, &coordinator).await;
    ready(&coordinator, 1).await;
    for seed in 0..20 {
        let asked = prompt(seed, 80);
        let answer = whole(coordinator.ask(|task| task.prompt = asked.clone()), 1).await;
        assert_eq!(answer.error, None);
        settle().await;
        let found = coordinator.index.cached("mock", &chain(&asked));
        assert!(found.of(NodeId(1)) >= Blocks(10), "{seed}: {found:?}");
        assert!(coordinator.index.held("mock") <= Blocks(40));
    }
    assert!(coordinator.index.cached("mock", &chain(&prompt(0, 80))).is_empty(), "the first is long forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_comes_late_learns_all_and_a_node_that_goes_is_forgotten() {
    let coordinator = Coordinator::start().await;
    let host = Host::start(1, 512, &coordinator).await;
    ready(&coordinator, 1).await;
    let asked = prompt(3, 64);
    whole(coordinator.ask(|task| task.prompt = asked.clone()), 1).await;
    settle().await;
    let known = coordinator.index.cached("mock", &chain(&asked));
    assert_eq!(known, Hits::from_iter([(NodeId(1), Blocks(8))]));
    let other = Coordinator::start().await;
    host.serve(&other);
    ready(&other, 1).await;
    settle().await;
    assert_eq!(other.index.cached("mock", &chain(&asked)), known);
    assert!(other.index.known("mock", NodeId(1)));
    assert_eq!(coordinator.index.held("mock"), Blocks(0));
    let again = whole(other.ask(|task| task.prompt = asked.clone()), 1).await.started.unwrap();
    assert_eq!(again.predicted, Tokens(56), "all but the block with the last token");
    host.cut();
    settle().await;
    assert_eq!(other.index.held("mock"), Blocks(0));
}
