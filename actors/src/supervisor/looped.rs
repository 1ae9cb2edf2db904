//! Children of the supervisor that run for ever.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::ChildSpec;

/// A child that runs a future, which must not end: if it does, that is a failure.
pub fn looped(name: &'static str, make: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> ChildSpec {
    let make = Arc::new(make);
    ChildSpec::new(name, move |parent| {
        let make = Arc::clone(&make);
        async move { Actor::spawn_linked(None, Loop { name }, make(), parent).await.map(|(actor, _)| actor.get_cell()) }
    })
}

struct Loop {
    name: &'static str,
}

struct Go;

impl Actor for Loop {
    type Msg = Go;
    type State = Option<BoxFuture<'static, ()>>;
    type Arguments = BoxFuture<'static, ()>;

    async fn pre_start(
        &self,
        myself: ActorRef<Go>,
        work: BoxFuture<'static, ()>,
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.cast(Go)?;
        Ok(Some(work))
    }

    async fn handle(&self, _myself: ActorRef<Go>, _go: Go, work: &mut Self::State) -> Result<(), ActorProcessingErr> {
        if let Some(work) = work.take() {
            work.await;
        }
        Err(format!("{} has come to an end", self.name).into())
    }
}
