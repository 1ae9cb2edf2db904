//! The engine: scheduler, decoder and sampler in one, behind [`protocol::engine::Engine`].
//!
//! Rules: it lives on one thread, since libtorch's switches are per thread. A job that goes wrong fails
//! alone; when the device fails, the engine is done for: every later step says so, and its owner makes
//! a new one.

use protocol::engine::{
    BlockData, BlockHash, CacheEvent, Card, Engine, EngineError, Event, Grant, ImportRefusal, Imported, JobFault,
    Layout, Load, Progress, RefusalReason,
};
use protocol::ids::{JobKey, TokenId};
use protocol::job::{Finish, Job, JobUsage};
use protocol::units::{Blocks, Tokens};
use text::bundle::TextBundle;

use crate::batch::Batch;
use crate::blocks::BlockId;
use crate::profile::{Part, Profile};
use crate::sampler::{History, NotFinite, Sampler};
use crate::scheduler::{Item, Plan, Scheduler};

mod exchange;
mod model;
mod score;
mod start;
#[cfg(test)]
pub(crate) mod tiny;

use model::Model;
pub use start::StartError;

/// A model on a device.
#[derive(Debug)]
pub struct LocalEngine {
    card: Card,
    bundle: TextBundle,
    model: Model,
    scheduler: Scheduler,
    /// The last step's: its memory is used again.
    plan: Plan,
    batch: Batch,
    sampler: Sampler,
    profile: Profile,
    block: usize,
    /// The most rows of a step.
    rows: usize,
    broken: Option<EngineError>,
}

impl LocalEngine {
    /// The tokenizer and chat template that came with the model.
    pub fn bundle(&self) -> &TextBundle {
        &self.bundle
    }

    /// Whether the scheduler's rules hold. For tests.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_rules(&self) -> Result<(), String> {
        self.scheduler.check_rules()
    }

    /// What a person who runs it should know: who computes, in which format, on how many threads, where
    /// libtorch takes over, and what makes it slow, if anything does.
    pub fn describe(&self) -> Vec<String> {
        self.model.describe(&self.card)
    }

    /// Where the time of steps goes.
    pub fn profile(&mut self) -> &mut Profile {
        &mut self.profile
    }

    fn fill_batch(&mut self, plan: &Plan) {
        self.batch.clear(self.block);
        for item in &plan.items {
            let Some(sequence) = self.scheduler.sequence(item.rank) else { continue };
            let tokens = sequence.tokens.iter().skip(item.start).take(item.count).map(|token| token.0);
            let needed = (item.start + item.count).div_ceil(self.block);
            let table = self.scheduler.table(item.rank).iter().take(needed).map(|block| block.index() as u32);
            self.batch.push(tokens, item.start, table, item.samples);
        }
    }

    /// Blocks that are begun in this step and not filled. A sequence that was cancelled or preempted may
    /// have left NaNs in them, and a mask hides those from nobody.
    fn begun(&self, plan: &Plan) -> Vec<BlockId> {
        let begun = plan.items.iter().filter_map(|item| {
            let end = item.start + item.count;
            let last = end / self.block;
            let is_begun = end % self.block > 0 && last * self.block >= item.start;
            self.scheduler.table(item.rank).get(last).copied().filter(|_| is_begun)
        });
        begun.collect()
    }

    fn run(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        self.profile.begin();
        let mut plan = std::mem::take(&mut self.plan);
        self.scheduler.plan(&mut plan);
        let outcome = self.run_plan(&plan, events);
        self.plan = plan;
        outcome
    }

    fn run_plan(&mut self, plan: &Plan, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        events.extend(plan.begun.iter().map(|(key, cached)| Event::Started { key: *key, cached: *cached }));
        for rank in &plan.outgrown {
            if let Some(sequence) = self.scheduler.remove(*rank) {
                events.push(Event::Finished { key: sequence.job.key, finish: Finish::Length, usage: sequence.usage });
            }
        }
        let mut progress = Progress { preempted: plan.preempted, ..Progress::default() };
        if plan.items.is_empty() {
            return Ok(progress);
        }
        self.fill_batch(plan);
        let begun = if self.model.needs_begun() { self.begun(plan) } else { Vec::new() };
        self.profile.lap(Part::Other);
        let vocabulary = self.card.vocabulary.max(1) as usize;
        let mut logits = self.model.forward(&self.batch, &begun, &mut self.profile)?;
        let mut rows = logits.all().chunks_exact_mut(vocabulary);
        let sampler = &mut self.sampler;
        let mut failed = Vec::new();
        for item in &plan.items {
            progress.decoded += u32::from(item.samples);
            let newest_alone = item.samples && item.count == 1 && item.start > 0;
            progress.prefill += Tokens::of(if newest_alone { 0 } else { item.count });
            let Some(sequence) = self.scheduler.sequence(item.rank) else { continue };
            let key = sequence.job.key;
            let row = if item.samples { rows.next() } else { None };
            let sampled = row.map(|logits| {
                let history = History { prompt: sequence.prompt(), answer: sequence.answer() };
                sampler.sample(logits, &sequence.job.sampling, &sequence.job.limits, history)
            });
            match sampled {
                None => finish(&mut self.scheduler, *item, None, events),
                Some(Ok(sampled)) => {
                    let token = sampled.token;
                    events.push(Event::Token { key, sampled });
                    finish(&mut self.scheduler, *item, Some(token), events);
                }
                Some(Err(NotFinite)) => {
                    let position = Tokens::of(item.start + item.count);
                    events.push(Event::Failed { key, error: JobFault::NotFinite { position } });
                    failed.push(item.rank);
                }
            }
        }
        for rank in failed {
            // What it wrote must not meet the next holder of its blocks, nor be found as a prefix.
            let spoilt = self.scheduler.discard(rank);
            self.model.clear(&spoilt)?;
        }
        self.profile.lap(Part::Sampling);
        Ok(progress)
    }
}

/// Tells the scheduler that an item is computed, and the owner if its job has ended.
fn finish(scheduler: &mut Scheduler, item: Item, token: Option<TokenId>, events: &mut Vec<Event>) {
    if let Some(finish) = scheduler.commit(item, token)
        && let Some(sequence) = scheduler.remove(item.rank)
    {
        events.push(Event::Finished { key: sequence.job.key, finish, usage: sequence.usage });
    }
}

impl Engine for LocalEngine {
    fn card(&self) -> &Card {
        &self.card
    }

    fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason> {
        if job.model != self.card.model {
            return Err(RefusalReason::UnknownModel { model: job.model });
        }
        if self.broken.is_some() {
            return Err(RefusalReason::NotReady);
        }
        self.scheduler.admit(job)
    }

    fn cancel(&mut self, key: JobKey) -> Option<JobUsage> {
        self.scheduler.cancel(key)
    }

    fn step(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let _no_grad = tch::no_grad_guard();
        let outcome = self.run(events);
        if let Err(error) = &outcome {
            self.broken = Some(error.clone());
        }
        outcome
    }

    fn load(&self) -> Load {
        self.scheduler.load()
    }

    fn cache_events(&mut self, events: &mut Vec<CacheEvent>) {
        self.scheduler.cache_events(events);
    }

    fn restart_cache_events(&mut self) {
        self.scheduler.restart_cache_events();
    }

    fn layout(&self) -> Layout {
        self.model.layout(&self.card)
    }

    fn cached_blocks(&self, hashes: &[BlockHash]) -> Blocks {
        Blocks::of(self.scheduler.pool().find(hashes).0)
    }

    fn export_blocks(&mut self, hashes: &[BlockHash], out: &mut Vec<BlockData>) {
        let _no_grad = tch::no_grad_guard();
        exchange::export(&self.scheduler, &self.model, hashes, out);
    }

    fn import_blocks(&mut self, layout: &Layout, blocks: Vec<BlockData>) -> Imported {
        if let Some(error) = &self.broken {
            return ImportRefusal::Device { reason: error.to_string() }.into();
        }
        let _no_grad = tch::no_grad_guard();
        let ours = self.layout();
        exchange::import(&mut self.scheduler, &mut self.model, &ours, layout, &blocks)
    }
}

#[cfg(test)]
mod tests;
