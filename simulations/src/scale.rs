//! How decisions, memory, hit rate and tail grow with the cluster.
//!
//! Two kinds of figures, kept apart: those of virtual time ([`sweep`], [`loss`]) are equal for equal seeds; those that
//! are measured on this machine's clock ([`decisions`]) are not.

pub mod decisions;
mod fleet;
pub mod loss;
pub mod plot;
pub mod sweep;
