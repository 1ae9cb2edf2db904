//! Moves an engine step by step and notes when what came out.

use std::time::Duration;

use protocol::engine::{Engine, Event, Load, Progress};
use protocol::ids::{JobKey, TokenId};
use protocol::units::Tokens;

use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::workload::job;

/// Steps in a row that may do nothing while jobs are there: a preemption takes one.
const PATIENCE: u32 = 16;

/// What one step did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// When it ended, since the drive began.
    pub(crate) end: Duration,
    pub(crate) took: Duration,
    pub(crate) progress: Progress,
    /// Jobs that begin, with what was cached of their prompt.
    pub(crate) started: Vec<(JobKey, Tokens)>,
    /// Jobs that got a token.
    pub(crate) tokens: Vec<JobKey>,
    /// Jobs that ended.
    pub(crate) ended: Vec<JobKey>,
}

/// An engine with a clock beside it.
pub(crate) struct Drive<'a> {
    engine: &'a mut dyn Engine,
    clock: Stopwatch,
    events: Vec<Event>,
    jobs: u128,
    idle: u32,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(engine: &'a mut dyn Engine) -> Self {
        Self { engine, clock: Stopwatch::start(), events: Vec::new(), jobs: 0, idle: 0 }
    }

    /// Time since the drive began.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Hands a prompt in, to be answered with so many tokens.
    ///
    /// # Errors
    /// The engine refuses.
    pub(crate) fn ask(&mut self, prompt: Vec<TokenId>, tokens: usize) -> Result<JobKey, BenchError> {
        self.jobs += 1;
        let job = job(self.jobs, prompt, tokens as u64);
        let key = job.key;
        self.engine.admit(job)?;
        Ok(key)
    }

    /// Computes one step.
    ///
    /// # Errors
    /// The engine or a job failed, or nothing moves any more.
    pub(crate) fn step(&mut self) -> Result<Step, BenchError> {
        let begin = self.clock.elapsed();
        let progress = self.engine.step(&mut self.events)?;
        let end = self.clock.elapsed();
        let mut step = Step { end, took: end.saturating_sub(begin), progress, ..Step::default() };
        for event in self.events.drain(..) {
            match event {
                Event::Started { key, cached } => step.started.push((key, cached)),
                Event::Token { key, .. } => step.tokens.push(key),
                Event::Finished { key, .. } => step.ended.push(key),
                Event::Failed { key, error } => return Err(BenchError::Job { key, fault: error }),
            }
        }
        self.idle = if progress.is_idle() { self.idle + 1 } else { 0 };
        let load = self.engine.load();
        if self.idle > PATIENCE && !load.is_idle() {
            let Load { running, waiting, .. } = load;
            return Err(BenchError::Stalled { running, waiting, steps: self.idle });
        }
        Ok(step)
    }

    /// Steps until all jobs have ended; returns how long that took.
    ///
    /// # Errors
    /// As of [`Drive::step`].
    pub(crate) fn finish(&mut self) -> Result<Duration, BenchError> {
        let begin = self.now();
        while !self.engine.load().is_idle() {
            self.step()?;
        }
        Ok(self.now().saturating_sub(begin))
    }

    /// Ends a job without waiting for it.
    pub(crate) fn cancel(&mut self, key: JobKey) {
        self.engine.cancel(key);
    }

    pub(crate) fn load(&self) -> Load {
        self.engine.load()
    }

    /// Tokens in a block.
    pub(crate) fn block(&self) -> u64 {
        self.engine.card().block.0
    }

    /// The longest prompt and answer together.
    pub(crate) fn context(&self) -> usize {
        self.engine.card().context.as_usize()
    }
}
