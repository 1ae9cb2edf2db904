use super::*;
use crate::restart::Jitter;
use proptest::prelude::*;

mod lies;
mod passed_over;
mod plain;
mod sharing;
mod spread;
mod sticky;

const MILLI: Duration = Duration::from_millis(1);

/// A thousand prompt tokens a second: a token is a millisecond.
const RATES: Rates = Rates { prefill: 1_000, step: Duration::from_millis(10), sequence: Duration::from_micros(100) };

fn settings(policy: Policy) -> Settings {
    Settings { policy, ..Settings::from(&protocol::config::Placement::default()) }
}

fn prompt(tokens: u64) -> Prompt {
    Prompt { tokens: Tokens(tokens), answer: Tokens(100), block: Tokens(32) }
}

/// An idle node with an empty cache.
fn node(id: u64) -> Candidate {
    Candidate {
        node: NodeId(id),
        cached: Some(Tokens(0)),
        session: None,
        load: Load { blocks_total: Blocks(10_000), ..Load::default() },
        oldest: Duration::ZERO,
        rates: RATES,
        sent: Sent::default(),
        jobs: 256,
        blocks: Blocks(10_000),
        open: false,
    }
}

fn holding(id: u64, cached: u64) -> Candidate {
    Candidate { cached: Some(Tokens(cached)), ..node(id) }
}

/// With so much prefill due.
fn busy(candidate: Candidate, prefill: u64) -> Candidate {
    Candidate { load: Load { prefill: Tokens(prefill), ..candidate.load }, ..candidate }
}

fn decide(prompt: &Prompt, candidates: &[Candidate]) -> Decision {
    let mut jitter = Jitter::new(1);
    choose(prompt, candidates, &settings(Policy::Prefix), 0, &mut || jitter.draw()).expect("somebody may be asked")
}

fn order(decision: &Decision) -> Vec<u64> {
    decision.choices.iter().map(|choice| choice.node.0).collect()
}

#[test]
fn a_price_has_its_parts() {
    let candidate = Candidate {
        cached: Some(Tokens(300)),
        load: Load { prefill: Tokens(50), running: 3, waiting: 1, ..node(1).load },
        sent: Sent { fresh: Tokens(20), fresh_jobs: 1, ..Sent::default() },
        ..node(1)
    };
    let standing = Standing::of(&candidate);
    let yardstick = Yardstick::new(&prompt(1_000), &Claims::of([&standing].into_iter()), &settings(Policy::Prefix));
    let price = yardstick.price(&standing, yardstick.believed(candidate.cached));
    assert_eq!(price.prefill, 700_000);
    assert_eq!(price.queue, 70_000);
    // 100 tokens, each in 10 ms for the step, and 0.1 ms for itself and each of five others.
    assert_eq!(price.decode, 100 * (10_000 + 100 * (1 + 5)));
    assert!(price.room);
}

#[test]
fn the_last_token_of_a_prompt_is_computed_always() {
    let decision = decide(&prompt(64), &[holding(1, 64)]);
    assert_eq!(decision.choices[0].cached, Tokens(63));
    assert_eq!(decision.choices[0].price.prefill, 1_000);
    assert_eq!(decision.reason, Reason::Only);
}

#[test]
fn nobody_is_nobody() {
    let open = Candidate { open: true, ..node(1) };
    let mut random = || 0.5;
    assert_eq!(choose(&prompt(10), &[], &settings(Policy::Prefix), 0, &mut random), None);
    assert_eq!(choose(&prompt(10), &[open, open], &settings(Policy::Prefix), 0, &mut random), None);
    assert_eq!(order(&decide(&prompt(10), &[open, node(2)])), [2], "an open breaker is not asked");
}

#[test]
fn the_runners_up_follow_in_order_and_are_three_at_most() {
    let candidates = [busy(node(1), 400), busy(node(2), 100), busy(node(3), 300), busy(node(4), 200), node(5)];
    assert_eq!(order(&decide(&prompt(10), &candidates)), [5, 2, 4]);
}

proptest! {
    #[test]
    fn the_few_are_the_best_of_all(loads in proptest::collection::vec(0u64..6, 1..20), seed: u64) {
        let candidates: Vec<Candidate> =
            (0..).zip(&loads).map(|(id, load)| busy(node(id), load * 10)).collect();
        let mut jitter = Jitter::new(seed);
        let decision = choose(&prompt(100), &candidates, &settings(Policy::Prefix), 0, &mut || jitter.draw()).unwrap();
        let mut best = loads.clone();
        best.sort_unstable();
        best.truncate(3);
        let chosen: Vec<u64> = decision.choices.iter().map(|choice| loads[choice.place]).collect();
        prop_assert_eq!(chosen, best);
        let mut nodes = order(&decision);
        nodes.sort_unstable();
        nodes.dedup();
        prop_assert_eq!(nodes.len(), decision.choices.len(), "each is named once");
    }
}

proptest::proptest! {
    /// Who is passed over unpriced could not have been among the best.
    #[test]
    fn nobody_is_excluded_who_costs_no_more(
        tokens in 1u64..200_000, prefill in 0u64..1_000_000, fresh in 0u64..100_000, running in 0u32..300,
        cached in 0u64..200_000, rate in 0u32..2_000_000, other in 1u32..100_000, step in 0u64..200_000, sequence in 0u64..5_000, answer in 0u64..5_000,
    ) {
        let micros = Duration::from_micros;
        let candidate = Candidate {
            load: Load { prefill: Tokens(prefill), running, ..node(1).load },
            sent: Sent { fresh: Tokens(fresh), fresh_jobs: 1, ..Sent::default() },
            rates: Rates { prefill: rate, step: micros(step), sequence: micros(sequence) },
            ..node(1)
        };
        let peer = Candidate { rates: Rates { prefill: other, ..node(2).rates }, ..node(2) };
        let prompt = Prompt { answer: Tokens(answer), ..prompt(tokens) };
        let standings = [candidate, peer].map(|candidate| Standing::of(&candidate));
        let yardstick = Yardstick::new(&prompt, &Claims::of(standings.iter()), &settings(Policy::Prefix));
        let (standing, cached) = (&standings[0], yardstick.believed(Some(Tokens(cached))));
        let cost = yardstick.price(standing, cached).total();
        let before = yardstick.before(standing.due, cached);
        proptest::prop_assert!(!yardstick.bar(cost).excludes(before, standing.jobs), "{standing:?} costs {cost}");
    }
}
