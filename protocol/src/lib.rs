//! What Troupe's machines say to each other: ids, units, requests, jobs, frames, the codec, version
//! negotiation and the schema of `cluster.toml`.
//!
//! Rules: no input or output, no clock, no randomness. Everything that crosses a wire is declared here
//! and nowhere else, so a newcomer can read the whole protocol in one crate.
//!
//! It also holds the [`engine::Engine`] trait, because a job on the wire and a job in an engine are the
//! same thing: nodes, mocks and simulations all speak it.

pub mod account;
pub mod answer;
pub mod cache;
pub mod codec;
pub mod config;
pub mod engine;
pub mod escrow;
pub mod files;
pub mod frame;
pub mod ids;
pub mod job;
pub mod manage;
pub mod message;
pub mod money;
pub mod pull;
pub mod request;
pub mod serving;
pub mod tree;
pub mod units;
pub mod version;
