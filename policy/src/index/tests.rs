use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn keys(range: std::ops::Range<u64>) -> Vec<BlockKey> {
    range.map(BlockKey).collect()
}

fn batch(epoch: u64, sequence: u64, changes: Vec<CacheChange>) -> CacheBatch {
    CacheBatch { model: "m".into(), epoch, sequence, changes }
}

fn snapshot(epoch: u64, stored: std::ops::Range<u64>) -> CacheBatch {
    batch(epoch, 0, vec![CacheChange::Cleared, CacheChange::Stored(keys(stored))])
}

/// Node 1 with blocks 0 to 9.
fn one() -> Index {
    let mut index = Index::default();
    index.join(NodeId(1), Blocks(100));
    assert_eq!(index.apply(NodeId(1), &snapshot(1, 0..10)), Outcome::Taken);
    index
}

fn cached(index: &Index, prompt: std::ops::Range<u64>) -> Vec<(u64, u64)> {
    index.cached(keys(prompt)).iter().map(|(node, blocks)| (node.0, blocks.0)).collect()
}

#[test]
fn a_block_counts_only_behind_all_those_before_it() {
    let mut index = one();
    assert_eq!(cached(&index, 0..20), [(1, 10)]);
    assert_eq!(cached(&index, 5..20), [(1, 5)]);
    index.apply(NodeId(1), &batch(1, 11, vec![CacheChange::Removed(keys(4..5))]));
    assert_eq!(cached(&index, 0..20), [(1, 4)]);
    index.apply(NodeId(1), &batch(1, 12, vec![CacheChange::Removed(keys(0..1))]));
    assert_eq!(cached(&index, 0..20), []);
    index.apply(NodeId(1), &batch(1, 13, vec![CacheChange::Stored(keys(0..1)), CacheChange::Stored(keys(4..5))]));
    assert_eq!(cached(&index, 0..20), [(1, 10)]);
}

#[test]
fn every_node_is_told_apart_and_goes_with_what_it_held() {
    let mut index = one();
    for (node, blocks) in [(2, 5), (3, 8), (4, 8), (5, 1)] {
        index.join(NodeId(node), Blocks(100));
        index.apply(NodeId(node), &snapshot(1, 0..blocks));
    }
    assert_eq!(cached(&index, 0..20), [(1, 10), (2, 5), (3, 8), (4, 8), (5, 1)]);
    assert_eq!((index.held(), index.blocks()), (Blocks(32), Blocks(10)));
    index.leave(NodeId(1));
    assert_eq!(cached(&index, 0..20), [(2, 5), (3, 8), (4, 8), (5, 1)]);
    assert_eq!(index.blocks(), Blocks(8));
    (2..6).for_each(|node| index.leave(NodeId(node)));
    assert_eq!((index.held(), index.blocks(), index.is_empty()), (Blocks(0), Blocks(0), true));
}

#[test]
fn a_gap_a_repetition_or_a_broken_beginning_asks_for_all_anew_and_nothing_is_believed() {
    let stored = || vec![CacheChange::Stored(keys(10..12))];
    for (wrong, reason) in [
        (batch(1, 12, stored()), Reason::Gap),
        (batch(1, 10, stored()), Reason::Gap),
        (snapshot(1, 0..3), Reason::Gap),
        (batch(2, 11, stored()), Reason::NoBeginning),
        (batch(2, 0, stored()), Reason::NoBeginning),
    ] {
        let mut index = one();
        assert_eq!(index.apply(NodeId(1), &wrong), Outcome::Resync(reason), "{wrong:?}");
        assert_eq!((cached(&index, 0..20), index.knows(NodeId(1))), (vec![], false));
        // What was on its way is no second fault.
        assert_eq!(index.apply(NodeId(1), &batch(1, 14, stored())), Outcome::Ignored);
        assert_eq!(index.apply(NodeId(1), &snapshot(3, 0..2)), Outcome::Taken);
        assert_eq!((cached(&index, 0..20), index.knows(NodeId(1))), (vec![(1, 2)], true));
    }
}

#[test]
fn an_epoch_without_a_beginning_is_asked_about_once() {
    let mut index = one();
    let piece = |from: u64| batch(2, from, vec![CacheChange::Stored(keys(from..from + 5))]);
    assert_eq!(index.apply(NodeId(1), &piece(1)), Outcome::Resync(Reason::NoBeginning));
    assert_eq!(index.apply(NodeId(1), &piece(6)), Outcome::Ignored);
    assert_eq!(index.apply(NodeId(1), &piece(11)), Outcome::Ignored);
    assert_eq!(index.apply(NodeId(1), &snapshot(3, 0..2)), Outcome::Taken);
}

#[test]
fn of_a_node_that_is_not_heard_nothing_is_believed() {
    let mut index = one();
    index.unheard(NodeId(1));
    assert_eq!((cached(&index, 0..20), index.held(), index.knows(NodeId(1))), (vec![], Blocks(0), false));
    assert_eq!(index.apply(NodeId(1), &batch(1, 11, vec![CacheChange::Stored(keys(0..1))])), Outcome::Ignored);
    assert_eq!(index.apply(NodeId(1), &snapshot(2, 0..2)), Outcome::Taken);
    index.unheard(NodeId(9));
}

#[test]
fn an_older_epoch_says_nothing() {
    let mut index = one();
    index.apply(NodeId(1), &snapshot(5, 0..3));
    assert_eq!(index.apply(NodeId(1), &snapshot(4, 0..9)), Outcome::Ignored);
    assert_eq!(cached(&index, 0..20), [(1, 3)]);
    assert_eq!(index.apply(NodeId(9), &snapshot(4, 0..9)), Outcome::Ignored);
}

#[test]
fn a_node_that_claims_more_than_it_has_is_not_believed_for_long() {
    let mut index = Index::default();
    index.join(NodeId(1), Blocks(4));
    for epoch in 1..=u64::from(LIES) {
        assert_eq!(index.apply(NodeId(1), &snapshot(epoch, 0..9)), Outcome::Resync(Reason::TooMany));
        assert_eq!(index.held(), Blocks(0));
    }
    assert_eq!(index.apply(NodeId(1), &snapshot(99, 0..2)), Outcome::Ignored);
    // Connected again, it begins afresh.
    index.join(NodeId(1), Blocks(4));
    assert_eq!(index.apply(NodeId(1), &snapshot(1, 0..4)), Outcome::Taken);
}

#[test]
fn a_node_that_keeps_losing_the_thread_is_not_asked_for_ever() {
    let mut index = one();
    let gap = |epoch: u64| batch(epoch, 99, vec![CacheChange::Stored(keys(0..1))]);
    let mut asked = 0;
    for epoch in 1..100 {
        asked += u32::from(matches!(index.apply(NodeId(1), &gap(epoch)), Outcome::Resync(_)));
        index.apply(NodeId(1), &snapshot(epoch + 1, 0..2));
    }
    assert_eq!((asked, index.held()), (LOSSES, Blocks(0)), "what was believed of it last is gone");
    index.join(NodeId(1), Blocks(100));
    assert_eq!(index.apply(NodeId(1), &snapshot(1, 0..4)), Outcome::Taken, "connected again, it begins afresh");
}

#[test]
fn a_loss_now_and_then_is_forgotten() {
    let mut index = one();
    let mut epoch = 1;
    for _ in 0..3 * LOSSES {
        let gap = batch(epoch, 9_999, vec![CacheChange::Stored(keys(0..1))]);
        assert_eq!(index.apply(NodeId(1), &gap), Outcome::Resync(Reason::Gap));
        epoch += 1;
        assert_eq!(index.apply(NodeId(1), &snapshot(epoch, 0..0)), Outcome::Taken);
        for number in 0..u64::from(FORGIVE) {
            let next = batch(epoch, 1 + number, vec![CacheChange::Stored(keys(number % 2..number % 2 + 1))]);
            assert_eq!(index.apply(NodeId(1), &next), Outcome::Taken);
        }
    }
}

#[test]
fn what_is_stored_or_removed_twice_is_no_harm() {
    let mut index = one();
    let twice = vec![CacheChange::Stored(keys(0..10)), CacheChange::Removed(keys(50..60))];
    assert_eq!(index.apply(NodeId(1), &batch(1, 11, twice)), Outcome::Taken);
    assert_eq!(index.held(), Blocks(10));
}

/// What a node does.
#[derive(Clone, Debug)]
enum Does {
    Store(u64),
    Remove(u64),
    Clear,
    Rejoin,
    Leave,
    LoseABatch,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        20 => (0u64..30).prop_map(Does::Store),
        10 => (0u64..30).prop_map(Does::Remove),
        1 => Just(Does::Clear),
        1 => Just(Does::Rejoin),
        1 => Just(Does::Leave),
        2 => Just(Does::LoseABatch),
    ]
}

/// A node that tells the truth, over a wire that loses some of it.
#[derive(Clone, Debug, Default)]
struct Truth {
    here: bool,
    held: BTreeSet<u64>,
    epoch: u64,
    sequence: u64,
    lose: bool,
}

proptest! {
    #[test]
    fn it_says_what_a_naive_index_says(steps in proptest::collection::vec((0u64..5, does()), 0..300)) {
        let mut index = Index::default();
        let mut truths = vec![Truth::default(); 5];
        for (node, does) in steps {
            let truth = &mut truths[node as usize];
            let id = NodeId(node);
            let change = match does {
                Does::Rejoin => {
                    index.join(id, Blocks(30));
                    *truth = Truth { here: true, held: truth.held.clone(), epoch: truth.epoch, ..Truth::default() };
                    None
                }
                Does::Leave => {
                    index.leave(id);
                    *truth = Truth::default();
                    None
                }
                _ if !truth.here => continue,
                Does::LoseABatch => {
                    truth.lose = true;
                    continue;
                }
                Does::Store(key) => truth.held.insert(key).then(|| CacheChange::Stored(vec![BlockKey(key)])),
                Does::Remove(key) => truth.held.remove(&key).then(|| CacheChange::Removed(vec![BlockKey(key)])),
                Does::Clear => {
                    truth.held.clear();
                    None
                }
            };
            if !truth.here {
                continue;
            }
            let anew = |truth: &mut Truth| {
                truth.epoch += 1;
                let held: Vec<BlockKey> = truth.held.iter().copied().map(BlockKey).collect();
                truth.sequence = 1 + held.len() as u64;
                batch(truth.epoch, 0, vec![CacheChange::Cleared, CacheChange::Stored(held)])
            };
            let told = match change {
                Some(change) if truth.sequence > 0 => {
                    let told = batch(truth.epoch, truth.sequence, vec![change.clone()]);
                    truth.sequence += change.count();
                    told
                }
                _ => anew(truth),
            };
            if std::mem::take(&mut truth.lose) {
                continue;
            }
            if let Outcome::Resync(_) = index.apply(id, &told) {
                let told = anew(truth);
                prop_assert_eq!(index.apply(id, &told), Outcome::Taken);
            }
            if index.knows(id) && !truth.lose {
                let naive = (0..30).take_while(|key| truth.held.contains(key)).count() as u64;
                prop_assert_eq!(index.cached(keys(0..30)).of(id), Blocks(naive));
            }
        }
        // Nothing is left of those who are gone, and nobody holds more than was told.
        let known: u64 = truths.iter().map(|truth| truth.held.len() as u64).sum();
        prop_assert!(index.blocks() <= index.held());
        if truths.iter().all(|truth| !truth.here) {
            prop_assert_eq!(index.held(), Blocks(0));
        }
        prop_assert!(index.held().0 <= known + 5 * 30);
    }
}
