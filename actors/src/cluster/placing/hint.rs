//! Where a node that was chosen may fetch what it lacks of a prompt.
//!
//! A hint alone: whether it pays is decided by that node, which measures its own prefill rate and the way to its
//! peers (`policy::pull`). So nothing here costs a request anything, and a stale index costs one refusal.

use policy::index::Hits;
use protocol::ids::NodeId;
use protocol::message::Pull;
use protocol::units::{Blocks, Tokens};

/// The node that has most of the prompt, if others reach it and it has more than is cached where the job goes.
pub(crate) fn hint(
    hits: &Hits,
    (chosen, cached): (NodeId, Tokens),
    block: Tokens,
    address: impl Fn(NodeId) -> Option<String>,
) -> Option<Pull> {
    let better = hits.iter().filter(|(node, blocks)| *node != chosen && blocks.0.saturating_mul(block.0) > cached.0);
    let mut better: Vec<(Blocks, NodeId)> = better.map(|(node, blocks)| (blocks, node)).collect();
    better.sort_unstable_by(|a, b| b.cmp(a));
    better.into_iter().find_map(|(blocks, node)| Some(Pull { node, address: address(node)?, blocks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_reachable_holder_is_named_if_it_has_more() {
        let hits = Hits::from_iter([(NodeId(1), Blocks(4)), (NodeId(2), Blocks(9)), (NodeId(3), Blocks(7))]);
        let all = |node: NodeId| Some(format!("n{}:1", node.0));
        let named = |chosen, cached, address: &dyn Fn(NodeId) -> Option<String>| {
            hint(&hits, (NodeId(chosen), Tokens(cached)), Tokens(32), address).map(|pull| (pull.node.0, pull.blocks.0))
        };
        assert_eq!(named(1, 128, &all), Some((2, 9)));
        assert_eq!(named(2, 288, &all), None, "nobody has more");
        assert_eq!(named(9, 0, &|node| (node.0 != 2).then(|| "a:1".to_owned())), Some((3, 7)), "2 lets nobody");
        assert_eq!(named(9, 0, &|_| None), None);
        assert_eq!(named(9, 288, &all), None, "as much is there");
    }
}
