use super::*;
use proptest::prelude::*;
use protocol::ids::TokenId;

const TTL: Duration = Duration::from_secs(2);
const NODE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

/// A prompt of so many blocks; those with the same name begin alike.
fn chain(name: u32, blocks: usize) -> Vec<BlockHash> {
    let tokens: Vec<TokenId> = (0..blocks as u32).map(|block| TokenId(name * 10_000 + block)).collect();
    BlockHash::chain([0; 16], &tokens, 1).collect()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many blocks of a prompt a node will have that has so many now.
fn reached(routed: &Routed, now: Duration, node: NodeId, chain: &[BlockHash], cached: u64) -> u64 {
    let mut ahead = routed.ahead(now, chain, Blocks(cached));
    assert!(ahead.is_sorted());
    ahead.retain(|ahead| ahead.node == node);
    reach(&ahead, Blocks(cached)).0
}

#[expect(clippy::disallowed_methods, reason = "a sum, whatever the order")]
fn counted(routed: &Routed) -> usize {
    routed.pieces.values().flatten().map(|piece| piece.blocks.len()).sum()
}

#[test]
fn what_was_sent_counts_as_cached_for_a_while() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 10);
    routed.note(secs(0), NODE, &prompt, Blocks(0));
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 0), 10);
    assert_eq!(reached(&routed, secs(1), OTHER, &prompt, 3), 3, "the index's word stays");
    let mut alike = prompt.clone();
    alike.truncate(6);
    alike.extend(chain(2, 3));
    assert_eq!(reached(&routed, secs(1), NODE, &alike, 2), 6);
    assert_eq!(reached(&routed, secs(2), NODE, &prompt, 0), 0);
    routed.note(secs(3), NODE, &chain(3, 1), Blocks(0));
    assert_eq!(routed.len(), 1, "what is void is forgotten");
}

#[test]
fn what_the_index_knows_is_not_noted_again() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 10);
    routed.note(secs(0), NODE, &prompt, Blocks(8));
    assert_eq!(routed.len(), 2);
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 8), 10);
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 9), 10, "the index has learned of a part of it since");
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 7), 7, "it has forgotten what came before");
}

#[test]
fn pieces_follow_on_each_other() {
    let mut routed = Routed::new(1_000, TTL);
    let (first, mut second) = (chain(1, 10), chain(1, 6));
    second.extend(chain(2, 5));
    routed.note(secs(0), NODE, &first, Blocks(0));
    routed.note(secs(0), NODE, &second, Blocks(6));
    assert_eq!(reached(&routed, secs(1), NODE, &second, 0), 11);
    assert_eq!(reached(&routed, secs(1), NODE, &first, 0), 10);
    routed.forget(NODE, &second, Blocks(6));
    assert_eq!(reached(&routed, secs(1), NODE, &second, 0), 6, "what the other brings stays");
    routed.forget(NODE, &first, Blocks(0));
    assert!(routed.is_empty());
}

#[test]
fn who_did_not_take_it_will_not_have_it() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 4);
    routed.note(secs(0), NODE, &prompt, Blocks(0));
    routed.note(secs(0), OTHER, &prompt, Blocks(0));
    routed.forget(NODE, &prompt, Blocks(0));
    assert_eq!(routed.ahead(secs(1), &prompt, Blocks(0)), [Ahead { node: OTHER, from: Blocks(0), to: Blocks(4) }]);
}

#[test]
fn what_was_on_its_way_to_a_lost_node_is_lost() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 4);
    routed.note(secs(0), NODE, &prompt, Blocks(0));
    routed.note(secs(0), OTHER, &prompt, Blocks(0));
    routed.leave(NODE);
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 0), 0);
    assert_eq!(reached(&routed, secs(1), OTHER, &prompt, 0), 4);
    assert_eq!(routed.len(), 4);
}

#[test]
fn a_renewed_belief_outlives_the_first() {
    let mut routed = Routed::new(1_000, TTL);
    let prompt = chain(1, 4);
    routed.note(secs(0), NODE, &prompt, Blocks(0));
    routed.note(secs(1), NODE, &prompt, Blocks(0));
    assert_eq!(routed.len(), 4, "it is there once");
    routed.note(secs(2), NODE, &chain(2, 1), Blocks(0));
    assert_eq!(reached(&routed, Duration::from_millis(2_500), NODE, &prompt, 0), 4);
}

#[test]
fn it_is_bounded_and_forgets_depth_first() {
    let mut routed = Routed::new(10, TTL);
    let prompt = chain(1, 8);
    routed.note(secs(0), NODE, &prompt, Blocks(0));
    routed.note(secs(0), OTHER, &chain(2, 5), Blocks(0));
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 0), 5, "the front stays");
    for name in 0..100 {
        routed.note(secs(0), NODE, &chain(name, 700), Blocks(0));
        assert!(routed.len() <= 10 && routed.pieces.len() <= 10);
    }
    let mut routed = Routed::new(10, TTL);
    routed.note(secs(0), NODE, &prompt, Blocks(0));
    routed.note(secs(0), OTHER, &chain(2, 1), Blocks(0));
    routed.note(secs(1), NODE, &prompt, Blocks(0));
    routed.note(secs(1), OTHER, &chain(3, 2), Blocks(0));
    assert_eq!(reached(&routed, secs(1), NODE, &prompt, 0), 8, "it is as new as when it was sent last");
    for _ in 0..100 {
        routed.note(secs(0), NODE, &prompt, Blocks(7));
        routed.forget(NODE, &prompt, Blocks(7));
        assert!(routed.order.len() <= 10, "nor is more remembered of what did not come to be");
    }
}

#[test]
fn nothing_is_foreseen_where_that_is_for_no_time() {
    let mut routed = Routed::new(10, Duration::ZERO);
    routed.note(secs(0), NODE, &chain(1, 8), Blocks(0));
    assert!(routed.is_empty() && routed.ahead(secs(0), &chain(1, 8), Blocks(0)).is_empty());
}

proptest! {
    /// Against blocks that are believed one by one.
    #[test]
    fn it_foresees_what_was_sent(
        steps in proptest::collection::vec((0u64..3, 0usize..4, 0usize..12, 0u64..900, any::<bool>()), 1..40),
    ) {
        let mut routed = Routed::new(1_000, TTL);
        let mut sent: Vec<(Duration, NodeId, Vec<BlockHash>)> = Vec::new();
        let mut now = Duration::ZERO;
        for (node, fork, length, wait, taken) in steps {
            let node = NodeId(node);
            now += Duration::from_millis(wait);
            // Prompts have up to twelve blocks in common, and then no more.
            let own = |block| TokenId(if block < length { 0 } else { 1 + fork as u32 });
            let tokens: Vec<TokenId> = (0..length + 4).map(own).collect();
            let prompt: Vec<BlockHash> = BlockHash::chain([0; 16], &tokens, 1).collect();
            let expected = {
                let believed = |hash: &&BlockHash| {
                    sent.iter().any(|(until, to, blocks)| *to == node && *until > now && blocks.contains(hash))
                };
                prompt.iter().take_while(believed).count()
            };
            let found = reached(&routed, now, node, &prompt, 0) as usize;
            prop_assert_eq!(found, expected);
            let known = Blocks::of(found);
            routed.note(now, node, &prompt, known);
            if taken {
                sent.push((now + TTL, node, prompt[found..].to_vec()));
            } else {
                routed.forget(node, &prompt, known);
            }
            prop_assert_eq!(routed.len(), counted(&routed));
        }
    }
}
