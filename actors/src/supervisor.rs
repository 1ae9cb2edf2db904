//! Keeps children alive: one for one, with a wait that doubles, until `policy::restart` gives one up.
//!
//! Rules: a child that fails is started again; one that stops by itself is done. A child that is given
//! up takes its supervisor down, which then fails in turn, so the fault climbs until somebody can
//! judge it. Children stop in the reverse order of their start. Deciding is `policy::restart`'s work.

use std::time::Duration;

use futures_util::future::BoxFuture;
use policy::restart::{Decision, Intensity, Jitter, Restarts};
use protocol::tree::{ActorState, TreeLine};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};
use tokio::time::Instant;

mod looped;

pub use looped::looped;

/// Starts a child, linked to the given supervisor.
pub type Start = Box<dyn FnMut(ActorCell) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send>;

/// One child.
pub struct ChildSpec {
    /// For the log.
    pub name: String,
    /// Starts it, at first and again.
    pub start: Start,
}

impl std::fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ChildSpec {
    /// A child made by `start`, which is called for every start.
    pub fn new<F, R>(name: impl Into<String>, mut start: F) -> Self
    where
        F: FnMut(ActorCell) -> R + Send + 'static,
        R: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
    {
        Self { name: name.into(), start: Box::new(move |parent| Box::pin(start(parent))) }
    }
}

/// What a supervisor needs.
#[derive(Debug)]
pub struct SupervisorArgs {
    /// How many failures are too many.
    pub intensity: Intensity,
    /// The children, in the order of their start.
    pub children: Vec<ChildSpec>,
    /// For the jitter of the waits.
    pub seed: u64,
    /// How long a child may take to stop before it is killed.
    pub grace: Duration,
}

/// What a supervisor hears.
pub enum SupervisorMsg {
    /// From itself: the wait is over for the child at this place.
    Restart(usize),
    /// Who its children are, and how.
    Show(RpcReplyPort<Vec<TreeLine>>),
}

impl std::fmt::Debug for SupervisorMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Restart(place) => f.debug_tuple("Restart").field(place).finish(),
            Self::Show(_) => f.write_str("Show"),
        }
    }
}

/// A supervisor.
#[derive(Debug)]
pub struct Supervisor;

struct Child {
    spec: ChildSpec,
    restarts: Restarts,
    cell: Option<ActorCell>,
    /// How often it was started again, and why the last time.
    again: u32,
    failure: Option<String>,
    /// It came to its end by itself.
    done: bool,
}

impl Child {
    fn new(spec: ChildSpec, restarts: Restarts, cell: ActorCell) -> Self {
        Self { spec, restarts, cell: Some(cell), again: 0, failure: None, done: false }
    }

    fn line(&self) -> TreeLine {
        let state = match &self.cell {
            Some(_) => ActorState::Running,
            None if self.done => ActorState::Done,
            None => ActorState::Restarting,
        };
        let (name, failure) = (self.spec.name.clone(), self.failure.clone());
        TreeLine { depth: 1, name, state, restarts: self.again, failure }
    }
}

/// The children and their failures.
pub struct SupervisorState {
    children: Vec<Child>,
    jitter: Jitter,
    grace: Duration,
    started: Instant,
}

impl std::fmt::Debug for SupervisorState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupervisorState").field("children", &self.children.len()).finish_non_exhaustive()
    }
}

impl SupervisorState {
    /// Decides what a failure means: a restart after a wait, or the end of this supervisor.
    fn on_failure(
        &mut self,
        place: usize,
        reason: &str,
        myself: &ActorRef<SupervisorMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let (now, random) = (self.started.elapsed(), self.jitter.draw());
        let Some(child) = self.children.get_mut(place) else {
            return Ok(());
        };
        child.cell = None;
        child.failure = Some(reason.to_owned());
        let name = &child.spec.name;
        match child.restarts.on_failure(now, random) {
            Decision::Restart { after } => {
                tracing::warn!("{name} failed and starts again in {} ms: {reason}", after.as_millis());
                // The timer ends by itself when this actor is gone.
                drop(myself.send_after(after, move || SupervisorMsg::Restart(place)));
                Ok(())
            }
            Decision::GiveUp { failures } => {
                let end = format!("{name} has failed {failures} times and is given up; the last time: {reason}");
                tracing::error!("{end}");
                Err(end.into())
            }
        }
    }

    async fn stop_children(&mut self) {
        for child in self.children.iter_mut().rev() {
            if let Some(cell) = child.cell.take()
                && cell.stop_and_wait(None, Some(self.grace)).await.is_err()
            {
                cell.kill();
            }
        }
    }
}

impl Actor for Supervisor {
    type Msg = SupervisorMsg;
    type State = SupervisorState;
    type Arguments = SupervisorArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: SupervisorArgs,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let restarts = Restarts::new(args.intensity);
        let jitter = Jitter::new(args.seed);
        let mut state = SupervisorState { children: Vec::new(), jitter, grace: args.grace, started: Instant::now() };
        for mut spec in args.children {
            // Linked, a child sees this actor fail to start and goes with it.
            let cell = (spec.start)(myself.get_cell()).await?;
            state.children.push(Child::new(spec, restarts.clone(), cell));
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: SupervisorMsg,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let place = match message {
            SupervisorMsg::Restart(place) => place,
            SupervisorMsg::Show(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(state.children.iter().map(Child::line).collect());
                return Ok(());
            }
        };
        let Some(child) = state.children.get_mut(place) else {
            return Ok(());
        };
        let outcome = match (child.spec.start)(myself.get_cell()).await {
            Ok(cell) => {
                child.cell = Some(cell);
                child.again = child.again.saturating_add(1);
                Ok(())
            }
            Err(error) => state.on_failure(place, &error.to_string(), &myself),
        };
        if outcome.is_err() {
            state.stop_children().await;
        }
        outcome
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let place = event.actor_id().and_then(|id| {
            state.children.iter().position(|child| child.cell.as_ref().is_some_and(|cell| cell.get_id() == id))
        });
        let Some(place) = place else { return Ok(()) };
        let outcome = match event {
            SupervisionEvent::ActorFailed(_, reason) => state.on_failure(place, &reason.to_string(), &myself),
            SupervisionEvent::ActorTerminated(..) => {
                if let Some(child) = state.children.get_mut(place) {
                    child.cell = None;
                    child.done = true;
                }
                Ok(())
            }
            _ => Ok(()),
        };
        if outcome.is_err() {
            state.stop_children().await;
        }
        outcome
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, state: &mut SupervisorState) -> Result<(), ActorProcessingErr> {
        state.stop_children().await;
        Ok(())
    }
}
