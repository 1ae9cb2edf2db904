//! An engine under watch: what must hold after every call is checked after every call.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::trace::{End, Trace, check_finish};
use super::{Bench, Shape, jobs};
use crate::engine::{
    BlockData, BlockHash, CacheEvent, Card, Engine, Event, Grant, Imported, Layout, Load, Progress, RefusalReason,
};
use crate::ids::JobKey;
use crate::job::{Job, JobUsage};
use crate::units::{Blocks, Tokens};

/// Steps after which a run is taken to be endless.
const ENDLESS: u32 = 20_000;

/// What one step brought.
pub(super) struct Stepped {
    pub(super) progress: Progress,
    pub(super) events: Vec<Event>,
}

impl Stepped {
    /// Tokens that a job got in this step.
    pub(super) fn tokens_of(&self, key: JobKey) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Token { key: of, .. } if *of == key)).count()
    }
}

/// An engine with its jobs' traces.
pub(super) struct Watched {
    engine: Box<dyn Engine>,
    shape: Shape,
    pub(super) traces: BTreeMap<JobKey, Trace>,
    /// What is cached, by what the engine told.
    pub(super) index: Index,
    pub(super) preempted: u32,
    pub(super) prefilled: Tokens,
}

impl Watched {
    pub(super) fn new(bench: &dyn Bench, shape: Shape) -> Self {
        let engine = bench.engine(shape);
        let card = engine.card();
        assert_eq!(card.block, Tokens(shape.block.into()), "the card's block is not what was asked for");
        assert_eq!(card.blocks, Blocks(shape.blocks.into()), "the card's blocks are not what was asked for");
        assert_eq!(card.context, Tokens(shape.context.into()), "the card's context is not what was asked for");
        assert_eq!(card.jobs, shape.queue, "the card's jobs are not what was asked for");
        assert!(card.vocabulary >= 32, "the suite needs 32 tokens, the vocabulary has {}", card.vocabulary);
        let (traces, index) = (BTreeMap::new(), Index::default());
        let mut watched = Self { engine, shape, traces, index, preempted: 0, prefilled: Tokens::ZERO };
        watched.check_load();
        assert_eq!(watched.listen(), [CacheEvent::Cleared], "the first telling begins the first epoch");
        watched
    }

    pub(super) fn card(&self) -> &Card {
        self.engine.card()
    }

    pub(super) fn load(&self) -> Load {
        self.engine.load()
    }

    /// A greedy job for this engine.
    pub(super) fn job(&self, number: u32, prompt: u32, answer: u64) -> Job {
        jobs::job(&self.card().model, self.card().vocabulary, number, prompt, answer)
    }

    pub(super) fn trace(&self, key: JobKey) -> &Trace {
        self.traces.get(&key).unwrap_or_else(|| panic!("{key} was never granted"))
    }

    /// Hears what was stored and removed in the cache.
    pub(super) fn listen(&mut self) -> Vec<CacheEvent> {
        let mut events = Vec::new();
        self.engine.cache_events(&mut events);
        let blocks = self.shape.blocks as usize;
        assert!(events.len() <= 2 * blocks + 1, "{} cache events of {blocks} blocks are too many", events.len());
        self.index.replay(&events);
        assert!(self.index.len() <= blocks, "{} blocks are cached of {blocks}", self.index.len());
        events
    }

    /// Hears all that is in the cache.
    pub(super) fn listen_anew(&mut self) -> Vec<CacheEvent> {
        self.engine.restart_cache_events();
        self.listen()
    }

    pub(super) fn layout(&self) -> Layout {
        self.engine.layout()
    }

    pub(super) fn cached(&self, hashes: &[BlockHash]) -> Blocks {
        self.engine.cached_blocks(hashes)
    }

    pub(super) fn export(&mut self, hashes: &[BlockHash], out: &mut Vec<BlockData>) {
        let before = self.load();
        self.engine.export_blocks(hashes, out);
        assert_eq!(self.load(), before, "an export changed the load");
    }

    pub(super) fn import(&mut self, layout: &Layout, blocks: Vec<BlockData>) -> Imported {
        let before = self.load();
        let imported = self.engine.import_blocks(layout, blocks);
        assert_eq!(self.load(), before, "an import changed the load");
        self.check_load();
        imported
    }

    pub(super) fn admit(&mut self, job: Job) -> Grant {
        self.listen();
        let told = self.index.cached(&job, self.shape.block as usize);
        let grant = self
            .engine
            .admit(job.clone())
            .unwrap_or_else(|reason| panic!("{} should be granted, but: {reason}", job.key));
        assert_eq!(grant.cached, told, "{}: the grant and the cache events disagree", job.key);
        self.traces.insert(job.key, Trace { job, cached: None, answer: Vec::new(), end: None });
        self.check_load();
        grant
    }

    /// Offers a job that must be refused, and checks that it left no trace.
    pub(super) fn refused(&mut self, job: Job) -> RefusalReason {
        let before = self.load();
        let key = job.key;
        let Err(reason) = self.engine.admit(job) else { panic!("{key} should be refused, but was granted") };
        assert_eq!(self.load(), before, "a refusal ({reason}) changed the load");
        reason
    }

    pub(super) fn cancel(&mut self, key: JobKey) -> JobUsage {
        let usage = self.engine.cancel(key);
        let Some(usage) = usage else { panic!("{key} is there and cannot be cancelled") };
        assert!(self.engine.cancel(key).is_none(), "{key} was cancelled twice");
        if let Some(trace) = self.traces.get_mut(&key) {
            let said = Tokens::of(trace.answer.len());
            assert_eq!(usage.generated, said, "{key}: a cancelled job has used what it said");
            assert_eq!(usage.cached, trace.cached.unwrap_or_default(), "{key}: cached, as it was said when it began");
            let whole = Tokens::of(trace.job.prompt.len());
            assert!(usage.cached <= usage.prompt && usage.prompt <= whole, "{key}: {usage:?} of a prompt of {whole}");
            if said > Tokens::ZERO {
                assert_eq!(usage.prompt, whole, "{key}: an answer stands on its whole prompt");
            }
            trace.end = Some(End::Cancelled);
        }
        self.check_load();
        usage
    }

    /// Cancels a key that is not there.
    pub(super) fn cancel_stranger(&mut self, key: JobKey) {
        assert!(self.engine.cancel(key).is_none(), "{key} is not there but was cancelled");
        self.check_load();
    }

    pub(super) fn step(&mut self) -> Stepped {
        let before = self.load();
        let mut events = Vec::new();
        let progress = self.engine.step(&mut events).unwrap_or_else(|error| panic!("a step failed: {error}"));
        for event in &events {
            self.note(event);
        }
        self.preempted += progress.preempted;
        self.prefilled += progress.prefill;
        let speakers: BTreeSet<JobKey> = events
            .iter()
            .filter_map(|event| if let Event::Token { key, .. } = event { Some(*key) } else { None })
            .collect();
        assert_eq!(
            progress.decoded as usize,
            speakers.len(),
            "`decoded` is not the number of sequences that got a token"
        );
        assert!(
            progress.decoded <= self.shape.max_batch,
            "{} sequences in a step: max_batch is {}",
            progress.decoded,
            self.shape.max_batch
        );
        assert!(
            progress.prefill.0 <= u64::from(self.shape.step_tokens),
            "{} in a step: step_tokens is {}",
            progress.prefill,
            self.shape.step_tokens
        );
        let after = self.load();
        let grown = u64::from(!progress.is_idle());
        assert_eq!(
            after.step,
            before.step + grown,
            "the step counter grows by one with each step that did work, else not"
        );
        let changed = !events.is_empty() || progress.preempted > 0;
        assert!(
            before.is_idle() || changed || !progress.is_idle(),
            "jobs are there, but a step did nothing: {before:?}"
        );
        self.check_load();
        Stepped { progress, events }
    }

    /// Steps until no job is left; every job must have ended, and all blocks are free.
    pub(super) fn run(&mut self) {
        for _ in 0..ENDLESS {
            if self.load().is_idle() {
                self.check_end();
                return;
            }
            self.step();
        }
        panic!("jobs are still there after {ENDLESS} steps: {:?}", self.load());
    }

    /// Steps until the job has so many tokens.
    pub(super) fn run_until(&mut self, key: JobKey, tokens: usize) {
        for _ in 0..ENDLESS {
            if self.trace(key).answer.len() >= tokens {
                return;
            }
            self.step();
        }
        panic!("{key} has no {tokens} tokens after {ENDLESS} steps: {:?}", self.load());
    }

    /// Runs one job alone and gives its trace.
    pub(super) fn answer(&mut self, job: Job) -> Trace {
        let key = job.key;
        self.admit(job);
        self.run();
        self.trace(key).clone()
    }

    fn check_end(&mut self) {
        for (key, trace) in &self.traces {
            assert!(trace.end.is_some(), "{key} is gone without a word");
        }
        assert_eq!(self.load().blocks_used, Blocks::ZERO, "no job is left, but blocks are in use");
        let silent = self.step();
        assert!(silent.events.is_empty(), "no job is left, but a step said {:?}", silent.events);
    }

    fn note(&mut self, event: &Event) {
        let (Event::Started { key, .. }
        | Event::Token { key, .. }
        | Event::Finished { key, .. }
        | Event::Failed { key, .. }) = event;
        let vocabulary = self.card().vocabulary;
        let Some(trace) = self.traces.get_mut(key) else { panic!("{event:?} of a job that was never granted") };
        assert!(trace.end.is_none(), "{event:?} after the end of the job: {:?}", trace.end);
        match event {
            Event::Started { cached, .. } => {
                assert!(trace.cached.is_none(), "{key} started twice");
                assert!(
                    cached.0 < trace.length(),
                    "{key}: {cached} cached of {}: the last must be computed",
                    trace.length()
                );
                trace.cached = Some(*cached);
            }
            Event::Token { sampled, .. } => {
                assert!(trace.cached.is_some(), "{key} has a token before it started");
                assert!(sampled.token.0 < vocabulary, "{key}: token {} is outside of the vocabulary", sampled.token);
                trace.answer.push(sampled.clone());
            }
            Event::Finished { finish, usage, .. } => {
                check_finish(&self.shape, trace, *finish, *usage);
                trace.end = Some(End::Finished { finish: *finish, usage: *usage });
            }
            Event::Failed { .. } => trace.end = Some(End::Failed),
        }
        let most = trace.job.limits.max_tokens.0;
        let has = (trace.job.generated.len() + trace.answer.len()) as u64;
        assert!(has <= most, "{key} has {has} tokens of {most}");
    }

    fn check_load(&self) {
        let load = self.load();
        let open: Vec<&Trace> = self.traces.values().filter(|trace| trace.end.is_none()).collect();
        assert_eq!(
            (load.running + load.waiting) as usize,
            open.len(),
            "running + waiting is not the number of jobs: {load:?}"
        );
        assert_eq!(load.blocks_total, self.card().blocks, "blocks_total is not the card's");
        assert!(load.blocks_used <= load.blocks_total, "more blocks in use than there are: {load:?}");
        assert_eq!(
            load.running > 0,
            load.blocks_used > Blocks::ZERO,
            "running jobs hold blocks, others none: {load:?}"
        );
        assert_eq!(load.running > 0, load.context > Tokens::ZERO, "running jobs have a context, others none: {load:?}");
        let length = open.iter().map(|trace| trace.length()).sum::<u64>();
        assert!(load.context.0 <= length, "the contexts are longer than all jobs together, {length}: {load:?}");
        assert!(load.prefill.0 <= length, "more prefill is due than all jobs have, {length}: {load:?}");
    }
}
