use super::*;

fn tokens(ids: &[u32]) -> Vec<TokenId> {
    ids.iter().copied().map(TokenId).collect()
}

fn chain(ids: &[u32], block: usize) -> Vec<BlockHash> {
    BlockHash::chain([0; 16], &tokens(ids), block).collect()
}

fn stored(id: u32) -> CacheEvent {
    CacheEvent::Stored { hash: chain(&[id], 1)[0], parent: None }
}

#[test]
fn a_hash_names_all_tokens_before_it_and_the_tenant() {
    assert_eq!(chain(&[1, 2, 3, 4, 5], 2), chain(&[1, 2, 3, 4], 2));
    assert_eq!(chain(&[1, 2, 3, 4], 2)[1], BlockHash::root([0; 16]).child(&tokens(&[1, 2])).child(&tokens(&[3, 4])));
    assert_ne!(chain(&[1, 2, 3, 4], 2)[1], chain(&[9, 2, 3, 4], 2)[1]);
    assert_ne!(chain(&[1, 2], 2)[0], BlockHash::chain([1; 16], &tokens(&[1, 2]), 2).next().unwrap());
    assert_eq!((chain(&[1], 2), chain(&[1, 2], 0)), (vec![], vec![]));
}

/// Nodes of different versions must agree on these names, or an index finds nothing.
#[test]
fn names_do_not_change_between_versions() {
    let name = "d67cb2a7e81a293cede5f8f5dbc6289f1661f8a0c5630ef0e9e9426e4f2d6237";
    assert_eq!(chain(&[1, 2], 2)[0].to_string(), name);
}

#[test]
fn a_log_begins_with_all_there_is_and_goes_on_with_what_happens() {
    let (mut log, mut events) = (CacheLog::new(2), Vec::new());
    log.note(stored(1));
    log.tell(&mut events, [stored(1)].into_iter());
    log.note(stored(2));
    log.tell(&mut events, [stored(1), stored(2)].into_iter());
    assert_eq!(events, [CacheEvent::Cleared, stored(1), stored(2)]);
    log.restart();
    events.clear();
    log.tell(&mut events, [stored(2)].into_iter());
    assert_eq!(events, [CacheEvent::Cleared, stored(2)]);
}

#[test]
fn an_event_too_many_gives_all_there_is_instead() {
    let (mut log, mut events) = (CacheLog::new(2), Vec::new());
    log.tell(&mut events, std::iter::empty());
    (0..4).for_each(|id| log.note(stored(id)));
    events.clear();
    log.clone().tell(&mut events, std::iter::empty());
    assert_eq!(events.len(), 4, "as many as fit");
    (4..9).for_each(|id| log.note(stored(id)));
    events.clear();
    log.tell(&mut events, [stored(8)].into_iter());
    assert_eq!(events, [CacheEvent::Cleared, stored(8)]);
}

#[test]
fn a_name_is_the_hash_of_the_parent_and_all_tokens_in_order() {
    for length in [0, 1, 15, 16, 17, 32, 40] {
        let ids: Vec<u32> = (0..length).map(|id| id * 70_001).collect();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let parent = BlockHash::root([3; 16]);
        let wanted = blake3::Hasher::new().update(&parent.0).update(&bytes).finalize();
        assert_eq!(parent.child(&tokens(&ids)).0, *wanted.as_bytes(), "{length} tokens");
    }
}
