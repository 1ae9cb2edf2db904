//! The shortest history that still shows a breach: faults and work are left out as long as it does.

use policy::invariants::Invariant;

use super::plan::{Only, Plan};
use super::world::{Options, run};

/// Runs at most.
const RUNS: usize = 400;

/// A smaller part of a plan with a breach of the same property, and how many runs it took.
pub fn shrink(plan: &Plan, options: Options, invariant: Invariant) -> (Only, usize) {
    let all = plan.all();
    let faults = all.faults.iter().map(|number| (true, *number));
    let mut left: Vec<(bool, u32)> = faults.chain(all.work.iter().map(|number| (false, *number))).collect();
    let options = Options { keep: false, ..options };
    let breaks = |some: &[(bool, u32)]| {
        let outcome = run(&plan.only(&part(some)), options);
        outcome.breach.is_some_and(|breach| breach.invariant == invariant)
    };
    let (mut runs, mut size) = (0, left.len().div_ceil(2).max(1));
    loop {
        let (mut from, mut fewer) = (0, false);
        while from < left.len() && runs < RUNS {
            let mut without = left.clone();
            without.drain(from..(from + size).min(left.len()));
            runs += 1;
            if breaks(&without) {
                (left, fewer) = (without, true);
            } else {
                from += size;
            }
        }
        if runs >= RUNS || size == 1 && !fewer {
            return (part(&left), runs);
        }
        size = (size / 2).max(1);
    }
}

fn part(some: &[(bool, u32)]) -> Only {
    let of = |kind| some.iter().filter(move |(fault, _)| *fault == kind).map(|(_, number)| *number).collect();
    Only { faults: of(true), work: of(false) }
}
