//! A coordinator's inside and whole nodes with mock engines, as in their processes but for the wire and the clock:
//! for tests and simulations of all of it together.
//!
//! Rules: what runs here is what runs in the processes, by the same actors and supervisors; nothing is imitated but
//! the engine ([`crate::mock`]). Connections come from a [`crate::node::Dialer`], so whoever sets a cluster up decides
//! over which wire, and with which faults. Run it on one thread and in paused time; every choice left to chance has a
//! seed. [`Coordinator::kill`] and [`Host::kill`] end a process as a power cut does: nothing is said any more.

use std::time::Duration;

use policy::restart::Intensity;
use protocol::config::Config;
use ractor::{Actor, ActorRef, SpawnErr};

use crate::supervisor::{ChildSpec, Supervisor, SupervisorArgs, SupervisorMsg};

mod answer;
mod coordinator;
mod host;

pub use answer::Whole;
pub use coordinator::{Coordinator, question};
pub use host::{Host, HostOptions, NotStarted};

/// A supervisor of one child.
async fn supervise(config: &Config, child: ChildSpec, seed: u64) -> Result<ActorRef<SupervisorMsg>, SpawnErr> {
    let intensity = Intensity::from(&config.supervision);
    let args = SupervisorArgs { intensity, children: vec![child], seed, grace: Duration::from_secs(5) };
    Supervisor::spawn(None, Supervisor, args).await.map(|(supervisor, _)| supervisor)
}
