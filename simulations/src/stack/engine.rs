//! A node's machine: a mock engine with a switch for what goes wrong with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use actors::mock::{MockEngine, MockOptions, Timing};
use protocol::engine::{
    BlockData, BlockHash, CacheEvent, Card, Engine, EngineError, Event, Grant, Imported, JobFault, Layout, Load,
    Progress, RefusalReason,
};
use protocol::ids::JobKey;
use protocol::job::{Job, JobUsage};
use protocol::units::Blocks;

use super::cluster::BLOCK;

/// What an engine says when it panics because its scenario wants it.
pub const PANIC: &str = "the scenario wants a panic";

/// Steps after which jobs are given back. An engine that does nothing is asked every 10 ms.
const HOLDS: u32 = 30;

/// What goes wrong with a machine, from the next step on. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Switch(Arc<Faults>);

#[derive(Debug, Default)]
struct Faults {
    stalled: AtomicBool,
    fails: AtomicBool,
    panics: AtomicBool,
    sick: AtomicBool,
    admitted: AtomicU32,
    /// The most jobs that an engine has held at once, since somebody asked.
    together: AtomicU32,
}

impl Switch {
    /// Nothing is computed any more, or again.
    pub fn stall(&self, stalled: bool) {
        self.0.stalled.store(stalled, Ordering::Relaxed);
    }

    /// The next step fails, and the engine with it.
    pub fn fail(&self) {
        self.0.fails.store(true, Ordering::Relaxed);
    }

    /// The next step panics.
    pub fn panic(&self) {
        self.0.panics.store(true, Ordering::Relaxed);
    }

    /// Each job is given back as lost after a third of a second, or is computed again.
    pub fn sicken(&self, sick: bool) {
        self.0.sick.store(sick, Ordering::Relaxed);
    }

    /// Jobs that its engines have taken so far.
    pub fn admitted(&self) -> u32 {
        self.0.admitted.load(Ordering::Relaxed)
    }

    /// The most jobs that came beside each other since this was asked last.
    pub fn together(&self) -> u32 {
        self.0.together.swap(0, Ordering::Relaxed)
    }
}

/// What a node computes with; its engines share the switch.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How large and how fast.
    pub options: MockOptions,
    /// What goes wrong.
    pub switch: Switch,
}

impl Machine {
    /// With so many blocks; a token takes 10 ms, a prompt token 20 us.
    pub fn of(blocks: u32) -> Self {
        let micros = std::time::Duration::from_micros;
        let timing = Timing {
            prefill_per_token: micros(20),
            decode_per_step: micros(10_000),
            decode_per_sequence: micros(100),
            ..Timing::ZERO
        };
        Self::with(MockOptions { timing, blocks, block: BLOCK as u32, ..MockOptions::default() })
    }

    /// With these options.
    pub fn with(options: MockOptions) -> Self {
        Self { options, switch: Switch::default() }
    }

    /// So many times as slow.
    #[must_use]
    pub fn slower(mut self, times: u32) -> Self {
        let timing = &mut self.options.timing;
        timing.prefill_per_token *= times;
        timing.decode_per_step *= times;
        timing.decode_per_sequence *= times;
        self
    }

    pub(super) fn engine(&self) -> Box<dyn Engine> {
        Box::new(Switched {
            inner: MockEngine::new(self.options.clone()),
            switch: self.switch.clone(),
            jobs: BTreeSet::new(),
            idle: 0,
        })
    }
}

struct Switched {
    inner: MockEngine,
    switch: Switch,
    jobs: BTreeSet<JobKey>,
    /// Steps without work, while jobs are to be given back.
    idle: u32,
}

impl Engine for Switched {
    fn card(&self) -> &Card {
        self.inner.card()
    }

    fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason> {
        let key = job.key;
        let grant = self.inner.admit(job)?;
        self.switch.0.admitted.fetch_add(1, Ordering::Relaxed);
        self.jobs.insert(key);
        let held = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        self.switch.0.together.fetch_max(held, Ordering::Relaxed);
        Ok(grant)
    }

    fn cancel(&mut self, key: JobKey) -> Option<JobUsage> {
        self.jobs.remove(&key);
        self.inner.cancel(key)
    }

    #[expect(clippy::panic, reason = "a fault that scenarios ask for: the owner of an engine must survive it")]
    fn step(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        let faults = &self.switch.0;
        if self.inner.load().is_idle() || faults.stalled.load(Ordering::Relaxed) {
            return Ok(Progress::default());
        }
        if faults.panics.swap(false, Ordering::Relaxed) {
            std::panic::panic_any(PANIC);
        }
        if faults.fails.swap(false, Ordering::Relaxed) {
            let reason = "the scenario wants a failure".to_owned();
            return Err(EngineError::Device { operation: "step".to_owned(), reason });
        }
        if faults.sick.load(Ordering::Relaxed) {
            // Others may come meanwhile, who must not be let in beside a probe.
            self.idle += 1;
            if self.idle < HOLDS {
                return Ok(Progress::default());
            }
            self.idle = 0;
            for key in std::mem::take(&mut self.jobs) {
                self.inner.cancel(key);
                let reason = "the scenario wants it to be given back".to_owned();
                events.push(Event::Failed { key, error: JobFault::WorkerLost { reason } });
            }
            return Ok(Progress::default());
        }
        let progress = self.inner.step(events)?;
        for event in events.iter() {
            if let Event::Finished { key, .. } | Event::Failed { key, .. } = event {
                self.jobs.remove(key);
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
