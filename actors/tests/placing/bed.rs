//! A directory with nodes that only report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actors::cluster::Clock;
use actors::cluster::directory::{Directory, Membership};
use actors::cluster::placing::{Placed, Prefixes, Want};
use arc_swap::ArcSwap;
use policy::index::Hits;
use policy::restart::Jitter;
use protocol::config::{Config, Placement};
use protocol::engine::{BlockHash, Card, HASHING, Load};
use protocol::ids::{Incarnation, NodeId, TokenId};
use protocol::job::Class;
use protocol::message::{Hello, Report, Role, WorkerReport};
use protocol::units::{Blocks, Tokens};
use protocol::version::Versions;
use transport::connection::Peer;
use transport::memory;

const WORDS: [u8; 32] = [7; 32];

/// An index that says what it is told to.
#[derive(Debug, Default)]
pub(crate) struct Told {
    known: AtomicBool,
    held: ArcSwap<Vec<(NodeId, Blocks)>>,
}

impl Told {
    pub(crate) fn hold(&self, node: u64, blocks: u64) {
        self.held.store(Arc::new(vec![(NodeId(node), Blocks(blocks))]));
    }

    pub(crate) fn know(&self) {
        self.known.store(true, Ordering::Relaxed);
    }
}

impl Prefixes for Told {
    fn cached(&self, _model: &str, chain: &[BlockHash]) -> Hits {
        let most = Blocks::of(chain.len());
        self.held.load().iter().map(|(node, blocks)| (*node, (*blocks).min(most))).collect()
    }

    fn known(&self, _model: &str, _node: NodeId) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}

pub(crate) struct Bed {
    pub(crate) directory: Arc<Directory>,
    pub(crate) prefixes: Arc<Told>,
    sequence: AtomicU64,
}

impl Bed {
    pub(crate) fn new(placement: Placement) -> Self {
        let prefixes = Arc::<Told>::default();
        let known = Arc::clone(&prefixes);
        let directory = Directory::with(Clock::start(), &Config { placement, ..Config::default() }, 100, known);
        Self { directory, prefixes, sequence: AtomicU64::new(0) }
    }

    /// A node that has reported that it is idle.
    pub(crate) fn node(&self, id: u64) -> Membership {
        self.serving(id, "mock")
    }

    pub(crate) fn serving(&self, id: u64, model: &str) -> Membership {
        let card = Card {
            model: model.into(),
            architecture: "mock".into(),
            weights: [0; 32],
            text: WORDS,
            context: Tokens(100_000),
            vocabulary: 257,
            block: Tokens(32),
            blocks: Blocks(10_000),
            jobs: 256,
            dtype: "none".into(),
            device: "none".into(),
            block_bytes: 4096,
        };
        let hello = Hello {
            versions: Versions::OURS,
            node: NodeId(id),
            name: format!("node-{id}"),
            incarnation: Incarnation(1),
            build: "test".into(),
            cards: vec![card],
            hashing: HASHING,
            role: Role::Any,
            peer: None,
        };
        let peer = |address: &str| Peer { address: address.into(), node: None };
        let (ours, _theirs) = memory::pair(peer("memory:1"), peer("memory:0"));
        let membership = self.directory.join(hello, ours).unwrap();
        self.report(&membership, Load::default());
        membership
    }

    pub(crate) fn report(&self, node: &Membership, load: Load) {
        self.say(node, WorkerReport { ready: true, load, ..WorkerReport::default() });
    }

    /// The node's engine is not there yet.
    pub(crate) fn starting(&self, node: &Membership) {
        self.say(node, WorkerReport::default());
    }

    fn say(&self, node: &Membership, worker: WorkerReport) {
        let sequence = 1 + self.sequence.fetch_add(1, Ordering::Relaxed);
        node.report(Report { incarnation: Incarnation(1), sequence, workers: vec![worker], draining: false });
    }

    pub(crate) fn try_place(&self, want: &Want) -> Option<Placed> {
        let mut jitter = Jitter::new(self.sequence.fetch_add(1, Ordering::Relaxed));
        self.directory.place(want, &mut || jitter.draw())
    }

    pub(crate) fn place(&self, want: &Want) -> Placed {
        self.try_place(want).unwrap()
    }
}

/// So much prefill is due.
pub(crate) fn load(prefill: u64) -> Load {
    Load { prefill: Tokens(prefill), ..Load::default() }
}

/// A prompt of so many blocks; those with the same name begin alike.
pub(crate) fn chain(name: u32, blocks: u32) -> Arc<[BlockHash]> {
    let tokens: Vec<TokenId> = (0..blocks).map(|block| TokenId(name * 1_000 + block)).collect();
    BlockHash::chain([0; 16], &tokens, 1).collect()
}

pub(crate) fn want(name: u32, blocks: u32) -> Want {
    Want {
        model: "mock".into(),
        words: WORDS,
        chain: chain(name, blocks),
        block: Tokens(32),
        prompt: Tokens(u64::from(blocks) * 32),
        answer: Tokens(50),
        session: None,
        class: Class::default(),
        tried: Vec::new(),
    }
}
