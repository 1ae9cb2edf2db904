//! `simulations generate`: a synthetic trace, as a file in Mooncake's format.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use protocol::units::{Span, Tokens};
use replay::trace::synthetic::{Kind, Plan};
use replay::trace::{self, Lengths, Trace};

use crate::Failure;

/// Its options. What is left out is as the kind has it: see docs/traces.md.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// shared-prefix, no-sharing, decode-heavy, bursts or agents
    kind: Kind,
    /// The same seed gives the same file, byte for byte
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests in all
    #[arg(long, default_value_t = 1000)]
    requests: u32,
    /// Requests a second, in the mean
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    rate: f64,
    /// What a prompt has for itself: fixed:512, uniform:100..900, lognormal:512, lognormal:512:0.8 or cdf:FILE
    #[arg(long, value_name = "LENGTHS")]
    input: Option<Lengths>,
    /// Answers, likewise
    #[arg(long, value_name = "LENGTHS")]
    output: Option<Lengths>,
    /// Tokens in a block; a trace with other blocks than 512 is read with --trace-block
    #[arg(long)]
    block: Option<u64>,
    /// Groups of prompts that begin alike (shared-prefix, bursts, agents)
    #[arg(long)]
    groups: Option<u32>,
    /// Tokens with which they do (shared-prefix, bursts, agents)
    #[arg(long)]
    prefix: Option<u64>,
    /// How unevenly groups are asked: 0 all alike, 1 as words are used (shared-prefix, bursts, agents)
    #[arg(long, allow_negative_numbers = true)]
    skew: Option<f64>,
    /// Length of a burst, in the mean, as 10s (bursts)
    #[arg(long)]
    on: Option<Span>,
    /// Length of the silence between two, in the mean (bursts)
    #[arg(long)]
    off: Option<Span>,
    /// Requests of a conversation, in the mean (agents)
    #[arg(long, allow_negative_numbers = true)]
    turns: Option<f64>,
    /// From an answer to the next request, in the mean (agents)
    #[arg(long)]
    think: Option<Span>,
    /// What a token of an answer is taken to need (agents)
    #[arg(long)]
    pace: Option<Span>,
    /// The longest prompt and answer together: there a conversation ends (agents)
    #[arg(long)]
    context: Option<u64>,
    /// The file; standard output if left out
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// What went wrong, in one line.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let trace = plan(options)?.generate()?;
    match &options.out {
        Some(path) => {
            trace::save(&trace, path)?;
            super::tell(&format!("{}: {}", path.display(), summary(&trace)));
            Ok(())
        }
        None => print(&trace),
    }
}

/// Writes to standard output, without a copy of it.
fn print(trace: &Trace) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    super::quiet(trace::write(trace, &mut out).and_then(|()| out.flush()))
}

/// The kind's plan with what was asked for.
///
/// # Errors
/// An option that the kind has no use for.
fn plan(options: &Options) -> Result<Plan, Failure> {
    let mut plan = Plan::new(options.kind);
    (plan.seed, plan.requests, plan.rate) = (options.seed, options.requests, options.rate);
    let groups: &[Kind] = &[Kind::SharedPrefix, Kind::Bursts, Kind::Agents];
    let (bursts, agents): (&[Kind], &[Kind]) = (&[Kind::Bursts], &[Kind::Agents]);
    let strange = [
        ("groups", options.groups.is_some(), groups),
        ("prefix", options.prefix.is_some(), groups),
        ("skew", options.skew.is_some(), groups),
        ("on", options.on.is_some(), bursts),
        ("off", options.off.is_some(), bursts),
        ("turns", options.turns.is_some(), agents),
        ("think", options.think.is_some(), agents),
        ("pace", options.pace.is_some(), agents),
        ("context", options.context.is_some(), agents),
    ];
    for (option, given, kinds) in strange {
        if given && !kinds.contains(&plan.kind) {
            let kinds = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(format!("--{option} says nothing for {}: leave it out, or take {kinds}", plan.kind).into());
        }
    }
    set(&mut plan.input, options.input.clone());
    set(&mut plan.output, options.output.clone());
    set(&mut plan.block, options.block.map(Tokens));
    set(&mut plan.groups, options.groups);
    set(&mut plan.prefix, options.prefix.map(Tokens));
    set(&mut plan.skew, options.skew);
    set(&mut plan.on, options.on.map(|span| span.0));
    set(&mut plan.off, options.off.map(|span| span.0));
    set(&mut plan.turns, options.turns);
    set(&mut plan.think, options.think.map(|span| span.0));
    set(&mut plan.pace, options.pace.map(|span| span.0));
    set(&mut plan.context, options.context.map(Tokens));
    Ok(plan)
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

/// A line about what was made.
fn summary(trace: &Trace) -> String {
    let sum = |of: fn(&trace::Request) -> Tokens| trace.requests.iter().map(of).sum::<Tokens>();
    let last = trace.requests.last().map_or(0.0, |request| request.at.as_secs_f64());
    let (input, output) = (sum(|request| request.input), sum(|request| request.output));
    let count = trace.requests.len();
    format!("{count} requests in {last:.0} s, prompts of {input}, answers of {output} in all")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        options: Options,
    }

    fn planned(words: &str) -> Result<Plan, String> {
        let words = std::iter::once("x").chain(words.split_whitespace());
        let options = Only::try_parse_from(words).map_err(|error| error.to_string())?.options;
        plan(&options).map_err(|failure| failure.to_string())
    }

    #[test]
    fn options_reach_the_plan() {
        let plan = planned("agents --seed 7 --turns 3 --think 2s --input fixed:10 --block 16 --prefix 64").unwrap();
        assert_eq!((plan.seed, plan.turns, plan.think.as_secs()), (7, 3.0, 2));
        assert_eq!((plan.input, plan.block, plan.prefix), (Lengths::Fixed(Tokens(10)), Tokens(16), Tokens(64)));
    }

    #[test]
    fn an_option_that_says_nothing_is_refused_with_the_kinds_that_have_it() {
        let error = planned("no-sharing --turns 3").unwrap_err();
        assert_eq!(error, "--turns says nothing for no-sharing: leave it out, or take agents");
        assert!(planned("decode-heavy --groups 3").unwrap_err().contains("shared-prefix, bursts, agents"));
        assert!(planned("nonsense").unwrap_err().contains("'nonsense' is no kind of trace: one of shared-prefix"));
        assert!(planned("bursts --on 3").unwrap_err().contains("is not a time span"));
    }
}
