//! A request ends exactly once: never twice, and in the end it has.

use super::{Breach, Invariant, holds};

/// A request has ended so often; `over` says that it must have by now.
///
/// # Errors
/// It ended more than once, or not in time.
pub fn ends_once(ends: u32, over: bool) -> Result<(), Breach> {
    let least = u32::from(over);
    holds(Invariant::EndsOnce, ends <= 1 && ends >= least, || format!("it has ended {ends} times, where one is due"))
}
