//! What the index believes of a node is what the node holds, once all is quiet: nothing that is not there, and,
//! where it says that it knows the node, nothing less.

use std::collections::BTreeSet;

use protocol::cache::BlockKey;
use protocol::ids::NodeId;

use super::{Breach, Invariant, holds};
use crate::index::Index;

/// The index believes of `node` nothing beyond what it holds; if it knows the node, just that.
///
/// # Errors
/// It does not.
pub fn index_true(index: &Index, node: NodeId, held: &BTreeSet<BlockKey>) -> Result<(), Breach> {
    let believed = index.held_by(node).0;
    let both = held.iter().filter(|key| index.holds(node, **key)).count() as u64;
    let (false_ones, missing) = (believed - both.min(believed), held.len() as u64 - both);
    let fine = false_ones == 0 && (missing == 0 || !index.knows(node));
    holds(Invariant::IndexTrue, fine, || {
        format!(
            "node {node} holds {} blocks; of those that the index believes {false_ones} are not there, and {missing} are missing",
            held.len()
        )
    })
}

/// Likewise, and the index knows the node, unless it has stopped to believe it: for when a node has been connected and
/// heard for long enough to be known.
///
/// # Errors
/// It does not, or is not.
pub fn index_whole(index: &Index, node: NodeId, held: &BTreeSet<BlockKey>) -> Result<(), Breach> {
    index_true(index, node, held)?;
    holds(Invariant::IndexTrue, index.knows(node) || !index.believes(node), || {
        format!("node {node} holds {} blocks, and what it holds is not known", held.len())
    })
}
