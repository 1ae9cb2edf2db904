use super::*;
use protocol::ids::TokenId;

const TTL: Duration = Duration::from_secs(2);

/// A prompt of so many blocks; those with the same name begin alike.
fn chain(name: u32, blocks: usize) -> Vec<BlockHash> {
    let tokens: Vec<TokenId> = (0..blocks as u32).map(|block| TokenId(name * 10_000 + block)).collect();
    BlockHash::chain([0; 16], &tokens, 1).collect()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_was_sent_counts_as_cached_for_a_while() {
    let mut routed = Routed::new(1_000, TTL);
    let (node, other) = (NodeId(1), NodeId(2));
    let prompt = chain(1, 10);
    routed.note(secs(0), node, &prompt, Blocks(0));
    assert_eq!(routed.nodes(secs(1), &prompt[0]).collect::<Vec<_>>(), [node]);
    assert_eq!(routed.reach(secs(1), node, &prompt, Blocks(0)), Blocks(10));
    assert_eq!(routed.reach(secs(1), other, &prompt, Blocks(3)), Blocks(3), "the index's word stays");
    let mut alike = prompt.clone();
    alike.truncate(6);
    alike.extend(chain(2, 3));
    assert_eq!(routed.reach(secs(1), node, &alike, Blocks(2)), Blocks(6));
    assert_eq!(routed.reach(secs(2), node, &prompt, Blocks(0)), Blocks(0));
    routed.note(secs(3), node, &chain(3, 1), Blocks(0));
    assert_eq!(routed.len(), 1, "what is void is forgotten");
}

#[test]
fn what_the_index_knows_is_not_noted_again() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 10);
    routed.note(secs(0), NodeId(1), &prompt, Blocks(8));
    assert_eq!(routed.len(), 2);
    assert_eq!(routed.reach(secs(1), NodeId(1), &prompt, Blocks(8)), Blocks(10));
}

#[test]
fn who_did_not_take_it_will_not_have_it() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 4);
    routed.note(secs(0), NodeId(1), &prompt, Blocks(0));
    routed.note(secs(0), NodeId(2), &prompt, Blocks(0));
    routed.forget(NodeId(1), &prompt, Blocks(0));
    assert_eq!(routed.nodes(secs(1), &prompt[0]).collect::<Vec<_>>(), [NodeId(2)]);
}

#[test]
fn what_was_on_its_way_to_a_lost_node_is_lost() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 4);
    routed.note(secs(0), NodeId(1), &prompt, Blocks(0));
    routed.note(secs(0), NodeId(2), &prompt, Blocks(0));
    routed.leave(NodeId(1));
    assert_eq!(routed.reach(secs(1), NodeId(1), &prompt, Blocks(0)), Blocks(0));
    assert_eq!(routed.reach(secs(1), NodeId(2), &prompt, Blocks(0)), Blocks(4));
}

#[test]
fn a_renewed_belief_outlives_the_first() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 4);
    routed.note(secs(0), NodeId(1), &prompt, Blocks(0));
    routed.note(secs(1), NodeId(1), &prompt, Blocks(0));
    routed.note(secs(2), NodeId(1), &chain(2, 1), Blocks(0));
    assert_eq!(routed.reach(Duration::from_millis(2_500), NodeId(1), &prompt, Blocks(0)), Blocks(4));
}

#[test]
fn it_is_bounded_and_forgets_depth_first() {
    let mut routed = Routed::new(10, TTL);
    let prompt = chain(1, 8);
    routed.note(secs(0), NodeId(1), &prompt, Blocks(0));
    routed.note(secs(0), NodeId(2), &chain(2, 5), Blocks(0));
    assert_eq!(routed.reach(secs(1), NodeId(1), &prompt, Blocks(0)), Blocks(5), "the front stays");
    for name in 0..100 {
        routed.note(secs(0), NodeId(1), &chain(name, 700), Blocks(0));
        assert!(routed.len() <= 10 && routed.nodes.len() <= 10);
    }
}
