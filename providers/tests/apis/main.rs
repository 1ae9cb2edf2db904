//! The three APIs against a server that speaks them by script.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod chains;
mod failing;
mod lies;
mod limits;
mod pools;
mod schema;
mod secure;
mod slow;
mod streaming;
mod support;
mod tools;
mod writing;
