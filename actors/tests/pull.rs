//! Blocks go from node to node, and a peer that is dead, slow or lying costs nobody more than computing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions, bundle};
use actors::node::pull::{PeerDialer, PullSettings, Pulled, Pulls};
use actors::supervisor::{Supervisor, SupervisorArgs, SupervisorMsg};
use actors::worker::{Drive, Loaded, Update, WorkerHandle, WorkerMetrics, worker};
use policy::pull::Terms;
use policy::restart::{Backoff, Intensity};
use protocol::engine::BlockHash;
use protocol::frame::Frame;
use protocol::ids::{JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::message::Pull;
use protocol::pull::{PullBlocks, PullRefused, PulledBlock, PulledEnd};
use protocol::units::{Blocks, Tokens};
use ractor::{Actor, ActorRef};
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::memory::pair;

const HOLDER: NodeId = NodeId(7);
const LIMIT: Duration = Duration::from_secs(1);

fn settings() -> PullSettings {
    let terms = Terms { margin: 1.0, limit: LIMIT, bandwidth: 1e9, least: Tokens(64) };
    PullSettings { terms, fetches: 4, serves: 4, patience: Duration::from_secs(5) }
}

fn job(number: u32, prompt: u32) -> Job {
    Job {
        key: JobKey { request: RequestId(u128::from(number)), choice: 0, attempt: 0 },
        model: "mock".to_owned(),
        prompt: (0..prompt).map(|i| TokenId((i * 7 + i / 32) % 256)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(8), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [3; 16],
        priority: 0,
    }
}

/// What a pull of a job of 320 tokens says: ten blocks of 32, of which the last may not be used.
fn hint() -> Pull {
    Pull { node: HOLDER, address: "memory".to_owned(), blocks: Blocks(10) }
}

async fn start(blocks: u32) -> (WorkerHandle, ActorRef<SupervisorMsg>) {
    let options = MockOptions { blocks, ..MockOptions::default() };
    let factory = move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: bundle() });
    let (handle, child) = worker("mock", Arc::new(factory), Drive::Task, WorkerMetrics::none());
    let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
    let intensity = Intensity { max_restarts: 3, within: Duration::from_secs(60), backoff };
    let args = SupervisorArgs { intensity, children: vec![child], seed: 1, grace: Duration::from_secs(5) };
    let (supervisor, _) = Supervisor::spawn(None, Supervisor, args).await.unwrap();
    handle.served().await.unwrap();
    (handle, supervisor)
}

/// Runs a job to its end: its tokens, and how many of its prompt were cached.
async fn answer(worker: &WorkerHandle, job: Job) -> (Vec<TokenId>, Tokens) {
    let mut attempt = worker.submit(job).await.unwrap();
    let (mut tokens, mut cached) = (Vec::new(), Tokens::ZERO);
    loop {
        match attempt.next().await.unwrap() {
            Update::Begun(begun) => cached = begun.cached,
            Update::Tokens(batch) => tokens.extend(batch.tokens.iter().map(|sampled| sampled.token)),
            Update::Finished(_) => return (tokens, cached),
            Update::Failed(failed) => panic!("{failed:?}"),
        }
    }
}

/// What is at the other end of every connection.
enum Far {
    Dead,
    Node(Arc<Pulls>),
    /// Answers each pull with what this makes of it; then it is silent.
    Script(fn(PullBlocks) -> Vec<Frame>),
}

impl PeerDialer for Far {
    fn dial(&self, node: NodeId, _: String) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        assert_eq!(node, HOLDER);
        let peer = |address: &str| Peer { address: address.to_owned(), node: None };
        let (near, far) = pair(peer("far"), peer("near"));
        match self {
            Self::Dead => return Box::pin(async { Err("nobody answers".to_owned()) }),
            Self::Node(pulls) => drop(tokio::spawn(Arc::clone(pulls).serve(far))),
            Self::Script(script) => {
                let script = *script;
                tokio::spawn(async move {
                    while let Ok((mut writer, mut reader)) = far.accept().await {
                        let Ok(Some(Frame::PullBlocks(wanted))) = reader.recv().await else { panic!("no pull") };
                        for frame in script(wanted) {
                            if writer.send(frame).await.is_err() {
                                break;
                            }
                        }
                        // Neither finished nor reset, until the other side gives up.
                        writer.stopped().await;
                    }
                });
            }
        }
        Box::pin(async move { Ok(near as Arc<dyn Connection>) })
    }
}

fn pulls(settings: PullSettings, far: Far, worker: &WorkerHandle) -> Arc<Pulls> {
    let worker = worker.clone();
    let workers = move |model: &str| (worker.model() == model).then(|| worker.clone());
    Pulls::new(settings, Arc::new(far), Arc::new(workers))
}

#[tokio::test(start_paused = true)]
async fn the_second_node_finds_cached_what_the_first_one_computed() {
    let ((first, _a), (second, _b)) = (start(64).await, start(64).await);
    let (undisturbed, cached) = answer(&first, job(1, 320)).await;
    assert_eq!(cached, Tokens::ZERO);
    let holder = pulls(settings(), Far::Dead, &first);
    let near = pulls(settings(), Far::Node(holder), &second);
    assert_eq!(near.prepare(&job(1, 320), &hint()).await, Pulled::Blocks(Blocks(9)));
    assert_eq!(answer(&second, job(1, 320)).await, (undisturbed, Tokens(288)));
    assert_eq!(near.prepare(&job(1, 320), &hint()).await, Pulled::Computed, "all is here");
    assert_eq!(second.report().load.blocks_used, Blocks::ZERO);
    // Another tenant's names are others: there is nothing to be had, and nothing goes wrong.
    let other = Job { salt: [4; 16], ..job(2, 320) };
    assert_eq!(near.prepare(&other, &hint()).await, Pulled::Blocks(Blocks::ZERO));
    assert_eq!(answer(&second, other).await.1, Tokens::ZERO);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_lacking_is_fetched_and_little_is_computed() {
    let ((first, _a), (second, _b)) = (start(64).await, start(64).await);
    answer(&first, job(1, 320)).await;
    answer(&second, job(2, 161)).await;
    let near = pulls(settings(), Far::Node(pulls(settings(), Far::Dead, &first)), &second);
    assert_eq!(near.prepare(&job(3, 320), &hint()).await, Pulled::Blocks(Blocks(4)), "five of nine are here");
    let few = pulls(settings(), Far::Dead, &second);
    assert_eq!(few.prepare(&job(4, 40), &hint()).await, Pulled::Computed);
}

#[tokio::test(start_paused = true)]
async fn a_small_cache_takes_what_fits_and_computes_the_rest() {
    let ((first, _a), (second, _b)) = (start(64).await, start(12).await);
    let (undisturbed, _) = answer(&first, job(1, 320)).await;
    let busy = Job { limits: Limits { max_tokens: Tokens(64), ..job(9, 1).limits }, salt: [9; 16], ..job(9, 150) };
    let running = second.submit(busy).await.unwrap();
    let near = pulls(settings(), Far::Node(pulls(settings(), Far::Dead, &first)), &second);
    let outcome = near.prepare(&job(1, 320), &hint()).await;
    drop(running);
    assert!(!matches!(outcome, Pulled::Computed), "{outcome:?}");
    assert_eq!(answer(&second, job(1, 320)).await.0, undisturbed);
    assert_eq!(second.report().load.blocks_used, Blocks::ZERO);
}

fn block(hash: BlockHash, parent: Option<BlockHash>, bytes: u64) -> Frame {
    PulledBlock { hash, parent, bytes: vec![0; usize::try_from(bytes).unwrap()] }.into()
}

/// What an honest peer would say.
fn honest(wanted: &PullBlocks) -> Vec<Frame> {
    let parents = std::iter::once(None).chain(wanted.hashes.iter().copied().map(Some));
    wanted.hashes.iter().zip(parents).map(|(hash, parent)| block(*hash, parent, wanted.layout.bytes)).collect()
}

/// What comes of a peer that speaks by this script: the job is computed, and gives what it gives anyway.
async fn harmless(script: fn(PullBlocks) -> Vec<Frame>) -> (Blocks, String) {
    let ((alone, _a), (second, _b)) = (start(64).await, start(64).await);
    let (undisturbed, _) = answer(&alone, job(1, 320)).await;
    let near = pulls(settings(), Far::Script(script), &second);
    let begun = tokio::time::Instant::now();
    let outcome = near.prepare(&job(1, 320), &hint()).await;
    assert!(begun.elapsed() <= LIMIT, "a pull took {:?}", begun.elapsed());
    let Pulled::Failed { taken, reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(second.report().load.blocks_used, Blocks::ZERO, "a pull left blocks behind");
    let (tokens, cached) = answer(&second, job(1, 320)).await;
    assert_eq!((tokens, cached), (undisturbed, Tokens(taken.0 * 32)));
    (taken, reason)
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_left_alone_for_a_while() {
    let (second, _b) = start(64).await;
    let near = pulls(settings(), Far::Dead, &second);
    let outcome = near.prepare(&job(1, 320), &hint()).await;
    assert_eq!(outcome, Pulled::Failed { taken: Blocks::ZERO, reason: "nobody answers".to_owned() });
    assert_eq!(near.prepare(&job(1, 320), &hint()).await, Pulled::Computed, "it was asked again at once");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(near.prepare(&job(1, 320), &hint()).await, Pulled::Failed { .. }), "it is asked in time");
}

#[tokio::test(start_paused = true)]
async fn a_silent_or_slow_peer_has_the_time_of_the_limit() {
    let (taken, reason) = harmless(|_| Vec::new()).await;
    assert_eq!((taken, reason.as_str()), (Blocks::ZERO, "nothing came within 1s"));
    let (_, reason) = harmless(|wanted| honest(&wanted).into_iter().take(3).collect()).await;
    assert!(reason.ends_with("bytes came within 1s"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_lying_peer_harms_nobody() {
    let (taken, reason) = harmless(|wanted| vec![block(BlockHash::root([1; 16]), None, wanted.layout.bytes)]).await;
    assert!(taken == Blocks::ZERO && reason.ends_with("another was due"), "{reason}");
    let (taken, reason) = harmless(|wanted| vec![block(wanted.hashes[0], None, 3)]).await;
    assert!(taken == Blocks::ZERO && reason.contains("has 3 bytes"), "{reason}");
    let (taken, reason) = harmless(|wanted| {
        let stranger = Some(BlockHash::root([1; 16]));
        vec![block(wanted.hashes[0], stranger, wanted.layout.bytes), PulledEnd { blocks: Blocks(1) }.into()]
    })
    .await;
    assert!(taken == Blocks::ZERO && reason.ends_with("comes after one that is not here"), "{reason}");
    let (_, reason) = harmless(|wanted| [honest(&wanted), honest(&wanted)].concat()).await;
    assert!(reason.ends_with("another was due"), "{reason}");
    let (_, reason) = harmless(|_| vec![PulledEnd { blocks: Blocks(9) }.into(), PullRefused::Closed.into()]).await;
    assert!(!reason.is_empty());
    let (_, reason) = harmless(|_| vec![Frame::from(protocol::message::Drain {})]).await;
    assert!(reason.ends_with("has no place in a pull"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_refuses_what_it_cannot_give() {
    let ((first, _a), (second, _b)) = (start(64).await, start(64).await);
    let full = pulls(PullSettings { serves: 0, ..settings() }, Far::Dead, &first);
    let near = pulls(settings(), Far::Node(full), &second);
    let outcome = near.prepare(&job(1, 320), &hint()).await;
    assert!(matches!(&outcome, Pulled::Failed { reason, .. } if reason.contains("0 pulls already")), "{outcome:?}");
    let none = pulls(PullSettings { fetches: 0, ..settings() }, Far::Dead, &second);
    assert_eq!(none.prepare(&job(1, 320), &hint()).await, Pulled::Computed, "too much is under way");
}
