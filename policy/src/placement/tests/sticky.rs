//! When a request stays where its prefix is, and when it leaves.

use super::*;

#[test]
fn the_prefix_is_left_only_when_waiting_there_costs_more_than_computing_it_again() {
    // 800 of 1,000 tokens are cached on node 1: it saves 800 ms, and 50 ms more are let pass.
    for (queue, chosen) in [(0, 1), (700, 1), (800, 1), (850, 1), (851, 2), (2_000, 2)] {
        let decision = decide(&prompt(1_000), &[busy(holding(1, 800), queue), node(2)]);
        assert_eq!(order(&decision)[0], chosen, "with {queue} ms to wait");
        let reason = if chosen == 1 { Reason::Prefix } else { Reason::Load };
        assert_eq!(decision.reason, reason);
        assert_eq!(decision.choices.len(), 2, "the other is the runner-up");
    }
}

#[test]
fn a_short_prefix_holds_no_longer_than_it_is_worth() {
    // 20 tokens save 20 ms; as much again is let pass, not 50 ms.
    for (queue, chosen) in [(0, 1), (40, 1), (41, 2)] {
        assert_eq!(order(&decide(&prompt(100), &[busy(holding(1, 20), queue), node(2)]))[0], chosen, "{queue} ms");
    }
}

#[test]
fn of_two_that_hold_the_same_the_one_that_is_sooner_is_asked() {
    let candidates = [busy(holding(1, 500), 30), holding(2, 500), node(3)];
    let decision = decide(&prompt(600), &candidates);
    assert_eq!((order(&decision)[0], decision.reason), (2, Reason::Prefix));
}

#[test]
fn a_conversation_does_not_wander_with_the_noise() {
    let mut jitter = Jitter::new(5);
    let (mut at, mut moves, mut lengths) = (None, 0, [0u64; 8]);
    for turn in 1..200u64 {
        let length = turn * 50;
        let candidates: Vec<Candidate> =
            (0..8).map(|id| busy(holding(id, lengths[id as usize]), (jitter.draw() * 45.0) as u64)).collect();
        let chosen = decide(&prompt(length), &candidates).choices[0].place;
        moves += u32::from(at.replace(chosen).is_some_and(|before| before != chosen));
        lengths[chosen] = length;
    }
    assert_eq!(moves, 0);
}

#[test]
fn where_all_are_saturated_the_request_waits_at_its_prefix_for_a_while() {
    // The prefix saves 800 ms; to wait for it costs seconds more than elsewhere.
    for (queue, chosen, reason) in [(3_000, 1, Reason::Pinned), (7_000, 1, Reason::Pinned), (7_900, 2, Reason::Load)] {
        let decision = decide(&prompt(1_000), &[busy(holding(1, 800), queue), busy(node(2), 2_000)]);
        assert_eq!((order(&decision)[0], decision.reason), (chosen, reason), "{queue} ms");
    }
    // One that is not saturated is enough to leave.
    let decision = decide(&prompt(1_000), &[busy(holding(1, 800), 3_000), busy(node(2), 900)]);
    assert_eq!((order(&decision)[0], decision.reason), (2, Reason::Load));
}

#[test]
fn jobs_that_have_waited_long_are_a_sign_of_saturation_too() {
    let old = |candidate| Candidate { oldest: 1_500 * MILLI, ..candidate };
    let candidates = [busy(holding(1, 100), 900), node(2)];
    assert_eq!(order(&decide(&prompt(200), &candidates))[0], 2);
    let decision = decide(&prompt(200), &candidates.map(old));
    assert_eq!((order(&decision)[0], decision.reason), (1, Reason::Pinned));
}

#[test]
fn a_node_without_room_ranks_behind() {
    let full = |candidate: Candidate| {
        let load = Load { blocks_used: Blocks(9_990), ..candidate.load };
        Candidate { load, ..candidate }
    };
    // 1,000 tokens and an answer need 35 blocks, of which 25 are cached; 10 are free.
    assert_eq!(order(&decide(&prompt(1_000), &[full(holding(1, 800)), node(2)])), [1, 2]);
    assert_eq!(order(&decide(&prompt(1_000), &[full(holding(1, 700)), node(2)])), [2, 1]);
    // What was sent since needs blocks as well.
    let sent = Sent { fresh: Tokens(33), fresh_jobs: 1, ..Sent::default() };
    let candidates = [Candidate { sent, ..full(holding(1, 800)) }, node(2)];
    assert_eq!(order(&decide(&prompt(1_000), &candidates)), [2, 1]);
    // Without room anywhere, the prefix is the place to wait.
    let decision = decide(&prompt(1_000), &[full(holding(1, 700)), full(node(2))]);
    assert_eq!((order(&decision), decision.reason), (vec![1, 2], Reason::Prefix));
    // Nor is there room where the card allows no more jobs.
    let crowded = Candidate { load: Load { running: 200, waiting: 56, ..node(1).load }, ..holding(1, 900) };
    assert_eq!(order(&decide(&prompt(1_000), &[crowded, node(2)])), [2, 1]);
}

#[test]
fn a_session_goes_where_it_was_while_the_index_knows_no_better() {
    let blind = |id| Candidate { cached: None, ..node(id) };
    let last = Candidate { session: Some(Tokens(400)), ..blind(2) };
    let decision = decide(&prompt(500), &[blind(1), busy(last, 300), blind(3)]);
    assert_eq!((order(&decision)[0], decision.reason), (2, Reason::Session));
    assert_eq!(decision.choices[0].cached, Tokens(400));
    // It is worth as much as its prefix, not more.
    assert_eq!(order(&decide(&prompt(500), &[blind(1), busy(last, 600)]))[0], 1);
    // An index that knows the node knows better.
    let known = Candidate { cached: Some(Tokens(0)), ..last };
    let decision = decide(&prompt(500), &[node(1), busy(known, 300)]);
    assert_eq!((order(&decision)[0], decision.reason), (1, Reason::Load));
}
