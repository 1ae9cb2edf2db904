//! Many seeds on all cores: each world is alone, so the results do not depend on how many threads there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::client;
use super::plan::Plan;
use super::report::{Outcome, Tally};
use super::world::{Options, run};

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many.
    pub seeds: u64,
    /// All figures.
    pub tally: Tally,
    /// How requests ended.
    pub ends: BTreeMap<client::Outcome, u64>,
    /// Virtual time in all.
    pub took: Duration,
    /// The longest that one took to become well again, and its seed.
    pub slowest: (Duration, u64),
    /// Of all histories.
    pub hash: u64,
    /// What broke, by seed.
    pub broken: BTreeMap<u64, Outcome>,
}

/// Runs seeds on so many threads.
pub fn run_all(from: u64, seeds: u64, options: Options, threads: usize) -> Summary {
    let next = AtomicU64::new(0);
    let mut outcomes = BTreeMap::new();
    std::thread::scope(|scope| {
        let (said, heard) = sync_channel::<Outcome>(64);
        for _ in 0..threads.max(1) {
            let (said, next) = (said.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds || said.send(run(&Plan::of(from.wrapping_add(number)), options)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(said);
        outcomes.extend(heard.iter().map(|outcome| (outcome.seed, outcome)));
    });
    let mut summary = Summary { seeds, ..Summary::default() };
    for outcome in outcomes.into_values() {
        summary.add(outcome);
    }
    summary
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.tally.add(&outcome.tally);
        for (end, count) in &outcome.ends {
            *self.ends.entry(*end).or_default() += count;
        }
        self.took += outcome.took;
        self.slowest = self.slowest.max((outcome.healed, outcome.seed));
        self.hash = (self.hash ^ outcome.hash).wrapping_mul(0x0100_0000_01b3);
        if outcome.breach.is_some() {
            self.broken.insert(outcome.seed, outcome);
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let of = |counts: Vec<(&str, u64)>| -> String {
            let all: Vec<String> = counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
            all.join(", ")
        };
        let ends = self.ends.iter().map(|(end, count)| (end.as_str(), *count)).collect();
        let faults = self.tally.faults.iter().map(|(kind, count)| (*kind, *count)).collect();
        let mut lines = vec![
            format!(
                "{} seeds, {} events, {:.0} s of virtual time; well again after {:.1} s at most (seed {})",
                self.seeds,
                self.tally.events,
                self.took.as_secs_f64(),
                self.slowest.0.as_secs_f64(),
                self.slowest.1
            ),
            format!("requests: {}", of(ends)),
            format!("faults: {}", of(faults)),
        ];
        lines.extend(self.tally.lines());
        lines.push(format!("history {:016x}", self.hash));
        lines
    }
}
