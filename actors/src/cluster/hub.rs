//! A supervisor of work that comes and goes: links to nodes, requests. Each is an actor of its own; one
//! that fails is reported and harms no other. Nothing is started again here: whoever asked knows better.

use futures_util::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

/// A piece of work.
pub struct Work {
    /// For the log.
    pub name: &'static str,
    /// What to do.
    pub future: BoxFuture<'static, ()>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The supervisor. Whoever sends it work holds a permit, so its mailbox is bounded.
#[derive(Debug)]
pub struct Hub;

impl Actor for Hub {
    type Msg = Work;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<Work>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Work>, work: Work, (): &mut ()) -> Result<(), ActorProcessingErr> {
        // A failure to start drops the work, whose guards tell whoever waits for it.
        if let Err(error) = Actor::spawn_linked(None, Worker, work, myself.get_cell()).await {
            tracing::error!("work could not be started: {error}");
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Work>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            tracing::error!("an actor has failed: {error}");
        }
        Ok(())
    }
}

/// Does one piece of work and stops.
struct Worker;

struct Go;

impl Actor for Worker {
    type Msg = Go;
    type State = Option<Work>;
    type Arguments = Work;

    async fn pre_start(&self, myself: ActorRef<Go>, work: Work) -> Result<Option<Work>, ActorProcessingErr> {
        myself.cast(Go)?;
        Ok(Some(work))
    }

    async fn handle(&self, myself: ActorRef<Go>, _go: Go, work: &mut Option<Work>) -> Result<(), ActorProcessingErr> {
        if let Some(work) = work.take() {
            work.future.await;
        }
        myself.stop(None);
        Ok(())
    }
}
