//! Learns the weights of complexity routing from labelled prompts, and says how good they are.
//!
//! Rules: the same data and seed give the same bytes. A fifth of the data is never learned from, and every figure
//! is of it. No word of the data goes anywhere but into the weights.

mod optimise;
mod vary;

pub mod bill;
pub mod data;
pub mod eval;
pub mod learn;
mod measure;
pub mod transfer;
