use super::*;
use crate::results::Outcome;
use crate::trace::Request;
use proptest::prelude::*;

mod faults;

const SECOND: Duration = Duration::from_secs(1);

/// A slow node with room for 40 blocks of 32 tokens.
fn profile() -> Profile {
    let ours = Profile::by_name("troupe-cpu").unwrap();
    Profile {
        prefill: Duration::from_micros(200),
        step: Duration::from_millis(8),
        sequence: Duration::from_micros(100),
        blocks: protocol::units::Blocks(40),
        block: Tokens(32),
        context: Tokens(1_024),
        queue: 16,
        batch: 8,
        ..ours
    }
}

/// Prompts of some 190 tokens, of which 128 are shared within a group.
fn request(number: u64, at: Duration, groups: u64) -> Request {
    let shared = (0..4).map(|block| 1_000_000 + number % groups.max(1) * 10 + block);
    let own = (0..2).map(|block| 10_000_000 + number * 10 + block);
    Request {
        at,
        input: Tokens(6 * 32 - number % 32),
        output: Tokens(1 + number % 20),
        blocks: shared.chain(own).collect(),
        session: number.is_multiple_of(3).then_some(number % 7),
    }
}

fn trace(requests: u64, gap: Duration, groups: u64) -> Trace {
    let at = |number: u64| gap * u32::try_from(number).unwrap();
    let requests = (0..requests).map(|number| request(number, at(number), groups)).collect();
    Trace { name: "test".into(), block: Tokens(32), requests }
}

fn setup(nodes: u32, rule: Rule) -> Setup {
    Setup::new(profile(), nodes, rule)
}

#[test]
fn the_same_seed_gives_the_same_records() {
    let trace = trace(300, Duration::from_millis(30), 9);
    for rule in Rule::ALL {
        let setup = Setup { coordinators: 2, delay: Duration::from_millis(50), ..setup(4, rule) };
        let first = simulate(&setup, &trace).unwrap();
        assert_eq!(first, simulate(&setup, &trace).unwrap(), "{rule:?}");
        if rule == Rule::Random {
            assert_ne!(first, simulate(&Setup { seed: 2, ..setup }, &trace).unwrap());
        }
    }
}

#[test]
fn an_idle_node_answers_in_the_time_of_its_profile() {
    let one = Request { input: Tokens(101), output: Tokens(11), blocks: Vec::new(), ..request(0, SECOND, 1) };
    let trace = Trace { name: "one".into(), block: Tokens(32), requests: vec![one] };
    let profile = Profile { prefill_context: Duration::ZERO, sequence_context: Duration::ZERO, ..profile() };
    let setup = Setup { wire: Duration::ZERO, ..Setup::new(profile, 1, Rule::Prefix) };
    let record = simulate(&setup, &trace).unwrap().records[0];
    let prefill = 101 * Duration::from_micros(200);
    assert_eq!(record.first, Some(prefill));
    assert_eq!(record.took, prefill + 10 * (Duration::from_millis(8) + Duration::from_micros(100)));
}

#[test]
fn shared_prefixes_are_found_where_they_are() {
    // A node has room for the beginnings of five groups at most, and there are sixteen.
    let trace = trace(1_000, Duration::from_millis(25), 16);
    let run = |rule| simulate(&setup(8, rule), &trace).unwrap().summary(SECOND, SECOND);
    let (ours, turns, oracle) = (run(Rule::Prefix), run(Rule::Random), run(Rule::Oracle));
    assert!(ours.hits.0 as f64 >= 1.5 * turns.hits.0 as f64, "{} and {}", ours.hits, turns.hits);
    assert!(ours.hits.0 as f64 >= 0.95 * oracle.hits.0 as f64, "{} and {}", ours.hits, oracle.hits);
    assert!(ours.ttft.mean < turns.ttft.mean, "{} and {}", ours.ttft.mean, turns.ttft.mean);
    // What was believed came true, but for what was pushed out meanwhile.
    assert!(ours.hits.0 as f64 >= 0.9 * ours.predicted.0 as f64, "{} of {}", ours.hits, ours.predicted);
}

#[test]
fn no_node_is_left_out_where_nothing_is_shared() {
    let mut trace = trace(600, Duration::from_millis(10), 1);
    trace.requests.iter_mut().for_each(|request| request.blocks.clear());
    let run = |rule| simulate(&setup(8, rule), &trace).unwrap();
    let ours = run(Rule::Prefix);
    assert!(ours.nodes.iter().all(|node| node.requests > 600 / 8 / 2), "{:?}", ours.nodes);
    let mean = |results: &Results| results.summary(SECOND, SECOND).ttft.mean;
    assert!(mean(&ours) <= 1.03 * mean(&run(Rule::LeastLoad)), "{}", mean(&ours));
    assert!(mean(&ours) < mean(&run(Rule::Random)));
}

#[test]
fn what_nobody_takes_in_time_is_refused_and_what_never_fits_is_told_apart() {
    let mut trace = trace(200, Duration::from_millis(1), 200);
    trace.requests[7].input = Tokens(2_000);
    trace.requests[7].blocks.clear();
    let setup = Setup { patience: SECOND, ..setup(1, Rule::Prefix) };
    let results = simulate(&setup, &trace).unwrap();
    let summary = results.summary(SECOND, SECOND);
    assert!(summary.refused > 50, "{}", summary.refused);
    assert_eq!(summary.too_long, 1);
    assert_eq!(results.records[7].outcome, Outcome::TooLong);
    assert_eq!(summary.done + summary.refused + summary.too_long, 200);
    // At once, if as many wait as will be served in time; else when its patience ends.
    let mut refused = results.records.iter().filter(|record| record.outcome == Outcome::Refused);
    assert!(refused.all(|record| record.took <= SECOND + Duration::from_millis(50)));
}

#[test]
fn requests_of_a_lost_coordinator_end_at_another() {
    let trace = trace(600, Duration::from_millis(20), 9);
    let faults = vec![(4 * SECOND, Fault::Lose(1)), (6 * SECOND, Fault::Restart(1))];
    let setup = Setup { coordinators: 4, faults, ..setup(6, Rule::Prefix) };
    let results = simulate(&setup, &trace).unwrap();
    assert_eq!(results.summary(SECOND, SECOND).done, 600);
    let late = results.records.iter().filter(|record| record.took >= setup.notice).count();
    assert!(late > 0, "somebody was in the middle of an answer");
    let blindness = results.blindness;
    assert!(blindness.blind > 0 && blindness.longest <= SECOND, "{blindness:?}");
}

#[test]
fn who_knows_all_nodes_is_not_blind() {
    let trace = trace(200, Duration::from_millis(20), 9);
    let blindness = simulate(&setup(3, Rule::Prefix), &trace).unwrap().blindness;
    assert_eq!((blindness.blind, blindness.decisions >= 200), (0, true));
}

#[test]
fn what_cannot_be_is_said_in_a_line() {
    let trace = trace(1, SECOND, 1);
    let error = |setup: Setup| simulate(&setup, &trace).unwrap_err().to_string();
    let fine = || setup(2, Rule::Prefix);
    assert_eq!(error(setup(0, Rule::Prefix)), "0 nodes: there must be between 1 and 20000");
    assert!(error(Setup { coordinators: 0, ..fine() }).starts_with("0 coordinators"));
    assert!(error(Setup { report_every: Duration::ZERO, ..fine() }).starts_with("a report every 0ns"));
    assert!(error(Setup { block: Some(Tokens(0)), ..fine() }).starts_with("blocks of 0"));
    let stranger = error(Setup { faults: vec![(SECOND, Fault::Lose(1))], ..fine() });
    assert!(stranger.starts_with("coordinator 1 is to be lost"), "{stranger}");
}

#[test]
fn a_quiet_trace_costs_what_its_work_does() {
    let events = |gap: Duration| {
        let (setup, trace) = (setup(8, Rule::Prefix), trace(20, gap, 9));
        let mut world = world::World::new(&setup, &trace);
        world.drive(&|| true).unwrap();
        world.happened
    };
    // Nodes that do nothing have nothing to report, be it for a second or for a day.
    let (second, day) = (events(SECOND), events(86_400 * SECOND));
    assert!(day <= second + 20, "{second} events at one a second, {day} at one a day");
}

#[test]
fn time_counts_from_the_first_request() {
    let (setup, early) = (setup(2, Rule::LeastLoad), trace(100, Duration::from_millis(20), 9));
    let mut late = early.clone();
    late.requests.iter_mut().for_each(|request| request.at += 1_000 * SECOND);
    let run = |trace: &Trace| simulate(&setup, trace).unwrap();
    let (early, late) = (run(&early), run(&late));
    assert!(late.span < 10 * SECOND && late.cost.0 < early.cost.0 * 2, "{:?} and {:?}", early.span, late.span);
    assert!(early.nodes.iter().all(|node| node.busy <= early.span));
}

#[test]
fn a_run_ends_when_it_is_told_to() {
    let (setup, trace) = (setup(2, Rule::Prefix), trace(600, Duration::from_millis(20), 9));
    let asked = std::cell::Cell::new(0);
    let thrice = || {
        asked.set(asked.get() + 1);
        asked.get() <= 3
    };
    let error = simulate_while(&setup, &trace, &thrice).unwrap_err();
    assert!(matches!(error, SetupError::Stopped { ended, all: 600, .. } if ended < 600), "{error}");
    assert_eq!(asked.get(), 4, "it does not go on");
    assert_eq!(simulate_while(&setup, &trace, &|| true).unwrap(), simulate(&setup, &trace).unwrap());
}

#[test]
fn the_queue_and_the_breaker_are_as_they_are_set() {
    let trace = trace(60, Duration::from_millis(1), 60);
    let refused = |requests| {
        let base = setup(1, Rule::Prefix);
        let setup = Setup { queue: Queue { requests, ..base.queue.clone() }, patience: 60 * SECOND, ..base };
        simulate(&setup, &trace).unwrap().summary(SECOND, SECOND).refused
    };
    assert!(refused(1) > refused(1024), "{} and {}", refused(1), refused(1024));
}

fn rules() -> impl Strategy<Value = Rule> {
    prop::sample::select(Rule::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_request_ends_once_and_no_token_is_lost(
        rule in rules(),
        nodes in 1u32..5,
        coordinators in 1u32..4,
        gap in 1u64..40,
        groups in 1u64..30,
        delay in 0u64..300,
        faults in prop::collection::vec((0u64..6_000, 0u32..4, any::<bool>()), 0..6),
        notice in 0u64..3_000,
        wire in 0u64..200,
        seed in any::<u64>(),
    ) {
        let trace = trace(150, Duration::from_millis(gap), groups);
        let fault = |(at, which, back): (u64, u32, bool)| {
            let which = which % coordinators;
            (Duration::from_millis(at), if back { Fault::Restart(which) } else { Fault::Lose(which) })
        };
        let faults = faults.into_iter().map(fault).collect();
        let (delay, notice, wire) = (Duration::from_millis(delay), Duration::from_millis(notice), Duration::from_millis(wire));
        let setup = Setup { coordinators, delay, faults, notice, wire, patience: 2 * SECOND, seed, ..setup(nodes, rule) };
        // A request that ends twice, or never, is an error of the run.
        let mut world = world::World::new(&setup, &trace);
        world.drive(&|| true).unwrap();
        prop_assert!(world.is_idle(), "what is due to nodes is nothing in the end: {world:?}");
        let results = simulate(&setup, &trace).unwrap();
        let summary = results.summary(SECOND, 10 * SECOND);
        prop_assert_eq!(summary.done + summary.refused + summary.too_long, 150);
        for record in results.records.iter().filter(|record| record.outcome == Outcome::Done) {
            prop_assert!(record.first.is_some_and(|first| first <= record.took), "{:?}", record);
            prop_assert!(record.cached < record.input, "the last token is computed always: {:?}", record);
            prop_assert!(record.node.is_some_and(|node| node < nodes), "{:?}", record);
        }
        prop_assert!(results.nodes.iter().all(|node| node.busy <= results.span + 10 * SECOND));
        let answered: u64 = results.nodes.iter().map(|node| node.requests).sum();
        prop_assert!(answered >= summary.done);
    }
}
