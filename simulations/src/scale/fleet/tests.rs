use std::collections::BTreeSet;

use policy::index::Outcome;

use super::*;

#[test]
fn nodes_stay_full_and_say_nothing_twice() {
    for nodes in [1, 7, 45] {
        let mut fleet = Fleet::new(nodes, 600, &mut Jitter::new(1));
        let mut index = fleet.index();
        let before: Vec<Blocks> = (0..nodes).map(|node| index.held_by(NodeId(node as u64))).collect();
        for event in fleet.events(20_000) {
            let [CacheChange::Removed(removed), CacheChange::Stored(stored)] = event.batch.changes.as_slice() else {
                panic!("{event:?}");
            };
            assert!(!removed.is_empty() && removed.iter().all(|key| index.holds(event.node, *key)), "given up unheld");
            let removed: BTreeSet<&BlockKey> = removed.iter().collect();
            assert!(stored.iter().all(|key| removed.contains(key) || !index.holds(event.node, *key)), "stored twice");
            assert_eq!(index.apply(event.node, &event.batch), Outcome::Taken);
            assert!(keys(&fleet.chains[event.came]).all(|key| index.holds(event.node, key)), "what came is not there");
        }
        // As full as before, but for a system prompt that a node near the end has from the first ones.
        for (node, before) in before.into_iter().enumerate() {
            let after = index.held_by(NodeId(node as u64));
            let (most, least) = (after.max(before), after.min(before));
            assert!(most - least <= Blocks::of(SYSTEM / BLOCK.as_usize()), "{before:?} were held, now {after:?}");
        }
        let common: Vec<BlockKey> = keys(&fleet.common).collect();
        assert!((0..nodes).all(|node| common.iter().all(|key| index.holds(NodeId(node as u64), *key))));
    }
}

#[test]
fn a_thousand_blocks_are_about_a_thousand() {
    let fleet = Fleet::new(40, 1_200, &mut Jitter::new(1));
    let held = fleet.index().held().0 / 40;
    assert!((1_000..=1_200).contains(&held), "{held} blocks a node");
}
