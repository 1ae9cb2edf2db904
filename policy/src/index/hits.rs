//! Who has how much of one prompt.

use protocol::ids::NodeId;
use protocol::units::Blocks;

/// How many blocks of a prompt, from the front, each node has, in the order of the nodes: they are walked side by side
/// with those who may be asked. Nodes that have none are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits(Vec<(NodeId, Blocks)>);

impl FromIterator<(NodeId, Blocks)> for Hits {
    /// Of one who is named twice, the most counts.
    fn from_iter<T: IntoIterator<Item = (NodeId, Blocks)>>(found: T) -> Self {
        let mut hits: Vec<(NodeId, Blocks)> = found.into_iter().collect();
        hits.retain(|(_, blocks)| *blocks > Blocks::ZERO);
        // What comes is a few runs that are in order: to merge these is cheaper than to sort them anew.
        hits.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
        hits.dedup_by_key(|(node, _)| *node);
        Self(hits)
    }
}

impl Hits {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, Blocks)> {
        self.0.iter().copied()
    }

    /// Likewise, to look at.
    pub fn as_slice(&self) -> &[(NodeId, Blocks)] {
        &self.0
    }

    /// The most that any node has.
    pub fn deepest(&self) -> Blocks {
        self.iter().map(|(_, blocks)| blocks).max().unwrap_or_default()
    }

    /// How much a node has.
    pub fn of(&self, node: NodeId) -> Blocks {
        let place = self.0.binary_search_by_key(&node, |(other, _)| *other);
        place.ok().and_then(|place| self.0.get(place)).map_or(Blocks::ZERO, |(_, blocks)| *blocks)
    }

    /// Whether nobody has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_who_has_some_is_named_once_in_order() {
        let found = [(3, 2), (1, 5), (2, 0), (3, 7), (3, 1)].map(|(node, blocks)| (NodeId(node), Blocks(blocks)));
        let hits = Hits::from_iter(found);
        assert_eq!(hits.iter().collect::<Vec<_>>(), [(NodeId(1), Blocks(5)), (NodeId(3), Blocks(7))]);
        assert_eq!([0, 1, 2, 3].map(|node| hits.of(NodeId(node)).0), [0, 5, 0, 7]);
        assert!(!hits.is_empty() && Hits::from_iter([(NodeId(1), Blocks(0))]).is_empty());
    }
}
