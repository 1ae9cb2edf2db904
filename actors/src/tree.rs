//! The live tree of a process: its supervisors are asked who runs under them. Nobody keeps a list beside them.

use std::time::Duration;

use protocol::tree::{ActorState, TreeLine};
use ractor::ActorRef;
use ractor::rpc::CallResult;

use crate::supervisor::SupervisorMsg;

/// How long a supervisor may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// A supervisor at the top.
#[derive(Clone, Debug)]
pub struct Branch {
    /// What people call it.
    pub name: String,
    /// Whom to ask.
    pub supervisor: ActorRef<SupervisorMsg>,
}

/// All supervisors, each with its children.
pub async fn look(branches: &[Branch]) -> Vec<TreeLine> {
    let mut lines = Vec::new();
    for Branch { name, supervisor } in branches {
        let own = TreeLine::running(0, name.clone());
        match supervisor.call(SupervisorMsg::Show, Some(PATIENCE)).await {
            Ok(CallResult::Success(children)) => {
                lines.push(own);
                lines.extend(children);
            }
            Ok(CallResult::Timeout) => {
                lines.push(TreeLine { failure: Some(format!("no answer within {PATIENCE:?}")), ..own });
            }
            Ok(CallResult::SenderError) | Err(_) => lines.push(TreeLine { state: ActorState::Dead, ..own }),
        }
    }
    lines
}
