//! Nodes that say what cannot be: nobody is the better for it, and nothing breaks.

use super::*;

/// How often the liar is asked first, of 300 times, beside two honest nodes that are idle.
fn asked(liar: Candidate) -> usize {
    let mut jitter = Jitter::new(9);
    let candidates = [node(1), node(2), Candidate { node: NodeId(3), ..liar }];
    (0..300)
        .filter(|_| {
            let decision = choose(&prompt(500), &candidates, &settings(Policy::Prefix), 0, &mut || jitter.draw());
            decision.expect("somebody").choices[0].place == 2
        })
        .count()
}

#[test]
fn rates_that_cannot_be_gain_nothing() {
    let with = |rates| Candidate { rates, ..node(3) };
    // A share of a third, give or take: 100 of 300, with five standard deviations.
    let fair = 60..=140;
    assert!(fair.contains(&asked(node(3))));
    assert!(fair.contains(&asked(with(Rates::default()))), "who has measured nothing gets a fair share");
    assert!(fair.contains(&asked(with(Rates { prefill: u32::MAX, ..RATES }))));
    assert!(fair.contains(&asked(with(Rates { step: Duration::MAX, ..RATES }))));
    assert!(fair.contains(&asked(with(Rates { sequence: Duration::MAX, ..RATES }))));
    assert!(fair.contains(&asked(with(Rates { step: Duration::from_nanos(1), sequence: Duration::ZERO, ..RATES }))));
}

#[test]
fn beside_slow_and_fast_nodes_a_liar_counts_as_slow_and_a_newcomer_as_fast() {
    let slow = Candidate { rates: Rates { prefill: 100, ..RATES }, ..node(1) };
    let liar = Candidate { rates: Rates { prefill: u32::MAX, ..RATES }, ..node(3) };
    let newcomer = Candidate { rates: Rates::default(), ..node(4) };
    let standings = [slow, node(2), liar, newcomer].map(|candidate| Standing::of(&candidate));
    let yardstick = Yardstick::new(&prompt(1_000), &Claims::of(standings.iter()), &settings(Policy::Prefix));
    let prefill = standings.map(|standing| yardstick.price(&standing, Tokens::ZERO).prefill);
    assert_eq!(prefill, [10_000_000, 1_000_000, 10_000_000, 1_000_000]);
}

#[test]
fn loads_beyond_the_card_are_those_of_a_full_node() {
    let load = Load {
        running: u32::MAX,
        waiting: u32::MAX,
        prefill: Tokens(u64::MAX),
        context: Tokens(u64::MAX),
        blocks_used: Blocks(u64::MAX),
        ..Load::default()
    };
    assert_eq!(asked(Candidate { load, ..node(3) }), 0);
    // More blocks than it has are not there.
    let used = Load { blocks_used: Blocks(10_000), blocks_total: Blocks(u64::MAX), ..Load::default() };
    assert_eq!(asked(Candidate { load: used, ..node(3) }), 0);
}

#[test]
fn a_node_that_hides_its_load_holds_what_was_sent_to_it() {
    let sent = Sent { known_jobs: 20, ..Sent::default() };
    assert_eq!(asked(Candidate { sent, ..node(3) }), 0);
}

fn anything() -> impl Strategy<Value = Candidate> {
    let tokens = prop_oneof![0u64..10_000, Just(u64::MAX)];
    let jobs = prop_oneof![0u32..300, Just(u32::MAX)];
    let span = prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        (0u64..100).prop_map(Duration::from_millis),
        Just(Duration::MAX)
    ];
    let rates = (prop_oneof![0u32..10_000, Just(u32::MAX)], span.clone(), span.clone())
        .prop_map(|(prefill, step, sequence)| Rates { prefill, step, sequence });
    let load = (jobs.clone(), jobs.clone(), tokens.clone(), tokens.clone(), tokens.clone()).prop_map(
        |(running, waiting, prefill, context, used)| Load {
            running,
            waiting,
            prefill: Tokens(prefill),
            context: Tokens(context),
            blocks_used: Blocks(used),
            ..Load::default()
        },
    );
    let sent = (tokens.clone(), jobs.clone(), tokens.clone()).prop_map(|(fresh, fresh_jobs, done)| Sent {
        fresh: Tokens(fresh),
        fresh_jobs,
        done: Tokens(done),
        ..Sent::default()
    });
    let cached = proptest::option::of(tokens.clone().prop_map(Tokens));
    (cached.clone(), cached, load, rates, sent, span, jobs, tokens, any::<bool>()).prop_map(
        |(cached, session, load, rates, sent, oldest, jobs, blocks, open)| Candidate {
            node: NodeId(0),
            cached,
            session,
            load,
            oldest,
            rates,
            sent,
            jobs,
            blocks: Blocks(blocks),
            open,
        },
    )
}

proptest! {
    #[test]
    fn nothing_breaks(
        candidates in proptest::collection::vec(anything(), 0..6),
        tokens in prop_oneof![0u64..5_000, Just(u64::MAX)],
        answer in prop_oneof![0u64..5_000, Just(u64::MAX)],
        block in 0u64..64,
        policy in prop::sample::select(&Policy::ALL[..]),
        few in 0usize..5,
        seed: u64,
    ) {
        let mut jitter = Jitter::new(seed);
        let prompt = Prompt { tokens: Tokens(tokens), answer: Tokens(answer), block: Tokens(block) };
        let settings = Settings { candidates: few, ..settings(policy) };
        let open = candidates.iter().filter(|candidate| !candidate.open).count();
        let decision = choose(&prompt, &candidates, &settings, seed, &mut || jitter.draw());
        let named = decision.map_or(0, |decision| decision.choices.len());
        prop_assert_eq!(named, open.min(few.max(1)));
    }
}
