//! Who runs the decisions: one actor per concern, in supervision trees.

pub mod cluster;
pub mod cost;
pub mod guarded;
pub mod mock;
pub mod node;
pub mod promises;
#[cfg(feature = "simulated")]
pub mod simulated;
pub mod supervisor;
pub mod tree;
pub mod watch;
pub mod worker;
