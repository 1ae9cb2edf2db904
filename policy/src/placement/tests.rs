use super::*;
use crate::restart::Jitter;
use proptest::prelude::*;

fn idle(node: u64) -> Candidate {
    Candidate { node: NodeId(node), prefill: Tokens(0), context: Tokens(0), sent: Tokens(0) }
}

#[test]
fn the_least_loaded_is_asked_first_and_what_was_sent_counts() {
    let busy = Candidate { prefill: Tokens(500), ..idle(1) };
    let sent = Candidate { sent: Tokens(300), ..idle(2) };
    let decoding = Candidate { context: Tokens(1600), ..idle(3) };
    assert_eq!(order(vec![busy, sent, decoding, idle(4)], || 0.5), [4, 3, 2, 1].map(NodeId));
}

#[test]
fn equals_are_asked_first_equally_often() {
    const ROUNDS: usize = 30_000;
    let mut jitter = Jitter::new(3);
    let mut first = [0usize; 3];
    for _ in 0..ROUNDS {
        let chosen = order((0..3).map(idle).collect(), || jitter.draw());
        first[chosen[0].0 as usize] += 1;
    }
    for count in first {
        // Five standard deviations of a fair draw are 408.
        assert!(count.abs_diff(ROUNDS / 3) < 408, "{first:?}");
    }
}

#[test]
fn what_was_sent_is_forgotten_after_two_reports() {
    let mut sent = Sent::default();
    sent.add(Tokens(10));
    sent.on_report();
    sent.add(Tokens(5));
    assert_eq!(sent.tokens(), Tokens(15));
    sent.on_report();
    assert_eq!(sent.tokens(), Tokens(5));
    sent.on_report();
    assert_eq!(sent.tokens(), Tokens(0));
}

proptest! {
    #[test]
    fn everyone_is_there_once_and_costs_never_fall(loads in proptest::collection::vec(0u64..5, 0..20), seed: u64) {
        let mut jitter = Jitter::new(seed);
        let all: Vec<Candidate> = loads.iter().enumerate().map(|(n, load)| Candidate { prefill: Tokens(*load), ..idle(n as u64) }).collect();
        let chosen = order(all, || jitter.draw());
        let costs: Vec<u64> = chosen.iter().map(|node| loads[node.0 as usize]).collect();
        prop_assert!(costs.is_sorted());
        let mut ids: Vec<u64> = chosen.iter().map(|node| node.0).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, (0..loads.len() as u64).collect::<Vec<_>>());
    }
}
