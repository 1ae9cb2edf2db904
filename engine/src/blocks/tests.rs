use super::*;
use proptest::prelude::*;
use protocol::ids::TokenId;
use std::collections::HashSet;

fn hashes(tokens: &[u32], salt: u8) -> Vec<BlockHash> {
    let tokens: Vec<_> = tokens.iter().copied().map(TokenId).collect();
    BlockHash::chain([salt; 16], &tokens, 2).collect()
}

fn take(pool: &mut BlockPool, hashes: &[BlockHash]) -> Vec<BlockId> {
    let mut table = Vec::new();
    pool.take_cached(hashes, &mut table);
    table
}

#[test]
fn the_least_recently_used_prefix_is_forgotten_first_and_its_tail_before_its_head() {
    let mut pool = BlockPool::new(Blocks(4));
    let (a, b) = (hashes(&[1, 2, 3, 4], 0), hashes(&[5, 6], 0));
    let first: Vec<_> = (0..2).map(|_| pool.allocate().unwrap()).collect();
    for (id, hash) in first.iter().zip(&a) {
        pool.publish(*id, *hash, None);
    }
    let second = pool.allocate().unwrap();
    pool.publish(second, b[0], None);
    pool.release(first.into_iter());
    pool.release([second].into_iter());
    assert_eq!(pool.find(&a), (2, 2));
    // One block was never used, then the tail of the older prefix goes.
    pool.allocate().unwrap();
    assert_eq!(pool.find(&a).0, 2);
    pool.allocate().unwrap();
    assert_eq!((pool.find(&a).0, pool.find(&b).0), (1, 1));
    let taken = take(&mut pool, &a);
    assert_eq!(taken.len(), 1);
    pool.allocate().unwrap();
    assert_eq!(pool.find(&b).0, 0);
    assert_eq!(pool.allocate(), None);
    assert_eq!(pool.used(), 4);
}

#[test]
fn a_second_block_with_the_same_tokens_is_not_cached() {
    let mut pool = BlockPool::new(Blocks(2));
    let hash = hashes(&[1, 2], 0)[0];
    let (one, two) = (pool.allocate().unwrap(), pool.allocate().unwrap());
    pool.publish(one, hash, None);
    pool.publish(two, hash, None);
    assert_eq!(take(&mut pool, &[hash]), [one]);
    assert_eq!(pool.check([[one].as_slice(), &[two], &[one]].into_iter()), Ok(()));
}

#[derive(Clone, Debug)]
enum Act {
    /// A sequence of so many blocks over tokens that others may share.
    Begin {
        kind: u32,
        blocks: usize,
        salt: u8,
    },
    End(usize),
    /// What a sequence holds is spoilt.
    Forget(usize),
    Listen,
    ListenAnew,
}

/// The cached hashes, by what a pool tells.
fn listen(pool: &mut BlockPool, heard: &mut HashSet<BlockHash>) -> Vec<CacheEvent> {
    let mut events = Vec::new();
    pool.cache_events(&mut events);
    for event in &events {
        match *event {
            CacheEvent::Cleared => heard.clear(),
            CacheEvent::Stored { hash, .. } => assert!(heard.insert(hash), "{hash} was stored twice"),
            CacheEvent::Removed { hash } => assert!(heard.remove(&hash), "{hash} was not stored"),
        }
    }
    events
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0u32..3, 1usize..5, 0u8..2).prop_map(|(kind, blocks, salt)| Act::Begin { kind, blocks, salt }),
        (0usize..8).prop_map(Act::End),
        (0usize..40).prop_map(|which| if which < 8 { Act::Forget(which) } else { Act::Listen }),
        (0usize..8).prop_map(|which| if which == 0 { Act::ListenAnew } else { Act::End(which) }),
    ]
}

proptest! {
    #[test]
    fn blocks_are_never_lost_doubled_or_shared_wrongly(acts in proptest::collection::vec(act(), 0..200)) {
        let mut pool = BlockPool::new(Blocks(12));
        // What each block truly holds, by the hash it was filled for.
        let mut content: HashMap<BlockId, BlockHash> = HashMap::new();
        let mut live: Vec<Vec<BlockId>> = Vec::new();
        let mut heard = HashSet::new();
        for act in acts {
            match act {
                Act::Begin { kind, blocks, salt } => {
                    let tokens: Vec<u32> = (0..blocks * 2).map(|i| if i < 4 { kind.min(1) } else { kind }).collect();
                    let names = hashes(&tokens, salt);
                    let mut table = take(&mut pool, &names);
                    for (id, name) in table.iter().zip(&names) {
                        prop_assert_eq!(content.get(id), Some(name));
                    }
                    for place in table.len()..names.len() {
                        let (name, Some(id)) = (names[place], pool.allocate()) else { break };
                        content.insert(id, name);
                        pool.publish(id, name, place.checked_sub(1).map(|before| names[before]));
                        table.push(id);
                    }
                    live.push(table);
                }
                Act::End(which) => {
                    if !live.is_empty() {
                        let table = live.swap_remove(which % live.len());
                        pool.release(table.into_iter());
                    }
                }
                Act::Forget(which) => {
                    if !live.is_empty() {
                        let table = live.swap_remove(which % live.len());
                        let alone = pool.forget(&table);
                        prop_assert!(table.iter().all(|id| pool.cached.values().all(|cached| cached != id)));
                        prop_assert!(alone.iter().all(|id| !live.iter().flatten().any(|held| held == id)));
                        pool.release(table.into_iter());
                    }
                }
                Act::ListenAnew => {
                    pool.restart_cache_events();
                    prop_assert_eq!(listen(&mut pool, &mut heard).len(), pool.cached.len() + 1);
                }
                Act::Listen => {
                    listen(&mut pool, &mut heard);
                    prop_assert_eq!(&heard, &pool.cached.keys().copied().collect());
                }
            }
            pool.check(live.iter().map(Vec::as_slice)).map_err(TestCaseError::fail)?;
        }
        for table in live.drain(..) {
            pool.release(table.into_iter());
        }
        prop_assert_eq!(pool.used(), 0);
        listen(&mut pool, &mut heard);
        prop_assert_eq!(heard, pool.cached.keys().copied().collect());
    }
}
