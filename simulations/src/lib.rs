//! The real decisions under simulated nodes, time and faults.
//!
//! Rules: no clock but the simulation's own, no randomness but the seed's; the same seed gives the same
//! result, byte for byte. The code that decides is that of the coordinator, not a model of it.

pub mod chaos;
pub mod compare;
pub mod economics;
pub mod plot;
pub mod report;
pub mod scale;
pub mod stack;
