//! Every scenario of the full stack holds, and one seed gives the same journal a second time.

#![expect(clippy::panic, reason = "a test names what did not hold")]

use simulations::stack::{journal, run, scenarios};

/// One seed, twice; more seeds are for `simulations stack --all --seeds N`.
fn holds(name: &str) {
    let scenario = scenarios::find(name).unwrap_or_else(|| panic!("there is no scenario {name}"));
    let once = |seed| run(scenario, seed).unwrap_or_else(|failed| panic!("{failed}"));
    let first = once(1);
    if let Some(difference) = journal::difference(&first.journal, &once(1).journal) {
        panic!("scenario {name}, seed 1, is not the same a second time: {difference}");
    }
}

macro_rules! scenarios {
    ($($test:ident $name:literal)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn every_scenario_is_tested() {
            let names: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

scenarios! {
    node_dies "node-dies"
    coordinator_restarts "coordinator-restarts"
    coordinator_dies "coordinator-dies"
    node_unheard "node-unheard"
    node_deaf "node-deaf"
    connection_breaks "connection-breaks"
    engine_stalls "engine-stalls"
    engine_fails "engine-fails"
    node_slow "node-slow"
    node_flaps "node-flaps"
    rolling_restart "rolling-restart"
    burst "burst"
    clients_vanish "clients-vanish"
    budget_runs_out "budget-runs-out"
    storm "storm"
}
