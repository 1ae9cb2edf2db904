//! Some seeds of chaos, and that a seed is all that counts.

use simulations::chaos::runs::run_all;
use simulations::chaos::{Options, Plan, run};

#[test]
fn the_same_seed_gives_the_same_history_byte_for_byte() {
    for seed in [1, 9, 34] {
        let once = run(&Plan::of(seed), Options { keep: true, ..Options::default() });
        let twice = run(&Plan::of(seed), Options { keep: true, ..Options::default() });
        assert!(once.history.len() > 1_000);
        assert_eq!(once, twice);
        assert_ne!(once.hash, run(&Plan::of(seed + 1000), Options::default()).hash);
    }
    let (one, two) = (run_all(0, 12, Options::default(), 1), run_all(0, 12, Options::default(), 3));
    assert_eq!(one, two, "it does not depend on the number of threads");
}

#[test]
fn two_hundred_seeds_keep_what_is_promised() {
    let summary = run_all(0, 200, Options::default(), 2);
    let breaches: Vec<String> = summary
        .broken
        .values()
        .filter_map(|outcome| Some(format!("seed {}: {}", outcome.seed, outcome.breach.as_ref()?)))
        .collect();
    assert!(breaches.is_empty(), "{breaches:#?}");
    // What is not there cannot break anything.
    assert!(summary.tally.faults.len() == simulations::chaos::plan::Kind::NAMES.len(), "{:?}", summary.tally.faults);
    let tally = &summary.tally;
    assert!(tally.migrations > 100 && tally.resyncs > 100 && tally.opened > 30 && tally.unwritten > 50, "{tally:?}");
}

#[test]
fn regression_seeds_that_broke_once() {
    for seed in [1982, 3543, 4849, 7861, 8136] {
        let outcome = run(&Plan::of(seed), Options::default());
        assert_eq!(outcome.breach, None, "seed {seed}");
    }
}
