//! A trace of requests on simulated nodes, in virtual time: what a placement makes of it, and how many nodes it needs.
//!
//! Rules: no clock but the run's own, no randomness but the seed's: the same seed gives the same result, byte for
//! byte. What decides is the coordinator's own code (`policy`), and what serves is the engine that stands in for the
//! real one in its tests (`actors::mock`), with the times of a [`profile`].

pub mod plan;
pub mod profile;
mod prompt;
pub mod results;
pub mod rules;
pub mod run;
pub mod trace;

pub use results::Results;
pub use rules::Rule;
pub use run::{Setup, SetupError, simulate, simulate_while};
