//! The actor that owns an engine's thread: it lives as long as the engine does, and fails with it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::desk::{Command, Desk, Vitals};
use super::{Board, COMMANDS, Drive, Factory, Loaded, Phase, Served};

/// A worker's actor.
#[derive(Debug)]
pub struct Worker;

/// What a worker needs, for every start anew.
pub struct WorkerArgs {
    pub(super) factory: Factory,
    pub(super) drive: Drive,
    pub(super) board: Arc<Board>,
}

impl std::fmt::Debug for WorkerArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerArgs").field("drive", &self.drive).finish_non_exhaustive()
    }
}

/// What a worker hears.
#[derive(Debug)]
pub enum WorkerMsg {
    /// Its engine is gone, with the reason.
    Ended(String),
}

/// The strong end of the engine's channel: without it the engine's loop ends.
pub struct WorkerState {
    commands: Option<mpsc::Sender<Command>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl std::fmt::Debug for WorkerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerState").finish_non_exhaustive()
    }
}

impl Actor for Worker {
    type Msg = WorkerMsg;
    type State = WorkerState;
    type Arguments = WorkerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<WorkerMsg>,
        args: WorkerArgs,
    ) -> Result<WorkerState, ActorProcessingErr> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (end, ended) = oneshot::channel();
        let way = commands.downgrade();
        let WorkerArgs { factory, drive, board } = args;
        let name = format!("engine {}", board.model);
        let work = async move {
            let reason = run(&factory, &board, inbox, way).await;
            board.commands.store(None);
            board.feed.lose().await;
            board.vitals.send_replace(Vitals::absent(Instant::now()));
            // Both fail only if the actor is gone, and then nobody needs to know.
            drop(myself.send_message(WorkerMsg::Ended(reason)));
            let _ = end.send(());
        };
        match drive {
            Drive::Task => drop(tokio::spawn(work)),
            Drive::Thread => {
                let runtime = Handle::current();
                std::thread::Builder::new().name(name).spawn(move || runtime.block_on(work))?;
            }
        }
        Ok(WorkerState { commands: Some(commands), ended: Some(ended) })
    }

    async fn handle(
        &self,
        _: ActorRef<WorkerMsg>,
        message: WorkerMsg,
        _: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        let WorkerMsg::Ended(reason) = message;
        Err(reason.into())
    }

    async fn post_stop(&self, _: ActorRef<WorkerMsg>, state: &mut WorkerState) -> Result<(), ActorProcessingErr> {
        state.commands = None;
        if let Some(ended) = state.ended.take() {
            // An error means that the thread is gone already.
            drop(ended.await);
        }
        Ok(())
    }
}

/// Makes an engine and serves until its end; gives the reason of it.
async fn run(
    factory: &Factory,
    board: &Arc<Board>,
    mut inbox: mpsc::Receiver<Command>,
    way: mpsc::WeakSender<Command>,
) -> String {
    let loaded = match std::panic::catch_unwind(AssertUnwindSafe(|| factory())) {
        Ok(loaded) => loaded.and_then(|loaded| introduce(board, loaded)),
        Err(panic) => Err(said(panic.as_ref())),
    };
    let engine = match loaded {
        Ok(loaded) => loaded.engine,
        Err(reason) => {
            board.phase.send_if_modified(|phase| {
                let first = matches!(phase, Phase::Starting | Phase::Failed(_));
                if first {
                    *phase = Phase::Failed(reason.clone());
                }
                first
            });
            return reason;
        }
    };
    board.commands.store(Some(Arc::new(way)));
    let mut desk = Desk::new(engine, Arc::clone(board));
    let outcome = AssertUnwindSafe(desk.serve(&mut inbox)).catch_unwind().await;
    let reason = match outcome {
        Ok(Ok(())) => "it was stopped".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => said(panic.as_ref()),
    };
    if std::panic::catch_unwind(AssertUnwindSafe(|| desk.lose(&reason))).is_err() {
        tracing::error!("the engine of {} panicked twice", board.model);
    }
    reason
}

/// Shows what the engine serves; a restarted one must serve the same.
fn introduce(board: &Board, loaded: Loaded) -> Result<Loaded, String> {
    let served = Served { card: loaded.engine.card().clone(), bundle: loaded.bundle.clone() };
    let known = if let Phase::Served(known) = &*board.phase.borrow() { Some(Arc::clone(known)) } else { None };
    match known {
        Some(known) if *known != served => Err("its model has changed: restart the node".to_owned()),
        Some(_) => {
            board.metrics.restarts.increment(1);
            Ok(loaded)
        }
        None => {
            board.phase.send_replace(Phase::Served(Arc::new(served)));
            Ok(loaded)
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
