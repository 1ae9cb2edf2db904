//! Prompts that are computed on a node for prompts first, and fetched from there.

use std::sync::Arc;
use std::time::Duration;

use actors::mock::Timing;
use actors::node::pull::{PeerDialer, PullSettings, Pulls};
use actors::node::{Among, Node};
use arc_swap::ArcSwapOption;
use policy::pull::Terms;
use protocol::config::{Config, Pull};
use protocol::ids::{NodeId, TokenId};
use protocol::message::Role;
use protocol::units::{ByteSize, Tokens};
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::memory::pair;

use crate::bed::{BLOCK, Coordinator, Host, Whole, ready, timing, whole};

const FAST: Duration = Duration::from_micros(10);
const SLOW: Duration = Duration::from_millis(1);
const LONG: u32 = 400;

fn config() -> Config {
    let pull = Pull {
        enabled: true,
        margin: 1.0,
        least_tokens: 32,
        elsewhere_tokens: 128,
        bandwidth: ByteSize(1 << 30),
        ..Pull::default()
    };
    Config { pull, ..Config::default() }
}

/// The way to the one node for prompts.
#[derive(Clone, Default)]
struct Holder(Arc<ArcSwapOption<Pulls>>);

impl PeerDialer for Holder {
    fn dial(&self, _: NodeId, _: String) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            let pulls = self.0.load_full().ok_or("nobody answers")?;
            let peer = || Peer { address: "memory".to_owned(), node: None };
            let (near, far) = pair(peer(), peer());
            tokio::spawn(pulls.serve(far));
            Ok(near as Arc<dyn Connection>)
        })
    }
}

impl Holder {
    fn pulls(&self, node: &Node) -> Arc<Pulls> {
        let terms = Terms::from(&config().pull);
        let settings = PullSettings { terms, fetches: 4, serves: 4, patience: Duration::from_secs(5) };
        Pulls::new(settings, Arc::new(self.clone()), node.workers())
    }

    /// The node for prompts.
    async fn prefill(&self, id: u64, to: &Arc<Coordinator>) -> Host {
        let among = |node: &Node| {
            let pulls = self.pulls(node);
            self.0.store(Some(Arc::clone(&pulls)));
            Among { role: Role::Prefill, address: Some("memory".to_owned()), pulls: Some(pulls) }
        };
        Host::among(id, 512, to, Timing { prefill_per_token: FAST, ..timing() }, among).await
    }

    /// One that answers.
    async fn decode(&self, id: u64, to: &Arc<Coordinator>) -> Host {
        let among = |node: &Node| Among { role: Role::Decode, address: None, pulls: Some(self.pulls(node)) };
        Host::among(id, 512, to, Timing { prefill_per_token: SLOW, ..timing() }, among).await
    }
}

fn prompt(seed: u32, tokens: u32) -> Vec<TokenId> {
    (0..tokens).map(|n| TokenId(97 + (seed * 7 + n * (seed % 5 + 1) + n / 26) % 26)).collect()
}

async fn ask(coordinator: &Arc<Coordinator>, seed: u32, tokens: u32) -> Whole {
    let answer = whole(coordinator.ask(|task| task.prompt = prompt(seed, tokens)), 1).await;
    assert_eq!(answer.error, None);
    tokio::time::sleep(Duration::from_millis(500)).await;
    answer
}

/// What a cluster says in which nobody is for prompts.
async fn undisturbed(seed: u32) -> Vec<String> {
    let coordinator = Coordinator::start().await;
    let _host = Host::start(1, 512, &coordinator).await;
    ready(&coordinator, 1).await;
    ask(&coordinator, seed, LONG).await.texts
}

#[tokio::test(start_paused = true)]
async fn a_long_prompt_is_computed_by_the_node_for_prompts_and_answered_by_another() {
    let (coordinator, holder) = (Coordinator::with(&config()).await, Holder::default());
    let first = holder.prefill(1, &coordinator).await;
    let _second = holder.decode(2, &coordinator).await;
    ready(&coordinator, 2).await;
    for seed in 0..3 {
        let short = ask(&coordinator, seed, 60).await.started.unwrap();
        assert_eq!((short.node.as_str(), short.cached), ("node-2", Tokens(0)), "a short one is not worth the way");
    }
    assert_eq!(first.worker.report().load.step, 0, "nobody answers on the node for prompts");
    let answer = ask(&coordinator, 9, LONG).await;
    let started = answer.started.unwrap();
    // All whole blocks but that of the last token.
    let fetched = Tokens::of((LONG as usize - 1) / BLOCK * BLOCK);
    assert_eq!((started.node.as_str(), started.cached), ("node-2", fetched));
    assert_eq!(answer.texts, undisturbed(9).await);
    assert!(first.worker.report().load.is_idle());
    assert_eq!(coordinator.directory.sent(), 0, "what was reserved is given back");
}

#[tokio::test(start_paused = true)]
async fn a_node_for_prompts_that_is_of_no_help_costs_no_answer() {
    let (coordinator, holder) = (Coordinator::with(&config()).await, Holder::default());
    let first = holder.prefill(1, &coordinator).await;
    let _second = holder.decode(2, &coordinator).await;
    ready(&coordinator, 2).await;
    ask(&coordinator, 1, 60).await;
    // It computes, and then nobody gets through to it.
    holder.0.store(None);
    let answer = ask(&coordinator, 9, LONG).await;
    assert_eq!(answer.started.unwrap().cached, Tokens(0));
    assert_eq!(answer.texts, undisturbed(9).await);
    assert!(first.worker.report().load.step > 0, "it was never asked: the test has tested nothing");
    // It is cut off while it computes.
    let asked = coordinator.ask(|task| task.prompt = prompt(8, LONG));
    let busy = async {
        while first.worker.report().load.is_idle() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), busy).await.unwrap();
    first.cut();
    let answer = whole(asked, 1).await;
    assert_eq!((answer.error, answer.texts), (None, undisturbed(8).await));
    assert_eq!(coordinator.directory.sent(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_is_the_node_for_prompts_answers() {
    let (coordinator, holder) = (Coordinator::with(&config()).await, Holder::default());
    let _first = holder.prefill(1, &coordinator).await;
    ready(&coordinator, 1).await;
    assert_eq!(ask(&coordinator, 9, LONG).await.started.unwrap().node, "node-1");
}
