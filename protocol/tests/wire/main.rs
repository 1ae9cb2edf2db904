//! The wire: what every frame looks like in bytes, and that no bytes do harm.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod golden;
mod harm;
mod roundtrip;
mod samples;
mod strategies;
