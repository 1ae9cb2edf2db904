//! The real decisions under simulated nodes and time: `policy::placement` places jobs on mock engines, from
//! one seed, in virtual time.
//!
//! Rules: no clock but the simulation's own, no randomness but the seed's; the same seed gives the same
//! result, byte for byte. The code that decides is that of the coordinator, not a model of it.

pub mod chaos;
pub mod cluster;
pub mod work;
