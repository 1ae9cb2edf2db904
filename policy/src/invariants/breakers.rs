//! A breaker lets exactly one through while it is half open, and does not stay open for longer than it may.

use std::time::Duration;

use super::{Breach, Invariant, holds};
use crate::breaker::{Breaker, Permit, Settings};

/// How much longer than its longest a breaker may be open: what chance adds, see [`Breaker::fault`].
const SPREAD: f64 = 1.2;

/// Of all permits of one breaker that have not come back, at most one of each state is a probe.
///
/// # Errors
/// Several try at once.
pub fn one_probe(permits: &[Permit]) -> Result<(), Breach> {
    let mut probes: Vec<u64> = permits.iter().filter(|permit| permit.is_probe()).map(Permit::generation).collect();
    probes.sort_unstable();
    let twice = probes.windows(2).any(|pair| pair.first() == pair.last());
    holds(Invariant::OneProbe, !twice, || {
        format!(
            "{} permits are out, of which {} are probes of a breaker that is half open",
            permits.len(),
            probes.len()
        )
    })
}

/// A breaker is open for no longer than it may.
///
/// # Errors
/// It is.
pub fn heals(now: Duration, breaker: &Breaker, settings: &Settings) -> Result<(), Breach> {
    let (wait, longest) = (breaker.wait(now), settings.longest.mul_f64(SPREAD));
    holds(Invariant::BreakersHeal, wait <= longest, || {
        format!("it stays open for {wait:?}, at most {longest:?} is due")
    })
}
