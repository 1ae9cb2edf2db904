//! Retries are within their share of all requests, and what is allowed whatever the traffic.

use super::{Breach, Invariant, holds};
use crate::retry::Settings;

/// Of so many requests, so many retries.
///
/// # Errors
/// They are more.
pub fn retries_bounded(requests: u64, retries: u64, settings: &Settings) -> Result<(), Breach> {
    let most = f64::from(settings.floor) + settings.share * requests as f64;
    // Shares are summed one by one: half a retry is beyond what that can err.
    holds(Invariant::RetriesBounded, retries as f64 <= most + 0.5, || {
        format!("{retries} retries of {requests} requests, at most {most:.1} are due")
    })
}
