//! An engine that is watched: what it did for each job, by its own count.

use std::collections::BTreeMap;
use std::sync::Arc;

use actors::guarded::Guarded;
use actors::mock::{MockEngine, MockOptions};
use protocol::engine::{
    BlockData, BlockHash, CacheEvent, Card, Engine, EngineError, Event, Grant, Imported, Layout, Load, Progress,
    RefusalReason,
};
use protocol::ids::{JobKey, RequestId};
use protocol::job::{Job, JobUsage};
use protocol::units::{Blocks, Tokens};

/// What engines did for a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tokens of the answer that were there before.
    pub(crate) base: Tokens,
    /// Found in the cache, once that was known.
    pub(crate) cached: Option<Tokens>,
    /// Tokens that it chose.
    pub(crate) tokens: Tokens,
    /// What it said at the end.
    pub(crate) usage: Option<JobUsage>,
    pub(crate) cancelled: bool,
}

/// What all engines of a test did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(Arc<Guarded<BTreeMap<JobKey, Count>>>);

impl Counts {
    fn with<T>(&self, key: JobKey, change: impl FnOnce(&mut Count) -> T) -> T {
        change(self.0.lock().entry(key).or_default())
    }

    /// The jobs of a request, by choice and attempt.
    pub(crate) fn of(&self, request: RequestId) -> Vec<(JobKey, Count)> {
        let all = self.0.lock();
        all.iter().filter(|(key, _)| key.request == request).map(|(key, count)| (*key, *count)).collect()
    }
}

pub(crate) struct Counting {
    inner: MockEngine,
    counts: Counts,
}

impl Counting {
    pub(crate) fn new(options: MockOptions, counts: Counts) -> Self {
        Self { inner: MockEngine::new(options), counts }
    }
}

impl Engine for Counting {
    fn card(&self) -> &Card {
        self.inner.card()
    }

    fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason> {
        let (key, base) = (job.key, Tokens::of(job.generated.len()));
        let grant = self.inner.admit(job)?;
        self.counts.with(key, |count| count.base = base);
        Ok(grant)
    }

    fn cancel(&mut self, key: JobKey) -> Option<JobUsage> {
        let usage = self.inner.cancel(key)?;
        self.counts.with(key, |count| (count.usage, count.cancelled) = (Some(usage), true));
        Some(usage)
    }

    fn step(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        let before = events.len();
        let progress = self.inner.step(events)?;
        for event in &events[before..] {
            match event {
                Event::Started { key, cached } => self.counts.with(*key, |count| count.cached = Some(*cached)),
                Event::Token { key, .. } => self.counts.with(*key, |count| count.tokens += Tokens(1)),
                Event::Finished { key, usage, .. } => self.counts.with(*key, |count| count.usage = Some(*usage)),
                Event::Failed { .. } => {}
            }
        }
        Ok(progress)
    }

    fn load(&self) -> Load {
        self.inner.load()
    }

    fn cache_events(&mut self, events: &mut Vec<CacheEvent>) {
        self.inner.cache_events(events);
    }

    fn restart_cache_events(&mut self) {
        self.inner.restart_cache_events();
    }

    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn cached_blocks(&self, hashes: &[BlockHash]) -> Blocks {
        self.inner.cached_blocks(hashes)
    }

    fn export_blocks(&mut self, hashes: &[BlockHash], out: &mut Vec<BlockData>) {
        self.inner.export_blocks(hashes, out);
    }

    fn import_blocks(&mut self, layout: &Layout, blocks: Vec<BlockData>) -> Imported {
        self.inner.import_blocks(layout, blocks)
    }
}
