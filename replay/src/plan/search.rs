//! The least number for which something holds, in few tries.
//!
//! From a first guess, up by doubling until it holds or down by halving until it does not; then by bisection between
//! the two. What is found always held when it was tried, and one less was tried and did not hold. That it is the
//! least of all follows only where more is never worse. More nodes split what is cached and what is queued, so it may
//! not be so: then the number that is found is still good, but a smaller one might be, which no search short of
//! trying all could exclude.

use std::collections::BTreeMap;

/// What was found, and what was tried for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// The number; none if it did not hold for the most that was allowed.
    pub least: Option<u32>,
    /// What came of every try.
    pub tried: BTreeMap<u32, T>,
}

/// Looks for the least number from 1 to `most`; `first` is tried first. No number is tried twice, and at most
/// 2 log2(`most`) + 2 are tried.
///
/// # Errors
/// A try failed.
pub fn search<T, E>(
    first: u32,
    most: u32,
    mut run: impl FnMut(u32) -> Result<T, E>,
    holds: impl Fn(&T) -> bool,
) -> Result<Found<T>, E> {
    let most = most.max(1);
    let mut tried = BTreeMap::new();
    let mut good = |number: u32| -> Result<bool, E> {
        let outcome = run(number)?;
        let good = holds(&outcome);
        tried.insert(number, outcome);
        Ok(good)
    };
    let mut at = first.clamp(1, most);
    // Below it lies nothing that held, or nothing at all; `high` held.
    let (mut low, mut high);
    if good(at)? {
        (low, high) = (0, at);
        while high > 1 {
            at = high / 2;
            if good(at)? {
                high = at;
            } else {
                low = at;
                break;
            }
        }
    } else {
        loop {
            if at == most {
                return Ok(Found { least: None, tried });
            }
            low = at;
            at = at.saturating_mul(2).min(most);
            if good(at)? {
                high = at;
                break;
            }
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if good(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Found { least: Some(high), tried })
}

#[cfg(test)]
mod tests;
