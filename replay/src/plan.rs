//! How many nodes meet a target: the least number for which a replay of the trace does, and what it costs.
//!
//! Rules:
//! - Nothing is estimated that can be replayed: a number is named only after a run with exactly so many nodes met the
//!   target, and the run with one node fewer did not ([`search`]).
//! - What no number of nodes can mend is said before anything is run, and why ([`floor`]).
//! - Percentiles are over all requests: whoever was refused waits for ever ([`outcome`]).
//! - Headroom is more of the same: the same requests, in less time.
//!
//! Left to others: the replay itself; what asks for a plan, and how long it may take. A run may fail, and then the
//! plan does.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::units::{Nanos, Percent};

use crate::profile::Profile;
use crate::trace::Trace;

pub mod floor;
pub mod outcome;
pub mod run;
pub mod search;
pub mod target;

use floor::Impossible;
pub use outcome::{Ends, Outcome};
use search::search;
pub use target::{BadTarget, Target};

/// Hours in a month, as prices by the month have it: 365 × 24 / 12.
pub const MONTH: u64 = 730;

/// How many nodes of one kind meet a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The least number that meets it.
    pub nodes: Option<u32>,
    /// What came of every number that was tried.
    pub tried: BTreeMap<u32, Outcome>,
    /// Why there is none.
    pub why: Option<WhyNot>,
}

/// Why no number of nodes meets a target.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WhyNot {
    /// No number would.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// More might.
    #[error("{most} nodes do not meet it: {missed}; allow for more nodes, or relax the target")]
    TooFew {
        /// The most that were allowed.
        most: u32,
        /// What was missed.
        missed: String,
    },
}

impl Plan {
    /// What came of the least number that meets the target.
    pub fn met(&self) -> Option<&Outcome> {
        self.tried.get(&self.nodes?)
    }
}

/// Between what to look, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The number that is tried first.
    pub first: u32,
    /// No more than that.
    pub most: u32,
}

/// Plans for nodes of one kind. `run` replays a trace on so many of them.
///
/// # Errors
/// A run failed.
pub fn plan<E>(
    profile: &Profile,
    trace: &Trace,
    target: &Target,
    bounds: Bounds,
    mut run: impl FnMut(u32, &Trace) -> Result<Outcome, E>,
) -> Result<Plan, E> {
    let trace = &hurried(trace, target.headroom);
    if let Err(impossible) = floor::check(profile, trace, target) {
        return Ok(Plan { nodes: None, tried: BTreeMap::new(), why: Some(impossible.into()) });
    }
    let found = search(bounds.first, bounds.most, |nodes| run(nodes, trace), |outcome| target.met_by(outcome))?;
    let why = match (found.least, found.tried.last_key_value()) {
        (None, Some((most, outcome))) => Some(WhyNot::TooFew { most: *most, missed: target.missed(outcome) }),
        _ => None,
    };
    Ok(Plan { nodes: found.least, tried: found.tried, why })
}

/// The same requests, in less time.
pub fn hurried(trace: &Trace, headroom: Percent) -> Trace {
    let mut trace = trace.clone();
    for request in &mut trace.requests {
        // Traces have their times to the microsecond.
        let micros = request.at.as_micros().saturating_mul(100) / (100 + u128::from(headroom.0));
        request.at = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
    }
    trace
}

/// What so many nodes cost for so many hours.
pub fn cost(hour: Nanos, nodes: u32, hours: u64) -> Nanos {
    Nanos(hour.0.saturating_mul(nodes.into()).saturating_mul(hours))
}

#[cfg(test)]
mod tests;
