//! A queue is within its bounds: in requests, in prompt tokens, in those on trial.

use super::{Breach, Invariant, holds};
use crate::queue::Queue;

/// The queue holds no more than its bounds allow.
///
/// # Errors
/// It does.
pub fn queue_bounded(queue: &Queue) -> Result<(), Breach> {
    let (bounds, trials) = (queue.bounds(), queue.len() - queue.waiting());
    let fine = queue.len() <= bounds.requests && queue.tokens() <= bounds.tokens && trials <= bounds.trials;
    holds(Invariant::QueuesBounded, fine, || {
        format!(
            "{} requests with {}, {trials} on trial, where {} with {} and {} are the most",
            queue.len(),
            queue.tokens(),
            bounds.requests,
            bounds.tokens,
            bounds.trials
        )
    })
}

/// Something else that has a bound holds so many.
///
/// # Errors
/// It holds more.
pub fn bounded(what: &str, held: usize, bound: usize) -> Result<(), Breach> {
    holds(Invariant::QueuesBounded, held <= bound, || format!("{what}: {held}, where {bound} are the most"))
}
