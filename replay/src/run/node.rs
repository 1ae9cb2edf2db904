//! A simulated node: an engine whose steps take virtual time, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions};
use policy::rates::{Estimator, Step};
use protocol::cache::{BlockKey, CacheBatch, CacheChange};
use protocol::engine::{BlockHash, CacheEvent, Card, Engine, Event, RefusalReason};
use protocol::ids::JobKey;
use protocol::job::Job;
use protocol::message::WorkerReport;
use protocol::units::{Blocks, Tokens};

use super::schedule::Try;
use crate::results::Worked;

/// Keys in one batch, as nodes send them.
const PIECE: usize = 4096;

/// The events stream to one coordinator.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    up: bool,
    epoch: u64,
    sequence: u64,
    /// What is told comes after the snapshot, which comes then.
    ready: Duration,
}

/// A simulated node.
#[derive(Debug)]
pub(crate) struct Node {
    engine: MockEngine,
    /// A step is under way.
    busy: bool,
    /// What it will say.
    said: Vec<Event>,
    speed: Estimator,
    /// What its cache holds.
    mirror: BTreeSet<BlockKey>,
    links: Vec<Link>,
    /// Whose jobs these are.
    tries: BTreeMap<JobKey, Try>,
    /// Jobs of these that have no token yet.
    silent: BTreeSet<JobKey>,
    /// Jobs that wait for their first step, the oldest first.
    waiting: BTreeSet<(Duration, JobKey)>,
    came: BTreeMap<JobKey, Duration>,
    last: Option<WorkerReport>,
    pub(super) worked: Worked,
}

impl Node {
    pub(super) fn new(options: MockOptions, coordinators: usize) -> Self {
        Self {
            engine: MockEngine::new(options),
            busy: false,
            said: Vec::new(),
            speed: Estimator::default(),
            mirror: BTreeSet::new(),
            links: vec![Link::default(); coordinators],
            tries: BTreeMap::new(),
            silent: BTreeSet::new(),
            waiting: BTreeSet::new(),
            came: BTreeMap::new(),
            last: None,
            worked: Worked::default(),
        }
    }

    pub(crate) fn card(&self) -> &Card {
        self.engine.card()
    }

    /// Itself, as it reports now.
    pub(crate) fn report(&self, now: Duration) -> WorkerReport {
        WorkerReport {
            ready: true,
            load: self.engine.load(),
            oldest: self.waiting.first().map_or(Duration::ZERO, |(since, _)| now.saturating_sub(*since)),
            still: Duration::ZERO,
            rates: self.speed.rates(),
        }
    }

    /// Its report, unless it says what the last one said.
    pub(super) fn news(&mut self, now: Duration) -> Option<WorkerReport> {
        let report = self.report(now);
        let new = self.last != Some(report);
        self.last = Some(report);
        new.then_some(report)
    }

    pub(super) fn admit(&mut self, now: Duration, job: Job, by: Try) -> Result<(), RefusalReason> {
        let key = job.key;
        self.engine.admit(job)?;
        self.tries.insert(key, by);
        self.silent.insert(key);
        self.waiting.insert((now, key));
        self.came.insert(key, now);
        Ok(())
    }

    /// Whether it has work, or is in a step.
    pub(super) fn works(&self) -> bool {
        self.busy || !self.engine.load().is_idle()
    }

    /// Begins the next step, if there is work and none is under way. How long it takes.
    pub(super) fn start(&mut self) -> Result<Option<Duration>, String> {
        if self.busy || self.engine.load().is_idle() {
            return Ok(None);
        }
        let progress = self.engine.step(&mut self.said).map_err(|error| error.to_string())?;
        if progress.is_idle() && self.said.is_empty() {
            return Err("it has work and does nothing".to_owned());
        }
        self.speed.observe(Step { prefill: progress.prefill, decoded: progress.decoded, took: progress.pace });
        self.busy = true;
        self.worked.busy += progress.pace;
        self.worked.preempted += u64::from(progress.preempted);
        Ok(Some(progress.pace))
    }

    /// The step under way is over: what it says, and how the cache has changed by it.
    pub(super) fn end(&mut self) -> (Vec<Event>, Vec<CacheChange>) {
        self.busy = false;
        let mut events = Vec::new();
        self.engine.cache_events(&mut events);
        let changes = merge(events);
        for change in &changes {
            match change {
                CacheChange::Cleared => self.mirror.clear(),
                CacheChange::Stored(keys) => self.mirror.extend(keys),
                CacheChange::Removed(keys) => keys.iter().for_each(|key| {
                    self.mirror.remove(key);
                }),
            }
        }
        (std::mem::take(&mut self.said), changes)
    }

    /// A job has begun.
    pub(super) fn begun(&mut self, key: JobKey) {
        if let Some(came) = self.came.remove(&key) {
            self.waiting.remove(&(came, key));
        }
    }

    pub(super) fn whose(&self, key: JobKey) -> Option<Try> {
        self.tries.get(&key).copied()
    }

    /// A job has a token: whose it is, if that is its first.
    pub(super) fn speaks(&mut self, key: JobKey) -> Option<Try> {
        self.silent.remove(&key).then(|| self.whose(key)).flatten()
    }

    /// A job is over.
    pub(super) fn ended(&mut self, key: JobKey) -> Option<Try> {
        self.begun(key);
        self.silent.remove(&key);
        self.tries.remove(&key)
    }

    /// Stops what it does for a coordinator in one of its lives.
    pub(super) fn forget(&mut self, coordinator: usize, life: u32) {
        let theirs: Vec<JobKey> = self
            .tries
            .iter()
            .filter(|(_, by)| by.coordinator == coordinator && by.life == life)
            .map(|(key, _)| *key)
            .collect();
        for key in theirs {
            self.engine.cancel(key);
            self.ended(key);
        }
    }

    /// Loses the events stream to a coordinator.
    pub(super) fn lose(&mut self, coordinator: usize) {
        if let Some(link) = self.links.get_mut(coordinator) {
            link.up = false;
        }
    }

    /// Begins to tell a coordinator: all that is cached, in pieces, of which the last comes at `ready`.
    pub(super) fn connect(&mut self, coordinator: usize, ready: Duration) -> Vec<CacheBatch> {
        let keys: Vec<BlockKey> = self.mirror.iter().copied().collect();
        let pieces = keys.chunks(PIECE).map(|keys| CacheChange::Stored(keys.to_vec()));
        let all: Vec<CacheChange> = std::iter::once(CacheChange::Cleared).chain(pieces).collect();
        let model = self.engine.card().model.clone();
        let Some(link) = self.links.get_mut(coordinator) else { return Vec::new() };
        *link = Link { up: true, epoch: link.epoch + 1, sequence: 0, ready };
        all.into_iter().map(|change| link.batch(&model, vec![change])).collect()
    }

    /// What has changed, for a coordinator; nothing if it is not connected. What voids all begins a new epoch.
    pub(super) fn tell(&mut self, coordinator: usize, changes: &[CacheChange]) -> Vec<CacheBatch> {
        let Some(link) = self.links.get_mut(coordinator).filter(|link| link.up) else { return Vec::new() };
        let model = &self.engine.card().model;
        let voids = |change: &CacheChange| matches!(change, CacheChange::Cleared);
        let parts = changes.chunk_by(|_, next| !voids(next));
        let told = parts.map(|part| {
            if part.first().is_some_and(voids) {
                (link.epoch, link.sequence) = (link.epoch + 1, 0);
            }
            link.batch(model, part.to_vec())
        });
        told.collect()
    }

    /// Whether it is connected to a coordinator.
    pub(super) fn linked(&self, coordinator: usize) -> bool {
        self.links.get(coordinator).is_some_and(|link| link.up)
    }

    /// When what is told now can be heard at the earliest.
    pub(super) fn ready(&self, coordinator: usize) -> Duration {
        self.links.get(coordinator).map_or(Duration::ZERO, |link| link.ready)
    }

    /// How many of these blocks are cached, from the front.
    pub(crate) fn has(&self, chain: &[BlockHash]) -> Blocks {
        self.engine.cached_blocks(chain)
    }

    /// Blocks that are cached.
    pub(super) fn cached(&self) -> u64 {
        self.mirror.len() as u64
    }

    /// Whether it could ever take so many tokens.
    pub(super) fn fits(&self, input: Tokens, output: Tokens) -> bool {
        let card = self.engine.card();
        let all = input + output;
        all < card.context && all.blocks(card.block) <= card.blocks
    }
}

impl Link {
    fn batch(&mut self, model: &str, changes: Vec<CacheChange>) -> CacheBatch {
        let batch = CacheBatch { model: model.to_owned(), epoch: self.epoch, sequence: self.sequence, changes };
        self.sequence += batch.changes.iter().map(CacheChange::count).sum::<u64>();
        batch
    }
}

/// Events in a row of one kind, as one change.
fn merge(events: Vec<CacheEvent>) -> Vec<CacheChange> {
    let mut changes: Vec<CacheChange> = Vec::new();
    for event in events {
        match (event, changes.last_mut()) {
            (CacheEvent::Cleared, _) => changes.push(CacheChange::Cleared),
            (CacheEvent::Stored { hash, .. }, Some(CacheChange::Stored(keys))) => keys.push(hash.into()),
            (CacheEvent::Stored { hash, .. }, _) => changes.push(CacheChange::Stored(vec![hash.into()])),
            (CacheEvent::Removed { hash }, Some(CacheChange::Removed(keys))) => keys.push(hash.into()),
            (CacheEvent::Removed { hash }, _) => changes.push(CacheChange::Removed(vec![hash.into()])),
        }
    }
    changes
}
