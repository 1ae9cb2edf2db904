//! Every scenario of the full stack holds, and is the same a second time.

#![expect(clippy::panic, reason = "a test names what did not hold")]

use simulations::stack::{Passed, run, scenarios};

fn passes(name: &str, seed: u64) -> Passed {
    let scenario = scenarios::find(name).unwrap_or_else(|| panic!("there is no scenario {name}"));
    run(scenario, seed).unwrap_or_else(|failed| panic!("{failed}"))
}

#[test]
fn node_dies() {
    passes("node-dies", 1);
}
