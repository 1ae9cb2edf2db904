//! `simulations chaos`.

use std::fmt::Display;

use clap::Args;
use policy::planted::Planted;
use simulations::chaos::runs::run_all;
use simulations::chaos::shrink::shrink;
use simulations::chaos::{Only, Options as How, Outcome, Plan, run as run_plan};

use super::input::within;
use super::print;
use crate::Failure;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100, conflicts_with = "seed", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    from: u64,
    /// One seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// A part of that seed's faults and requests, as f0,f3,w7
    #[arg(long, requires = "seed")]
    only: Option<String>,
    /// Print the history of that seed
    #[arg(long, requires = "seed")]
    verbose: bool,
    /// Worlds at once; as many as there are cores if left out
    #[arg(long, conflicts_with = "seed", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Plant a mistake, to see that it is found: lax-breaker, leaked-reservation or ignored-gap
    #[cfg(feature = "planted")]
    #[arg(long, value_parser = bug)]
    planted: Option<policy::planted::Bug>,
}

#[cfg(feature = "planted")]
fn bug(text: &str) -> Result<policy::planted::Bug, String> {
    let all = policy::planted::Bug::ALL;
    let found = all.into_iter().find(|bug| bug.as_str() == text);
    found.ok_or_else(|| format!("there are {}", all.map(policy::planted::Bug::as_str).join(", ")))
}

impl Options {
    #[cfg(feature = "planted")]
    fn planted(&self) -> Planted {
        self.planted.map_or_else(Planted::default, Planted::only)
    }

    #[cfg(not(feature = "planted"))]
    fn planted(&self) -> Planted {
        Planted::default()
    }
}

/// Runs it.
///
/// # Errors
/// A breach, or an option that cannot be, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let how = How { planted: options.planted(), keep: options.verbose };
    within("from", options.from, 0..=u64::MAX - options.seeds)?;
    let Some(seed) = options.seed else {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let summary = run_all(options.from, options.seeds, how, options.threads.map_or(cores, usize::from));
        print(&lines(&summary.lines()))?;
        let Some(first) = summary.broken.values().next() else { return Ok(()) };
        let others: Vec<String> = summary.broken.keys().skip(1).take(20).map(u64::to_string).collect();
        if !others.is_empty() {
            say!("broken seeds besides {}: {}", first.seed, others.join(" "))?;
        }
        return explain(first, &Plan::of(first.seed), how);
    };
    let whole = Plan::of(seed);
    let plan = match &options.only {
        Some(only) => whole.only(&Only::parse(only)?),
        None => whole,
    };
    let outcome = run_plan(&plan, how);
    print(&(lines(&outcome.history) + &lines(&plan.faults)))?;
    say!(
        "seed {seed}: {} coordinators, {} nodes, {} requests, {} events, {:.1} s of virtual time, history {:016x}",
        plan.coordinators,
        plan.nodes.len(),
        plan.work.len(),
        outcome.tally.events,
        outcome.took.as_secs_f64(),
        outcome.hash
    )?;
    print(&lines(&outcome.tally.lines()))?;
    match (&outcome.breach, &options.only) {
        (None, _) => Ok(()),
        (Some(breach), Some(_)) => Err(breach.to_string().into()),
        (Some(_), None) => explain(&outcome, &plan, how),
    }
}

/// One under the other.
fn lines(all: &[impl Display]) -> String {
    all.iter().map(|line| format!("{line}\n")).collect()
}

/// Shows a breach by the shortest history that still has it.
fn explain(outcome: &Outcome, plan: &Plan, how: How) -> Result<(), Failure> {
    let Some(breach) = &outcome.breach else { return Ok(()) };
    say!("seed {}: {breach}", outcome.seed)?;
    let (only, runs) = shrink(plan, how, breach.invariant);
    let part = plan.only(&only);
    let short = run_plan(&part, How { keep: true, ..how });
    say!("its shortest history, after {runs} runs:")?;
    part.faults.iter().try_for_each(|fault| say!("  {fault}"))?;
    for work in &part.work {
        let (prompt, answer) = (work.shared + work.own, work.answer);
        say!("  w{} to c{} at {:?}, prompt {prompt}, answer {answer}", work.number, work.to, work.at)?;
    }
    let quiet = |line: &&String| !line.contains(": report ");
    let shown: Vec<&String> = short.history.iter().filter(quiet).collect();
    shown.iter().skip(shown.len().saturating_sub(60)).try_for_each(|line| say!("{line}"))?;
    let said = short.breach.as_ref().unwrap_or(breach);
    let (feature, option) = match how.planted.bug() {
        Some(bug) => (" --features planted", format!(" --planted {}", bug.as_str())),
        None => ("", String::new()),
    };
    say!("again: cargo run -p simulations{feature} -- chaos --seed {} --only {only}{option} --verbose", outcome.seed)?;
    Err(format!("seed {}: {said}", outcome.seed).into())
}
