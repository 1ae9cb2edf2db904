//! What the cluster decides: placement, the attempts of a job, health, restarts.
//!
//! Rules: pure. `now` is a [`std::time::Duration`] since some fixed moment, random numbers are arguments,
//! maps are ordered; nothing here waits, reads or writes. So a coordinator and a simulation run the very
//! same lines.

pub mod breaker;
pub mod health;
pub mod index;
pub mod job;
pub mod placement;
pub mod rates;
pub mod restart;
pub mod retry;
