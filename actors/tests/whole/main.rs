//! A coordinator's inside and whole nodes with mock engines, over memory, in paused time: what clients see when
//! nodes go in the middle of answers, and what the index knows.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod bed;
mod bills;
mod counting;
mod drain;
mod gathering;
mod index;
mod limits;
mod migration;
mod prompts;
