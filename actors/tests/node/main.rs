//! A node over a connection in memory, under paused time: what a coordinator sees of it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod bed;
mod coming;
mod ending;
mod gathering;
mod models;
mod pulling;
mod serving;
