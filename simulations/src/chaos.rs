//! Random clusters, random work and every fault, from one seed: what the cluster promises is checked after each event.
//!
//! A world is a discrete-event simulation. What decides in it is the code of the cluster itself: `policy` for all that
//! coordinators decide, `actors::mock` for engines. What connects them ([`coordinator`], [`node`]) carries commands
//! out as the actors of a coordinator and of a node do, over a network ([`net`]) that can fail.
//!
//! Rules:
//! - From a seed comes a [`plan`]: the cluster, and explicit lists of work and faults. So a part of it can be run
//!   again ([`shrink`]).
//! - Two phases. First faults happen, and [`check`] looks after every event. Then all faults end ([`heal`]): within a
//!   bounded time every request ends, breakers close, indexes are true, nothing is reserved, money is settled.
//! - The same seed gives the same history, byte for byte: no clock, no order of a hash map, one source of randomness.

pub mod check;
pub mod client;
pub mod coordinator;
pub mod disk;
pub mod events;
pub mod ground;
pub mod heal;
pub mod net;
pub mod node;
pub mod plan;
pub mod report;
pub mod runs;
pub mod shrink;
pub mod world;

pub use plan::{Only, Plan};
pub use report::Outcome;
pub use world::{Options, run};
