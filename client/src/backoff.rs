//! How long to wait before the next try: exponential, with full jitter, so that clients that lost the
//! same coordinator do not come back at the same moment. Pure: the random number is passed in.

use std::time::Duration;

use crate::options::Retry;

/// The wait before try number `tries + 1` when `tries` have failed, with `random` uniform over u64.
pub(crate) fn wait(retry: &Retry, tries: u32, random: u64) -> Duration {
    let doublings = tries.saturating_sub(1).min(30);
    let ceiling = retry.first.saturating_mul(1 << doublings).min(retry.max);
    // A share of the ceiling from 0 to 1; 53 bits are what a double holds.
    let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
    ceiling.mul_f64(share)
}

#[cfg(test)]
mod tests;
