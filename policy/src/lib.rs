//! What the cluster decides: placement, the attempts of a job, health, restarts, who waits when
//! all is full, what is left out then, which answers need no node, how hard a request is.
//! all is full, what is left out then, which answers need no node, what requests may cost and who may spend it.
//!
//! Rules: pure. `now` is a [`std::time::Duration`] since some fixed moment, random numbers are arguments,
//! maps are ordered; nothing here waits, reads or writes. So a coordinator and a simulation run the very
//! same lines.

pub mod answers;
pub mod breaker;
pub mod choice;
pub mod complexity;
pub mod escrow;
mod hashing;
pub mod health;
pub mod index;
pub mod invariants;
pub mod job;
pub mod ladder;
pub mod ledger;
pub mod limits;
pub mod loading;
pub mod placement;
pub mod plan;
pub mod planted;
pub mod prices;
pub mod pull;
pub mod queue;
pub mod rates;
pub mod restart;
pub mod retry;
pub mod telling;
pub mod upstream;
