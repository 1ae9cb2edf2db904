//! The coordinator's side: which nodes are there, and the jobs that run on them.
//!
//! Rules: what is decided is decided in `policy`; here messages are carried, streams opened, words made of
//! tokens. A job ends exactly once towards its client, whatever fails: its [`job::Answers`] says so when
//! it is dropped. Every reservation (a place among the requests, a stream on a node) goes with its guard.

pub mod answering;
pub mod attempt;
pub mod degrading;
pub mod directory;
mod events;
pub mod hub;
pub mod index;
pub mod job;
pub mod link;
pub mod loading;
pub mod looks;
pub mod metrics;
pub mod placing;
pub mod recent;
pub mod speech;
pub mod texts;
pub mod waiting;

use std::time::Duration;

use tokio::time::Instant;

/// Time since a fixed moment, as `policy` wants it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Since the beginning.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
