//! End to end: real processes, real sockets, a real model. The harness is here, the tests in `tests/`.
//!
//! Rules: ports are free ones, state is in temporary folders, nothing is left behind. A wait is for an
//! event and has a deadline; there is no sleep that hopes. A harness may stop at the first surprise: it
//! panics with what it saw, and a process that dies in a failing test shows the end of its log.

#![expect(clippy::panic, reason = "a harness of tests stops at the first surprise and says what it saw")]

pub mod build;
pub mod cluster;
pub mod dice;
pub mod endure;
pub mod http;
pub mod money;
pub mod process;
pub mod wait;
