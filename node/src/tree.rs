//! A supervisor of this process, with its children.

use std::time::Duration;

use actors::supervisor::{ChildSpec, Supervisor, SupervisorArgs, SupervisorMsg};
use actors::tree::Branch;
use policy::restart::Intensity;
use ractor::{Actor as _, ActorRef};
use tokio::task::JoinHandle;

use crate::options::Plan;

/// How long an actor may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A supervisor with its children.
pub(crate) struct Tree {
    supervisor: ActorRef<SupervisorMsg>,
    /// None once it has ended.
    running: Option<JoinHandle<()>>,
}

impl Tree {
    pub(crate) async fn start(plan: &Plan, children: Vec<ChildSpec>, seed: u64) -> Result<Self, ractor::SpawnErr> {
        let intensity = Intensity::from(&plan.config.supervision);
        let args = SupervisorArgs { intensity, children, seed, grace: GRACE };
        let (supervisor, running) = Supervisor::spawn(None, Supervisor, args).await?;
        Ok(Self { supervisor, running: Some(running) })
    }

    pub(crate) fn branch(&self, name: String) -> Branch {
        Branch { name, supervisor: self.supervisor.clone() }
    }

    /// Resolves when it has given up.
    pub(crate) async fn ended(&mut self) {
        if let Some(running) = &mut self.running {
            // How it ended is in the log.
            drop(running.await);
            self.running = None;
        }
    }

    pub(crate) async fn stop(mut self) {
        self.supervisor.stop(None);
        self.ended().await;
    }
}
