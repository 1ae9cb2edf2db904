//! The rules to compare with.

use super::*;

fn chosen(policy: Policy, candidates: &[Candidate], turn: u64) -> Vec<u64> {
    let mut jitter = Jitter::new(turn);
    order(&choose(&prompt(100), candidates, &settings(policy), turn, &mut || jitter.draw()).expect("somebody"))
}

#[test]
fn round_robin_takes_turns_whatever_anybody_carries() {
    let candidates = [busy(holding(1, 90), 500), node(2), Candidate { open: true, ..node(3) }, node(4)];
    let rounds: Vec<Vec<u64>> = (0..4).map(|turn| chosen(Policy::RoundRobin, &candidates, turn)).collect();
    assert_eq!(rounds, [[1, 2, 4], [2, 4, 1], [4, 1, 2], [1, 2, 4]]);
}

#[test]
fn chance_alone_is_even() {
    let candidates = [busy(holding(1, 90), 500), node(2), node(3)];
    let mut first = [0; 3];
    for turn in 0..3_000 {
        first[chosen(Policy::Random, &candidates, turn)[0] as usize - 1] += 1u32;
    }
    // Five standard deviations of a fair draw are 129.
    assert!(first.iter().all(|count| count.abs_diff(1_000) < 130), "{first:?}");
}

#[test]
fn the_least_load_is_counted_in_tokens_and_caches_do_not_matter() {
    let decoding = Candidate { load: Load { context: Tokens(1_600), ..node(1).load }, ..node(3) };
    let sent = Candidate { sent: Sent { fresh: Tokens(300), fresh_jobs: 1, ..Sent::default() }, ..node(2) };
    let candidates = [busy(holding(1, 99), 500), sent, decoding, node(4)];
    assert_eq!(chosen(Policy::LeastLoad, &candidates, 0), [4, 3, 2]);
}
