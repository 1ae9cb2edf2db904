//! The worker: one engine on a thread of its own, and everybody's way to it.
//!
//! Rules: the engine is made, used and dropped on one thread ([`Drive::Thread`]), or for mocks in one
//! task whose time a test can pause ([`Drive::Task`]). Jobs come over a bounded channel; what they
//! bring goes into a channel per job that holds a whole answer, so a slow reader never holds the
//! engine up and loses nothing. To drop an [`Attempt`] is to cancel it, within a step.
//!
//! An engine that fails or panics ends its jobs with `WorkerLost` and takes the worker's actor with
//! it; the supervisor starts the next one, and meanwhile jobs are refused with `NotReady`. A
//! [`WorkerHandle`] outlives all of this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use protocol::config::Model;
use protocol::engine::{Card, Engine, RefusalReason};
use protocol::job::Job;
use protocol::message::{Refused, WorkerReport};
use protocol::units::Tokens;
use ractor::Actor;
use text::bundle::TextBundle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::supervisor::ChildSpec;

mod actor;
mod attempt;
mod desk;
mod exchange;
mod feed;
mod metrics;

pub use actor::Worker;
pub use attempt::{Attempt, Update};
pub use feed::{CacheListener, Heard};
pub use metrics::WorkerMetrics;

use desk::{Command, Vitals};
use feed::Feed;

/// Jobs on their way to the engine; more are refused at once. The engine's own queue is the real bound.
const COMMANDS: usize = 256;
/// When to ask again while a worker starts.
const STARTING: Duration = Duration::from_secs(1);
/// When to ask again while its queue is full.
const FULL: Duration = Duration::from_millis(250);
/// Nobody is asked to wait longer.
const LONGEST: Duration = Duration::from_secs(600);

/// An engine that is ready, and the words that go with it.
pub struct Loaded {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Its tokenizer and chat template.
    pub bundle: TextBundle,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("card", self.engine.card()).finish_non_exhaustive()
    }
}

/// Makes an engine, on the thread that will own it. Called again after every failure.
pub type Factory = Arc<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// What moves an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// A thread of the operating system: for real engines.
    Thread,
    /// A task of the runtime: for mocks, whose steps cost nothing but pretended time.
    Task,
}

/// What a worker serves; it stays the same over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The engine's card.
    pub card: Card,
    /// Its words.
    pub bundle: TextBundle,
}

/// How far a worker is with its first engine.
#[derive(Clone, Debug)]
enum Phase {
    Starting,
    Served(Arc<Served>),
    Failed(String),
}

/// What outlives an engine.
struct Board {
    model: String,
    /// The way to the engine; none while there is no engine. The strong end is the actor's.
    commands: ArcSwapOption<mpsc::WeakSender<Command>>,
    phase: watch::Sender<Phase>,
    vitals: watch::Sender<Vitals>,
    /// What is cached.
    feed: Arc<Feed>,
    metrics: WorkerMetrics,
    /// Prefill that may be due before jobs are refused.
    queue_tokens: AtomicU64,
}

/// Everybody's way to a worker. Cheap to clone.
#[derive(Clone)]
pub struct WorkerHandle {
    board: Arc<Board>,
}

impl std::fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerHandle").field("model", &self.board.model).finish_non_exhaustive()
    }
}

/// A worker for `model`: the handle to it, and the child that a supervisor shall run.
pub fn worker(
    model: impl Into<String>,
    factory: Factory,
    drive: Drive,
    metrics: WorkerMetrics,
) -> (WorkerHandle, ChildSpec) {
    let model = model.into();
    let board = Arc::new(Board {
        model: model.clone(),
        commands: ArcSwapOption::empty(),
        phase: watch::Sender::new(Phase::Starting),
        vitals: watch::Sender::new(Vitals::absent(Instant::now())),
        feed: Feed::new(),
        metrics,
        queue_tokens: AtomicU64::new(Model::default().queue_tokens.into()),
    });
    let handle = WorkerHandle { board: Arc::clone(&board) };
    let child = ChildSpec::new(format!("worker {model}"), move |parent| {
        let args = actor::WorkerArgs { factory: Arc::clone(&factory), drive, board: Arc::clone(&board) };
        async move { Worker::spawn_linked(None, Worker, args, parent).await.map(|(worker, _)| worker.get_cell()) }
    });
    (handle, child)
}

impl WorkerHandle {
    /// The model's name.
    pub fn model(&self) -> &str {
        &self.board.model
    }

    /// Waits for the first engine.
    ///
    /// # Errors
    /// Why it could not be made; the supervisor tries again all the same.
    pub async fn served(&self) -> Result<Arc<Served>, String> {
        let mut phase = self.board.phase.subscribe();
        let known = phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await;
        match known.as_deref() {
            Ok(Phase::Served(served)) => Ok(Arc::clone(served)),
            Ok(Phase::Failed(reason)) => Err(reason.clone()),
            Ok(Phase::Starting) | Err(_) => Err("the worker is gone".to_owned()),
        }
    }

    /// What it serves, if that is known yet.
    fn known(&self) -> Option<Arc<Served>> {
        if let Phase::Served(served) = &*self.board.phase.borrow() { Some(Arc::clone(served)) } else { None }
    }

    /// Its card, once an engine has been there.
    pub fn card(&self) -> Option<Card> {
        self.known().map(|served| served.card.clone())
    }

    /// Its words, once an engine has been there.
    pub fn bundle(&self) -> Option<TextBundle> {
        self.known().map(|served| served.bundle.clone())
    }

    /// What its engine has cached, from now on.
    pub async fn cache(&self) -> CacheListener {
        self.board.feed.listen().await
    }

    /// How it is now.
    pub fn report(&self) -> WorkerReport {
        self.board.vitals.borrow().report(Instant::now())
    }

    /// Sets how much prefill may be due before jobs are refused; see [`policy::queue::backlog`].
    pub fn bound_queue(&self, tokens: Tokens) {
        self.board.queue_tokens.store(tokens.0, Ordering::Relaxed);
    }

    /// Hands a job to the engine and waits for its word: between two steps, at the latest.
    ///
    /// # Errors
    /// Why not, and when to ask again.
    pub async fn submit(&self, job: Job) -> Result<Attempt, Refused> {
        self.submit_within(job, None).await
    }

    /// Likewise; if its prefill has not begun within this time, it fails with [`protocol::engine::JobFault::Expired`].
    ///
    /// # Errors
    /// Why not, and when to ask again.
    pub async fn submit_within(&self, job: Job, time: Option<Duration>) -> Result<Attempt, Refused> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        let commands = self.board.commands.load_full().and_then(|weak| weak.upgrade());
        let Some(commands) = commands else {
            return Err(self.refused(RefusalReason::NotReady));
        };
        let context = self.known().map_or(usize::MAX, |served| served.card.context.as_usize());
        let (outbox, mut attempt) = attempt::channel(&job, context);
        let (reply, granted) = oneshot::channel();
        let command = Command::Job { job, outbox, deadline, reply };
        if let Err(error) = commands.try_send(command) {
            return Err(self.refused(match error {
                mpsc::error::TrySendError::Full(_) => RefusalReason::QueueFull { limit: COMMANDS as u32 },
                mpsc::error::TrySendError::Closed(_) => RefusalReason::NotReady,
            }));
        }
        // The strong end must not outlive the actor's.
        drop(commands);
        match granted.await {
            Ok(Ok(grant)) => {
                attempt.granted(grant);
                Ok(attempt)
            }
            Ok(Err(reason)) => Err(self.refused(reason)),
            Err(_) => Err(self.refused(RefusalReason::NotReady)),
        }
    }

    /// A refusal with what the worker carries and when to ask again.
    pub fn refused(&self, reason: RefusalReason) -> Refused {
        let report = self.report();
        let retry_after = match reason {
            RefusalReason::NotReady => Some(STARTING),
            RefusalReason::QueueFull { .. } => Some(FULL),
            // A quarter of the bound is free again after that time.
            RefusalReason::QueueTokens { queued, limit } if report.rates.prefill > 0 => {
                let excess = (queued + Tokens(limit.0 / 4)) - limit;
                Some(Duration::from_secs_f64(excess.0 as f64 / f64::from(report.rates.prefill)).clamp(FULL, LONGEST))
            }
            RefusalReason::QueueTokens { .. } => Some(FULL),
            _ => None,
        };
        Refused { reason, retry_after, load: report.load }
    }
}
