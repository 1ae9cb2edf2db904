//! An engine without a model: the rules of the real one (paged blocks, prefix cache, continuous
//! batching, chunked prefill, preemption), with tokens from a hash and time from a [`Timing`].
//!
//! It passes `protocol::engine::contract` like any engine, so that whatever is tested on it holds for
//! the real one. Rules: a token depends on the context, the seed and the position alone ([`words`]);
//! blocks are counted and shared, never filled ([`blocks`]). Not imitated: penalties, truncation, and
//! biases weaker than 100.

use std::cmp::Reverse;

use protocol::engine::{
    BlockData, BlockHash, CacheEvent, Card, Engine, EngineError, Event, Grant, HASHING, Imported, JobFault, Layout,
    Load, Progress, RefusalReason, check_import,
};
use protocol::ids::{JobKey, TokenId};
use protocol::job::{Finish, Job, JobUsage};
use protocol::units::{Blocks, Tokens};

mod blocks;
mod sequence;
mod timing;
pub mod words;

use blocks::Pool;
use sequence::Sequence;
pub use timing::Timing;
use timing::Work;
pub use words::bundle;

/// What keys and values of a token would take, if there were any.
const TOKEN_BYTES: u64 = 64;

/// What shall go wrong. Steps are counted as in [`Load::step`]: 3 is the step after three that did work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// This step fails, and the engine with it.
    pub fail_at: Option<u64>,
    /// This step panics.
    pub panic_at: Option<u64>,
    /// From this step on nothing happens any more.
    pub stall_from: Option<u64>,
    /// A job with this token in its prompt fails, alone.
    pub poison: Option<TokenId>,
}

/// How large, how fast and how healthy. The names are those of `[models.NAME]` in `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MockOptions {
    /// The model's name.
    pub model: String,
    /// KV blocks in all.
    pub blocks: u32,
    /// Tokens in a block.
    pub block: u32,
    /// Jobs that may wait or run.
    pub queue: u32,
    /// Tokens computed in one step.
    pub step_tokens: u32,
    /// Tokens of one prompt computed in one step.
    pub prefill_chunk: u32,
    /// Sequences in one step.
    pub max_batch: u32,
    /// The longest prompt and answer together.
    pub context: u32,
    /// What steps cost.
    pub timing: Timing,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for MockOptions {
    /// A healthy engine that takes no time.
    fn default() -> Self {
        Self {
            model: "mock".to_owned(),
            blocks: 1024,
            block: 32,
            queue: 256,
            step_tokens: 512,
            prefill_chunk: 256,
            max_batch: 64,
            context: 4096,
            timing: Timing::default(),
            faults: Faults::default(),
        }
    }
}

/// An engine without a model.
#[derive(Debug)]
pub struct MockEngine {
    options: MockOptions,
    card: Card,
    pool: Pool,
    /// In the order in which they are served; the last loses its blocks first.
    running: Vec<Sequence>,
    waiting: Vec<Sequence>,
    arrivals: u64,
    steps: u64,
}

impl MockEngine {
    /// An idle engine with an empty cache.
    pub fn new(options: MockOptions) -> Self {
        let mut weights = [0; 32];
        for (byte, name) in weights.iter_mut().zip(options.model.bytes()) {
            *byte = name;
        }
        let card = Card {
            model: options.model.clone(),
            architecture: "mock".to_owned(),
            weights,
            text: bundle().hash(),
            context: Tokens(options.context.into()),
            vocabulary: words::VOCABULARY,
            block: Tokens(options.block.into()),
            blocks: Blocks(options.blocks.into()),
            jobs: options.queue,
            dtype: "none".to_owned(),
            device: "mock".to_owned(),
            block_bytes: TOKEN_BYTES * u64::from(options.block),
        };
        let pool = Pool::new(options.blocks as usize, options.block.max(1) as usize);
        Self { options, card, pool, running: Vec::new(), waiting: Vec::new(), arrivals: 0, steps: 0 }
    }

    fn check(&self, job: &Job) -> Result<(), RefusalReason> {
        if job.model != self.card.model {
            return Err(RefusalReason::UnknownModel { model: job.model.clone() });
        }
        if job.prompt.is_empty() {
            return Err(RefusalReason::EmptyPrompt);
        }
        if job.limits.max_tokens <= Tokens::of(job.generated.len()) {
            return Err(RefusalReason::NothingToDo);
        }
        let vocabulary = self.card.vocabulary;
        if let Some(&token) = job.prompt.iter().chain(&job.generated).find(|token| token.0 >= vocabulary) {
            return Err(RefusalReason::BadToken { token, vocabulary });
        }
        let (tokens, limit) = (Tokens::of(job.prompt.len() + job.generated.len()), self.card.context - Tokens(1));
        if tokens > limit {
            return Err(RefusalReason::PromptTooLong { tokens, limit });
        }
        let needed = (tokens + Tokens(1)).blocks(self.card.block);
        if needed > self.card.blocks {
            return Err(RefusalReason::TooManyBlocks { needed, limit: self.card.blocks });
        }
        if self.running.iter().chain(&self.waiting).any(|other| other.job.key == job.key) {
            return Err(RefusalReason::Duplicate { key: job.key });
        }
        if self.running.len() + self.waiting.len() >= self.card.jobs as usize {
            return Err(RefusalReason::QueueFull { limit: self.card.jobs });
        }
        Ok(())
    }

    /// Gives every answering sequence a block for its next token, preempting from the back where there is none.
    fn make_room(&mut self, progress: &mut Progress, events: &mut Vec<Event>) {
        let mut next = 0;
        while let Some(sequence) = self.running.get_mut(next) {
            if !sequence.decodes() || sequence.grow(&mut self.pool) {
                next += 1;
            } else if self.running.len() == 1 {
                // Nothing is left to preempt: the answer has outgrown the cache.
                if let Some(mut full) = self.running.pop() {
                    events.push(full.finish(Finish::Length, &mut self.pool));
                }
            } else if let Some(mut youngest) = self.running.pop() {
                youngest.lose_blocks(&mut self.pool);
                progress.preempted += 1;
                self.waiting.push(youngest);
            }
        }
    }

    /// Moves jobs from the queue into the batch while there is room, and notes their start. One of a higher
    /// class takes the place of the youngest of a lower one.
    fn take_up(&mut self, mut budget: usize, progress: &mut Progress, events: &mut Vec<Event>) {
        self.waiting.sort_by_key(Sequence::rank);
        let mut displaced = Vec::new();
        while budget > 0 {
            let Some(first) = self.waiting.first_mut() else { break };
            // Whoever lost its place does not lose it to its own class.
            if displaced.last().is_some_and(|lost: &Sequence| lost.job.priority >= first.job.priority) {
                break;
            }
            let place = self.running.len() < self.options.max_batch as usize;
            if !place || !first.take_blocks(&mut self.pool) {
                let (priority, needed) = (first.job.priority, first.blocks_needed(self.pool.size()));
                let Some(lost) = self.displace(priority, needed) else { break };
                progress.preempted += 1;
                displaced.push(lost);
                continue;
            }
            let mut sequence = self.waiting.remove(0);
            budget = budget.saturating_sub(sequence.due().min(self.options.prefill_chunk as usize));
            events.extend(sequence.start());
            self.running.push(sequence);
            self.running.sort_by_key(Sequence::rank);
        }
        self.waiting.append(&mut displaced);
    }

    /// Takes its blocks and its place from the youngest of the lowest class, if that is below `priority` and
    /// all such together hold enough.
    fn displace(&mut self, priority: u8, needed: usize) -> Option<Sequence> {
        let below = self.running.iter().filter(|sequence| sequence.job.priority < priority);
        let freed: usize = below.map(Sequence::blocks_held).sum();
        let free = self.card.blocks.0 as usize - self.pool.used();
        if freed + free < needed {
            return None;
        }
        let mut lost = self.running.pop_if(|last| last.job.priority < priority)?;
        lost.lose_blocks(&mut self.pool);
        Some(lost)
    }

    /// Ends, by event, whoever has got its last token or is poisoned.
    fn speak(&mut self, progress: &mut Progress, events: &mut Vec<Event>) {
        for mut sequence in std::mem::take(&mut self.running) {
            let end = if self.options.faults.poison.is_some_and(|poison| sequence.job.prompt.contains(&poison)) {
                let position = Tokens::of(sequence.tokens.len());
                sequence.release(&mut self.pool);
                Some(Event::Failed { key: sequence.job.key, error: JobFault::NotFinite { position } })
            } else if sequence.due() == 0 {
                progress.decoded += 1;
                let (token, finish) = sequence.speak(self.card.context);
                events.push(token);
                finish.map(|finish| sequence.finish(finish, &mut self.pool))
            } else {
                None
            };
            match end {
                Some(event) => events.push(event),
                None => self.running.push(sequence),
            }
        }
    }
}

impl Engine for MockEngine {
    fn card(&self) -> &Card {
        &self.card
    }

    fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason> {
        self.check(&job)?;
        let mut sequence = Sequence::new(job, self.arrivals, self.options.block.max(1) as usize);
        self.arrivals += 1;
        let rank = sequence.rank();
        let ahead = self.waiting.iter().filter(|other| other.rank() <= rank);
        let queue = self.running.iter().chain(ahead).map(Sequence::prefill_due).sum();
        let grant = Grant { cached: sequence.cached_prompt(&self.pool), queue };
        self.waiting.push(sequence);
        Ok(grant)
    }

    fn cancel(&mut self, key: JobKey) -> Option<JobUsage> {
        let at = |list: &[Sequence]| list.iter().position(|sequence| sequence.job.key == key);
        let mut sequence = match at(&self.running) {
            Some(place) => self.running.remove(place),
            None => self.waiting.remove(at(&self.waiting)?),
        };
        let prompt = sequence.reached();
        sequence.release(&mut self.pool);
        Some(JobUsage { prompt, ..usage(&sequence) })
    }

    #[expect(clippy::panic, reason = "a fault that tests ask for: the owner of an engine must survive it")]
    fn step(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        let mut progress = Progress::default();
        let faults = self.options.faults;
        if self.load().is_idle() || faults.stall_from.is_some_and(|from| self.steps >= from) {
            return Ok(progress);
        }
        if faults.panic_at == Some(self.steps) {
            panic!("the mock was told to panic at step {}", self.steps);
        }
        if faults.fail_at == Some(self.steps) {
            let reason = format!("the mock was told to fail at step {}", self.steps);
            return Err(EngineError::Device { operation: "step".to_owned(), reason });
        }
        self.make_room(&mut progress, events);
        let chunk = self.options.prefill_chunk as usize;
        let answering = self.running.iter().filter(|sequence| sequence.decodes()).count();
        let mut budget = (self.options.step_tokens as usize).saturating_sub(answering);
        let planned: usize = self.running.iter().filter(|s| !s.decodes()).map(|s| s.due().min(chunk)).sum();
        if progress.preempted == 0 {
            self.take_up(budget.saturating_sub(planned), &mut progress, events);
        }
        let mut work = Work::default();
        for sequence in &mut self.running {
            let wanted = if sequence.decodes() { 1 } else { sequence.due().min(chunk).min(budget) };
            if sequence.decodes() {
                work.decode(sequence.computed());
            } else {
                work.prefill(wanted, sequence.computed());
                budget -= wanted;
                progress.prefill += Tokens::of(wanted);
            }
            sequence.compute(wanted, &mut self.pool);
        }
        self.speak(&mut progress, events);
        progress.pace = self.options.timing.pace(&work);
        self.steps += u64::from(!progress.is_idle());
        Ok(progress)
    }

    fn load(&self) -> Load {
        let count = |sequences: &[Sequence]| u32::try_from(sequences.len()).unwrap_or(u32::MAX);
        Load {
            step: self.steps,
            running: count(&self.running),
            waiting: count(&self.waiting),
            prefill: self.running.iter().chain(&self.waiting).map(Sequence::prefill_due).sum(),
            context: self.running.iter().map(|sequence| Tokens::of(sequence.tokens.len())).sum(),
            blocks_used: Blocks::of(self.pool.used()),
            blocks_total: self.card.blocks,
        }
    }

    fn cache_events(&mut self, events: &mut Vec<CacheEvent>) {
        self.pool.cache_events(events);
    }

    fn restart_cache_events(&mut self) {
        self.pool.restart_cache_events();
    }

    fn layout(&self) -> Layout {
        Layout {
            weights: self.card.weights,
            dtype: self.card.dtype.clone(),
            format: "mock".to_owned(),
            hashing: HASHING,
            block: self.options.block,
            layers: 1,
            heads: 1,
            dim: 1,
            bytes: TOKEN_BYTES * u64::from(self.options.block),
        }
    }

    fn cached_blocks(&self, hashes: &[BlockHash]) -> Blocks {
        Blocks::of(self.pool.cached(hashes))
    }

    fn export_blocks(&mut self, hashes: &[BlockHash], out: &mut Vec<BlockData>) {
        let bytes = usize::try_from(self.layout().bytes).unwrap_or(0);
        self.pool.export(hashes, bytes, out);
    }

    fn import_blocks(&mut self, layout: &Layout, blocks: Vec<BlockData>) -> Imported {
        let mut before = Vec::new();
        let checked = check_import(&self.layout(), layout, self.card.blocks, &blocks, |parent| {
            before = self.pool.ancestry(parent).unwrap_or_default();
            !before.is_empty()
        });
        match checked {
            Ok(()) => self.pool.import(&before, &blocks),
            Err(refusal) => refusal.into(),
        }
    }
}

/// Who is served first: the higher priority, then the older.
type Rank = (Reverse<u8>, u64);

/// What a job used, from its sequence.
fn usage(sequence: &Sequence) -> JobUsage {
    JobUsage {
        prompt: Tokens::of(sequence.job.prompt.len()),
        cached: sequence.cached.unwrap_or_default(),
        generated: Tokens::of(sequence.answered),
        recomputed: Tokens::of(sequence.recomputed),
    }
}
