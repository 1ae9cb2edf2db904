//! Where a job goes: the directory's nodes, ordered by `policy::placement`.
//!
//! Rules: one question, one answer: whoever was refused asks again and names whom it has tried. What is
//! decided here is a hint; the node itself grants or refuses.

use std::sync::Arc;

use policy::placement;
use protocol::engine::BlockHash;
use protocol::ids::NodeId;
use protocol::job::Class;
use protocol::units::Tokens;

use super::directory::{Directory, Reach};

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

/// Where it goes.
#[derive(Debug)]
pub struct Placed {
    /// Whom to ask.
    pub node: NodeId,
    /// How to reach it.
    pub reach: Reach,
    /// What the index believes to be cached there.
    pub predicted: Tokens,
}

impl Directory {
    /// The best node for a job, or none. `random` gives numbers in [0, 1).
    pub fn place(&self, want: &Want, random: &mut impl FnMut() -> f64) -> Option<Placed> {
        let mut candidates = self.candidates(&want.model, want.words);
        candidates.retain(|candidate| !want.tried.contains(&candidate.node));
        placement::order(candidates, random).into_iter().find_map(|node| {
            let reach = self.reach(node, want.prompt)?;
            Some(Placed { node, reach, predicted: Tokens::ZERO })
        })
    }
}
