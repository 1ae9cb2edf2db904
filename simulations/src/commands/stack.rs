//! `simulations stack`.

use std::time::Instant;

use clap::Args;
use simulations::stack::{Passed, Scenario, engine, journal, run, scenarios};

use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The scenario, by name
    #[arg(required_unless_present_any = ["all", "list"], conflicts_with_all = ["all", "list"])]
    scenario: Option<String>,
    /// Run all scenarios
    #[arg(long, conflicts_with = "list")]
    all: bool,
    /// Say which scenarios there are
    #[arg(long, conflicts_with_all = ["seed", "seeds", "twice", "journal"])]
    list: bool,
    /// Decides all that is left to chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run so many seeds, from `--seed` on
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Run each twice, and compare what clients saw, and when
    #[arg(long)]
    twice: bool,
    /// Print all that happened
    #[arg(long)]
    journal: bool,
}

/// Runs it.
///
/// # Errors
/// What went wrong: an unknown scenario, in one line; or what did not hold, with the last events.
pub(crate) fn run_command(options: &Options) -> Result<(), Failure> {
    super::input::within("seed", options.seed, 0..=u64::MAX - options.seeds)?;
    if options.list {
        for scenario in scenarios::ALL {
            say!("{}\n    {}\n    holds: {}", scenario.name, scenario.what, scenario.holds)?;
        }
        return Ok(());
    }
    let chosen: Vec<&Scenario> = match &options.scenario {
        None => scenarios::ALL.iter().collect(),
        Some(name) => vec![scenarios::find(name).ok_or_else(|| unknown(name))?],
    };
    expect_panics();
    for scenario in chosen {
        for seed in options.seed..options.seed.saturating_add(options.seeds) {
            one(scenario, seed, options)?;
        }
    }
    Ok(())
}

/// An engine that panics because its scenario wants it says so in the journal; nobody needs to see more of it.
fn expect_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&engine::PANIC) {
            usual(panic);
        }
    }));
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
    format!("there is no scenario '{name}'; there are: {}", names.join(", "))
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is for people, and decides nothing")]
fn one(scenario: &Scenario, seed: u64, options: &Options) -> Result<(), Failure> {
    let begun = Instant::now();
    let outcome = run(scenario, seed);
    let took = begun.elapsed();
    if options.journal {
        let entries = outcome.as_ref().map_or_else(|failed| &failed.journal, |passed| &passed.journal);
        super::print(&entries.iter().map(|entry| format!("{entry}\n")).collect::<String>())?;
    }
    let passed = outcome?;
    let same = if options.twice { same(scenario, seed, &passed)? } else { "" };
    let Passed { requests, took: simulated, .. } = passed;
    say!(
        "{:<24} seed {seed:<6} holds{same}: {requests} requests, {:.1} s simulated in {} ms, journal {:016x}",
        scenario.name,
        simulated.as_secs_f64(),
        took.as_millis(),
        journal::digest(&passed.journal),
    )
}

/// Runs it once more.
fn same(scenario: &Scenario, seed: u64, first: &Passed) -> Result<&'static str, Failure> {
    let second = run(scenario, seed)?;
    match journal::difference(&first.journal, &second.journal) {
        None => Ok(", and is the same again"),
        Some(difference) => {
            Err(format!("scenario {}, seed {seed}, is not the same a second time: {difference}", scenario.name).into())
        }
    }
}
