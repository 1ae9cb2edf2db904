use actors::mock::Timing;

use super::*;
use crate::work::{Demand, arrivals};

fn setup(placement: Placement) -> Setup {
    let timing = Timing {
        prefill_per_token: Duration::from_micros(200),
        decode_per_step: Duration::from_millis(8),
        decode_per_sequence: Duration::from_micros(100),
    };
    let engine = MockOptions { timing, queue: 64, ..MockOptions::default() };
    Setup { nodes: 8, engine, report_every: Duration::from_millis(200), placement, seed: 11 }
}

fn demand() -> Demand {
    Demand { jobs: 600, gap: Duration::from_millis(40), prompt: 1500, answer: 40 }
}

fn run(placement: Placement) -> Results {
    let setup = setup(placement);
    simulate(&setup, &arrivals(&demand(), "mock", 256, setup.seed)).unwrap()
}

#[test]
fn every_job_ends_and_the_same_seed_gives_the_same_result() {
    let first = run(Placement::Load);
    assert_eq!((first.finished, first.refused), (600, 0));
    assert_eq!(first.first_token.len(), 600);
    assert_eq!(first, run(Placement::Load));
    let other = Setup { seed: 12, ..setup(Placement::Load) };
    assert_ne!(first, simulate(&other, &arrivals(&demand(), "mock", 256, 12)).unwrap());
}

#[test]
fn placement_by_load_beats_chance_and_leaves_no_node_out() {
    let (load, chance) = (run(Placement::Load), run(Placement::Random));
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
    let mut small = setup(Placement::Load);
    small.nodes = 1;
    small.engine.queue = 2;
    let results = simulate(&small, &arrivals(&demand(), "mock", 256, 1)).unwrap();
    assert!(results.refused > 0);
    assert_eq!(results.finished + results.refused, 600);
}
