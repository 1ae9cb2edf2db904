//! Where a job goes: the nodes of its model, ordered by `policy::placement`.
//!
//! Rules: one question, one answer: whoever was refused asks again and names whom it has tried. What is
//! decided here is a hint; the node itself grants or refuses. What was sent is counted from here on, and
//! given back by its [`Reservation`].

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use policy::index::Hits;
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::job::Class;
use protocol::message::{Pull, Role};
use protocol::units::Tokens;

use super::directory::Reach;

pub(crate) mod hint;
mod metrics;
mod reservation;
mod trial;

pub(super) use metrics::PlacementMetrics;
pub use reservation::Reservation;
pub use trial::Trial;

/// What is to be placed.
#[derive(Clone, Debug)]
pub struct Want {
    /// The model's name.
    pub model: String,
    /// The hash of its words: nodes with others are not asked.
    pub words: [u8; 32],
    /// The names of the prompt's full blocks, from the front; of prompt and answer so far for a migration.
    pub chain: Arc<[BlockHash]>,
    /// Tokens in a block.
    pub block: Tokens,
    /// Tokens of the prompt, and of the answer so far.
    pub prompt: Tokens,
    /// The longest answer that may still come.
    pub answer: Tokens,
    /// The conversation, if the client names it; of one tenant.
    pub session: Option<u64>,
    /// How urgent it is.
    pub class: Class,
    /// Who has refused or failed already.
    pub tried: Vec<NodeId>,
}

/// Which nodes are asked, by their role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Whoever answers: not those for prompts.
    Answer,
    /// Those for prompts.
    Prompt,
    /// All: better there than nowhere.
    Any,
}

impl Part {
    pub(crate) fn takes(self, role: Role) -> bool {
        match self {
            Self::Answer => role != Role::Prefill,
            Self::Prompt => role == Role::Prefill,
            Self::Any => true,
        }
    }
}

/// A node that computes the prompt first.
#[derive(Debug)]
pub struct First {
    /// How to reach it. The prompt counts as sent there until this is dropped.
    pub reach: Reach,
    /// What the answering node fetches from there then.
    pub pull: Pull,
    /// How long it may take: past it, computing where the answer is written is no worse.
    pub limit: Duration,
}

/// Where it goes.
#[derive(Debug)]
pub struct Placed {
    /// Whom to ask.
    pub node: NodeId,
    /// How to reach it. The job counts as sent there until this is dropped.
    pub reach: Reach,
    /// What the index believes to be cached there.
    pub predicted: Tokens,
    /// Who has more of it.
    pub pull: Option<Pull>,
    /// Who computes the prompt first, if that pays.
    pub first: Option<First>,
}

/// What is cached where, as far as the coordinator knows.
pub trait Prefixes: Debug + Send + Sync {
    /// How many blocks of a prompt, from the front, nodes have cached.
    fn cached(&self, model: &str, chain: &[BlockHash]) -> Hits;

    /// Whether all is known that a node has cached.
    fn known(&self, model: &str, node: NodeId) -> bool;
}

/// Nothing is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrefixes;

impl Prefixes for NoPrefixes {
    fn cached(&self, _model: &str, _chain: &[BlockHash]) -> Hits {
        Hits::default()
    }

    fn known(&self, _model: &str, _node: NodeId) -> bool {
        false
    }
}
