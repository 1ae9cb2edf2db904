use actors::mock::Timing;

use super::*;
use crate::work::{Demand, arrivals};

fn setup(placement: Policy) -> Setup {
    let timing = Timing {
        prefill_per_token: Duration::from_micros(200),
        decode_per_step: Duration::from_millis(8),
        decode_per_sequence: Duration::from_micros(100),
        ..Timing::ZERO
    };
    let engine = MockOptions { timing, queue: 64, ..MockOptions::default() };
    Setup { nodes: 8, engine, report_every: Duration::from_millis(200), placement, seed: 11 }
}

fn demand() -> Demand {
    Demand { jobs: 600, gap: Duration::from_millis(40), prompt: 1500, groups: 0, shared: 0, answer: 40 }
}

fn run(placement: Policy) -> Results {
    let setup = setup(placement);
    simulate(&setup, &arrivals(&demand(), "mock", 256, setup.seed)).unwrap()
}

#[test]
fn every_job_ends_and_the_same_seed_gives_the_same_result() {
    let first = run(Policy::Prefix);
    assert_eq!((first.finished, first.refused), (600, 0));
    assert_eq!(first.first_token.len(), 600);
    assert_eq!(first, run(Policy::Prefix));
    let other = Setup { seed: 12, ..setup(Policy::Prefix) };
    assert_ne!(first, simulate(&other, &arrivals(&demand(), "mock", 256, 12)).unwrap());
}

#[test]
fn placement_by_cost_beats_chance_and_leaves_no_node_out() {
    let (load, chance) = (run(Policy::Prefix), run(Policy::Random));
    assert!(
        load.percentile(0.9) < chance.percentile(0.9),
        "{:?} and {:?}",
        load.percentile(0.9),
        chance.percentile(0.9)
    );
    assert!(load.per_node.iter().all(|jobs| *jobs > 600 / 8 / 2), "{:?}", load.per_node);
}

#[test]
fn what_nobody_takes_is_counted() {
    let mut small = setup(Policy::Prefix);
    small.nodes = 1;
    small.engine.queue = 2;
    let results = simulate(&small, &arrivals(&demand(), "mock", 256, 1)).unwrap();
    assert!(results.refused > 0);
    assert_eq!(results.finished + results.refused, 600);
}

#[test]
fn shared_prefixes_are_found_where_they_are() {
    let demand =
        Demand { gap: Duration::from_millis(60), prompt: 200, groups: 150, shared: 1_000, jobs: 2_000, ..demand() };
    let run = |placement| {
        let setup = setup(placement);
        simulate(&setup, &arrivals(&demand, "mock", 256, setup.seed)).unwrap()
    };
    let (prefix, turns) = (run(Policy::Prefix), run(Policy::RoundRobin));
    assert!(prefix.hits as f64 >= 1.9 * turns.hits as f64, "{} and {}", prefix.hits, turns.hits);
    let mean = |results: &Results| results.first_token.iter().sum::<Duration>() / 2_000;
    assert!(mean(&prefix) < mean(&turns), "{:?} and {:?}", mean(&prefix), mean(&turns));
    // What was believed came true, but for what was pushed out meanwhile.
    assert!(prefix.hits as f64 >= 0.95 * prefix.predicted as f64, "{} of {}", prefix.hits, prefix.predicted);
}

#[test]
fn without_shared_prefixes_it_is_as_good_as_least_load() {
    let decoding = Demand { gap: Duration::from_millis(60), prompt: 100, answer: 400, ..demand() };
    for demand in [demand(), decoding] {
        let mean = |placement, seed| {
            let setup = Setup { seed, ..setup(placement) };
            let results = simulate(&setup, &arrivals(&demand, "mock", 256, seed)).unwrap();
            results.first_token.iter().sum::<Duration>().as_secs_f64()
        };
        let all = |placement| (1..=3).map(|seed| mean(placement, seed)).sum::<f64>();
        let (prefix, least) = (all(Policy::Prefix), all(Policy::LeastLoad));
        assert!(prefix <= 1.03 * least, "{demand:?}: {prefix} s and {least} s");
    }
}
