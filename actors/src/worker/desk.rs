//! The loop around an engine: take jobs, forget those nobody wants, step, hand on what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use policy::queue::backlog;
use policy::rates::{Estimator, Step};
use protocol::engine::{CacheEvent, Engine, EngineError, Event, Grant, JobFault, Load, Progress, RefusalReason};
use protocol::ids::JobKey;
use protocol::job::{Finish, Job};
use protocol::message::{Rates, WorkerReport};
use protocol::units::Tokens;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::Board;
use super::attempt::{Item, Outbox};
use super::exchange::Exchange;

/// How long an engine that has jobs but does nothing is left alone: it must not spin.
const STALLED: Duration = Duration::from_millis(10);

/// What an engine hears between two steps.
pub(super) enum Command {
    /// A job for it.
    Job {
        job: Job,
        outbox: Outbox,
        /// Nobody wants it any more if its prefill has not begun by then.
        deadline: Option<Instant>,
        reply: oneshot::Sender<Result<Grant, RefusalReason>>,
    },
    /// Something about its cached blocks.
    Blocks(Exchange),
}

/// How a worker was when it last said so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vitals {
    ready: bool,
    load: Load,
    /// When the oldest job that still waits was granted.
    waiting: Option<Instant>,
    /// The last step that did work, or when work came after a pause.
    active: Instant,
    rates: Rates,
}

impl Vitals {
    /// No engine.
    pub(super) fn absent(now: Instant) -> Self {
        Self { ready: false, load: Load::default(), waiting: None, active: now, rates: Rates::default() }
    }

    pub(super) fn report(&self, now: Instant) -> WorkerReport {
        WorkerReport {
            ready: self.ready,
            load: self.load,
            oldest: self.waiting.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            still: now.saturating_duration_since(self.active),
            rates: self.rates,
        }
    }
}

struct Held {
    outbox: Outbox,
    granted: Instant,
    started: bool,
    deadline: Option<Instant>,
}

/// An engine and its jobs.
pub(super) struct Desk {
    engine: Box<dyn Engine>,
    /// Room for what the engine says of its cache.
    cached: Vec<CacheEvent>,
    jobs: BTreeMap<JobKey, Held>,
    board: Arc<Board>,
    active: Instant,
    /// How fast this engine is; the next one, after a failure, is measured anew.
    speed: Estimator,
}

impl Desk {
    pub(super) fn new(engine: Box<dyn Engine>, board: Arc<Board>) -> Self {
        Self {
            cached: Vec::new(),
            engine,
            jobs: BTreeMap::new(),
            board,
            active: Instant::now(),
            speed: Estimator::default(),
        }
    }

    /// Works until the channel closes.
    ///
    /// # Errors
    /// The engine failed.
    pub(super) async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<(), EngineError> {
        loop {
            if self.engine.load().is_idle() {
                self.lose("the engine has forgotten it");
                self.publish();
                let Some(command) = commands.recv().await else {
                    return Ok(());
                };
                self.active = Instant::now();
                self.take(command);
            }
            loop {
                match commands.try_recv() {
                    Ok(command) => self.take(command),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.sweep();
            if self.engine.load().is_idle() {
                // No job came, but blocks of another node may have.
                self.board.feed.hear(self.engine.as_mut(), &mut self.cached).await;
                continue;
            }
            self.publish();
            let (progress, events) = self.step()?;
            if !progress.pace.is_zero() {
                sleep(progress.pace).await;
            }
            let silent = progress.is_idle() && events.is_empty();
            self.deliver(progress, events);
            // After the tokens: they do not wait for this.
            self.board.feed.hear(self.engine.as_mut(), &mut self.cached).await;
            self.publish();
            if silent {
                match timeout(STALLED, commands.recv()).await {
                    Ok(Some(command)) => self.take(command),
                    Ok(None) => return Ok(()),
                    Err(_) => {}
                }
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Ends all jobs: the engine is of no use any more.
    pub(super) fn lose(&mut self, reason: &str) {
        for held in std::mem::take(&mut self.jobs).into_values() {
            held.outbox.put(Item::Failed(JobFault::WorkerLost { reason: reason.to_owned() }));
        }
    }

    fn take(&mut self, command: Command) {
        let (job, outbox, deadline, reply) = match command {
            Command::Job { job, outbox, deadline, reply } => (job, outbox, deadline, reply),
            Command::Blocks(exchange) => return exchange.run(self.engine.as_mut()),
        };
        if !outbox.is_wanted() {
            return;
        }
        let key = job.key;
        let prompt = Tokens::of(job.prompt.len() + job.generated.len());
        let bound = Tokens(self.board.queue_tokens.load(Ordering::Relaxed));
        let room = backlog::admit(self.engine.load().prefill, prompt, job.priority, bound);
        let granted = room.and_then(|()| self.engine.admit(job));
        if granted.is_ok() {
            self.jobs.insert(key, Held { outbox, granted: Instant::now(), started: false, deadline });
        }
        // If nobody listens any more, the next sweep ends the job.
        drop(reply.send(granted));
    }

    /// Cancels what nobody wants any more, and what comes too late.
    fn sweep(&mut self) {
        let now = Instant::now();
        self.jobs.retain(|key, held| {
            let late = !held.started && held.deadline.is_some_and(|deadline| deadline <= now);
            let wanted = held.outbox.is_wanted();
            if wanted && !late {
                return true;
            }
            let Some(usage) = self.engine.cancel(*key) else { return true };
            let last = if wanted { Item::Failed(JobFault::Expired) } else { Item::Finished(Finish::Cancelled, usage) };
            held.outbox.put(last);
            false
        });
    }

    fn step(&mut self) -> Result<(Progress, Vec<Event>), EngineError> {
        let mut events = Vec::new();
        let begun = Instant::now();
        let progress = self.engine.step(&mut events)?;
        if !progress.is_idle() {
            let took = begun.elapsed() + progress.pace;
            self.board.metrics.step_seconds.record(took.as_secs_f64());
            self.speed.observe(Step { prefill: progress.prefill, decoded: progress.decoded, took });
        }
        Ok((progress, events))
    }

    fn deliver(&mut self, progress: Progress, events: Vec<Event>) {
        let metrics = &self.board.metrics;
        metrics.prefilled.increment(progress.prefill.0);
        metrics.preemptions.increment(progress.preempted.into());
        if !progress.is_idle() {
            self.active = Instant::now();
        }
        for event in events {
            let (key, item, last) = match event {
                Event::Started { key, cached } => (key, Item::Begun(cached), false),
                Event::Token { key, sampled } => (key, Item::Token(sampled), false),
                Event::Finished { key, finish, usage } => (key, Item::Finished(finish, usage), true),
                Event::Failed { key, error } => (key, Item::Failed(error), true),
            };
            let Some(held) = self.jobs.get_mut(&key) else { continue };
            match &item {
                Item::Begun(cached) => {
                    held.started = true;
                    metrics.cached.increment(cached.0);
                }
                Item::Token(_) => metrics.generated.increment(1),
                _ => {}
            }
            let room = held.outbox.put(item);
            if !room {
                tracing::error!("job {key}: the engine says more than was asked for; it is cancelled");
                self.engine.cancel(key);
            }
            if last || !room {
                self.jobs.remove(&key);
            }
        }
    }

    fn publish(&self) {
        let load = self.engine.load();
        let waiting = self.jobs.values().filter(|held| !held.started).map(|held| held.granted).min();
        self.board.metrics.carry(&load);
        let rates = self.speed.rates();
        self.board.vitals.send_replace(Vitals { ready: true, load, waiting, active: self.active, rates });
    }
}
