//! A coordinator is lost in the middle of a run, and comes back with nothing.
//!
//! A decision is *blind* when the coordinator that makes it does not know the cache of every node, or has no report of
//! one of them. A blind span lasts from a coordinator's start to its last blind decision.
//!
//! Clients of the lost one ask another after the wire's idle time; nodes dial until it is back, each after a wait of its
//! own, and send a snapshot of their cache over a wire of so much bandwidth, then what changes. What is not simulated:
//! the time of handshakes on either side, and packets that are lost.

use std::time::Duration;

use protocol::units::Span;
use replay::profile::Profile;
use replay::results::{Outcome, Record};
use replay::run::Fault;
use replay::{Rule, Setup, simulate};
use serde::Serialize;

use super::sweep::{Load, Point, ScaleError, trace};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When the first coordinator is lost.
    pub at: Duration,
    /// How long it is away.
    pub away: Duration,
    /// The longest that a node waits before it dials again.
    pub redial: Duration,
}

/// A time of the run, by when requests came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// Requests that were answered.
    pub done: usize,
    /// Requests that came.
    pub came: usize,
    /// Prompt tokens that were cached, as a share.
    pub hits: f64,
    /// Seconds to the first token, of 99 in 100.
    pub ttft_p99: f64,
}

/// What came of it, in virtual time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lost {
    /// The longest wait before a node dials.
    pub redial: Span,
    /// Until the coordinator is lost.
    pub before: Phase,
    /// While it is away.
    pub during: Phase,
    /// From when it is back.
    pub after: Phase,
    /// Decisions in all.
    pub decisions: u64,
    /// Of these, blind ones.
    pub blind: u64,
    /// The longest blind span.
    pub longest: Span,
}

/// Runs it.
///
/// # Errors
/// The load or the cluster cannot be.
pub fn lose(point: &Point, profile: &Profile, load: &Load, loss: &Loss) -> Result<Lost, ScaleError> {
    let trace = trace(point.nodes, load)?;
    let back = loss.at + loss.away;
    let setup = Setup {
        coordinators: point.coordinators,
        delay: point.delay,
        redial: loss.redial,
        faults: vec![(loss.at, Fault::Lose(0)), (back, Fault::Restart(0))],
        seed: load.seed,
        ..Setup::new(profile.clone(), point.nodes, Rule::Prefix)
    };
    let results = simulate(&setup, &trace)?;
    let phase = |from: Duration, to: Duration| {
        Phase::of(results.records.iter().filter(|record| record.arrived >= from && record.arrived < to))
    };
    Ok(Lost {
        redial: Span(loss.redial),
        before: phase(Duration::ZERO, loss.at),
        during: phase(loss.at, back),
        after: phase(back, Duration::MAX),
        decisions: results.blindness.decisions,
        blind: results.blindness.blind,
        longest: Span(results.blindness.longest),
    })
}

impl Phase {
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let (mut came, mut prompt, mut cached) = (0, 0u64, 0u64);
        let mut firsts = Vec::new();
        for record in records {
            came += 1;
            if record.outcome == Outcome::Done {
                prompt += record.input.0;
                cached += record.cached.0;
                firsts.push(record.first.unwrap_or(record.took));
            }
        }
        let done = firsts.len();
        let ttft_p99 = replay::results::Spread::of(firsts).p99;
        Self { done, came, hits: cached as f64 / prompt.max(1) as f64, ttft_p99 }
    }
}

#[cfg(test)]
mod tests;
