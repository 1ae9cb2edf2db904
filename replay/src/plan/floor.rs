//! What no number of nodes can mend: times that requests take on a node that has nothing else to do.
//!
//! Everything here is a bound from below, so that nothing is called impossible that is not: all that an earlier
//! prompt began with is taken as cached, in every block of it, though no cache holds all and earlier answers may not
//! be complete; attention to the context before costs nothing; nothing waits.

use std::time::Duration;

use protocol::units::{Percentile, Tokens};

use super::target::{Target, shown};
use crate::profile::Profile;
use crate::trace::{Request, Trace};

/// Why no number of nodes meets a target.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Impossible {
    /// There is nothing to go by.
    #[error("the trace has no requests: give one that has")]
    Empty,
    /// They fit no node.
    #[error(
        "{count} of {all} requests fit no such node, more than {percentile} leaves out: request {request} needs {wanted}, and a node has {there}"
    )]
    Room {
        /// How many.
        count: usize,
        /// Of how many.
        all: usize,
        /// Of the target.
        percentile: Percentile,
        /// The first of them, from 1.
        request: usize,
        /// What it needs.
        wanted: Tokens,
        /// What a node has for one request.
        there: Tokens,
    },
    /// On an idle node it takes longer.
    #[error(
        "no number of nodes has {percentile} of {what} within {}: on an idle node {count} of {all} requests take longer, as request {request} of {input} with {}",
        shown(*limit), shown(*floor)
    )]
    Slow {
        /// Of what.
        what: &'static str,
        /// The target.
        limit: Duration,
        /// Of the target.
        percentile: Percentile,
        /// How many take longer.
        count: usize,
        /// Of how many.
        all: usize,
        /// The slowest of them, from 1.
        request: usize,
        /// Its prompt.
        input: Tokens,
        /// What it takes at the least.
        floor: Duration,
    },
    /// A step takes longer.
    #[error(
        "no number of nodes has {percentile} of inter-token latency within {}: a step of one sequence takes {}",
        shown(*limit), shown(*step)
    )]
    Step {
        /// The target.
        limit: Duration,
        /// Of the target.
        percentile: Percentile,
        /// A step with one sequence.
        step: Duration,
    },
    /// So much is not asked for.
    #[error(
        "--goodput is {wanted}, and the whole trace asks for {offered:.1} tokens/s: ask for less, or give --headroom"
    )]
    Goodput {
        /// The target.
        wanted: f64,
        /// What the trace asks for.
        offered: f64,
    },
}

/// Whether enough nodes could meet the target.
///
/// # Errors
/// The first reason why none could.
pub fn check(profile: &Profile, trace: &Trace, target: &Target) -> Result<(), Impossible> {
    let all = trace.requests.len();
    if all == 0 {
        return Err(Impossible::Empty);
    }
    let percentile = target.percentile;
    // So many may be worse than the target.
    let spare = all - percentile.rank(all).map_or(0, |rank| rank + 1);
    let times = target.ttft.is_some() || target.latency.is_some() || target.inter_token.is_some();
    let there = room(profile);
    let large = |request: &Request| request.input + request.output > there;
    let count = trace.requests.iter().filter(|request| large(request)).count();
    if let Some((at, first)) = trace.requests.iter().enumerate().find(|(_, request)| large(request))
        && times
        && count > spare
    {
        let wanted = first.input + first.output;
        return Err(Impossible::Room { count, all, percentile, request: at + 1, wanted, there });
    }
    let step = profile.step + profile.sequence;
    let gaps = trace.requests.iter().filter(|request| request.output.0 > 1).count();
    if let Some(limit) = target.inter_token.filter(|limit| *limit < step)
        && gaps > 0
    {
        return Err(Impossible::Step { limit, percentile, step });
    }
    let firsts = prefills(profile, trace);
    let floors = |of: &dyn Fn(Duration, &Request) -> Duration| -> Vec<Duration> {
        firsts.iter().zip(&trace.requests).map(|(first, request)| of(*first, request)).collect()
    };
    let ttft = floors(&|first, _| first);
    let whole = floors(&|first, request| first.saturating_add(times_of(step, request.output.0.saturating_sub(1))));
    for (what, limit, floors) in [("TTFT", target.ttft, ttft), ("latency", target.latency, whole)] {
        let Some(limit) = limit else { continue };
        let count = floors.iter().filter(|floor| **floor > limit).count();
        let slowest = floors.iter().zip(&trace.requests).enumerate().max_by_key(|(_, (floor, _))| **floor);
        if let Some((at, (floor, request))) = slowest
            && count > spare
        {
            let (request, input, floor) = (at + 1, request.input, *floor);
            return Err(Impossible::Slow { what, limit, percentile, count, all, request, input, floor });
        }
    }
    offered(trace, target)
}

/// Room for one request on a node: less than its context, and no more than all its blocks.
fn room(profile: &Profile) -> Tokens {
    (profile.context - Tokens(1)).min(profile.capacity())
}

/// How long each prompt takes at the least: what no earlier one began with must be computed, and its last token
/// always.
fn prefills(profile: &Profile, trace: &Trace) -> Vec<Duration> {
    let computed = |(request, seen): (&Request, Tokens)| request.input - seen.min(request.input - Tokens(1));
    trace.requests.iter().zip(trace.seen()).map(|pair| times_of(profile.prefill, computed(pair).0)).collect()
}

/// More tokens a second than are asked for cannot be answered.
fn offered(trace: &Trace, target: &Target) -> Result<(), Impossible> {
    let Some(wanted) = target.goodput else { return Ok(()) };
    let span = trace.span();
    let tokens: Tokens = trace.requests.iter().map(|request| request.output).sum();
    // The last answer takes time of its own: what is measured can only be less.
    let offered = tokens.0 as f64 / span.as_secs_f64();
    if span > Duration::ZERO && offered < wanted { Err(Impossible::Goodput { wanted, offered }) } else { Ok(()) }
}

fn times_of(each: Duration, count: u64) -> Duration {
    let nanos = each.as_nanos().saturating_mul(count.into());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
