//! Which tokens are computed in the next step: continuous batching with chunked prefill.
//!
//! Rules:
//! - There is no prefill phase and no decode phase. Every sequence has tokens (prompt and answer) and a
//!   number of them computed; a step hands out a budget of tokens. A sequence whose last token is
//!   computed gets its next one.
//! - Running sequences go before waiting ones, and those that only lack their newest token before those
//!   that still have a prompt to compute: answers keep their pace while prompts are taken in.
//! - When blocks run out, the youngest of the lowest class loses its own and is computed again later; in
//!   that step nobody is admitted. A sequence is admitted when its whole prompt would fit beside what the
//!   prompts of running ones still need, and a reserve for growth stays free. So the oldest always comes
//!   to its end.
//! - Waiting sequences are admitted by class, then in the order in which they came; nobody overtakes one
//!   that does not fit yet. One that finds no place or no blocks takes those of the youngest of the lowest
//!   class below its own, which is computed again later.
//!
//! A step costs no allocation once plan and sequences have their room, and no walk over those that wait:
//! sequences keep their slot ([`slab`]), what is asked for after every step is kept as a sum, and
//! [`Plan`] belongs to the caller, who brings it again.
//!
//! It is pure: tokens in, plan out. What a plan computes is the model's business, which token comes next
//! the sampler's.

use std::collections::{HashMap, VecDeque};

use protocol::engine::{CacheEvent, Grant, Load, RefusalReason};
use protocol::ids::{JobKey, TokenId};
use protocol::job::{Finish, Job, JobUsage};
use protocol::units::{Blocks, Tokens};

use crate::blocks::{BlockId, BlockPool};

mod planning;
mod rules;
mod sequence;
mod slab;

use sequence::Sums;
pub use sequence::{ROOM, Rank, Sequence};
use slab::Slab;

/// The bounds of a scheduler. All are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Tokens in a block.
    pub block: usize,
    /// Blocks in all.
    pub blocks: usize,
    /// The longest prompt and answer together.
    pub context: usize,
    /// Ids are below this.
    pub vocabulary: u32,
    /// Tokens in a step.
    pub step_tokens: usize,
    /// Tokens of one prompt in a step.
    pub prefill_chunk: usize,
    /// Sequences in a step; not above `step_tokens`.
    pub max_batch: usize,
    /// Sequences that may wait or run.
    pub queue: usize,
}

/// A part of a step: these tokens of this sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The sequence.
    pub rank: Rank,
    /// Tokens computed before.
    pub start: usize,
    /// Tokens to compute; at least 1.
    pub count: usize,
    /// The last of them is the last there is: the next token comes out of it.
    pub samples: bool,
}

/// A step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to compute.
    pub items: Vec<Item>,
    /// Sequences that begin in this step, with what was cached of their prompt.
    pub begun: Vec<(JobKey, Tokens)>,
    /// Sequences that end since even the whole cache cannot hold them.
    pub outgrown: Vec<Rank>,
    /// Sequences that lost their blocks.
    pub preempted: u32,
}

impl Plan {
    fn clear(&mut self) {
        self.items.clear();
        self.begun.clear();
        self.outgrown.clear();
        self.preempted = 0;
    }
}

/// All sequences of one engine.
#[derive(Debug)]
pub struct Scheduler {
    bounds: Bounds,
    pool: BlockPool,
    sequences: Slab,
    /// Sorted: the one that is served first is the first.
    running: Vec<Rank>,
    /// Sorted as well.
    waiting: VecDeque<Rank>,
    /// Over all sequences. Only [`Scheduler::change`] and the ends of a sequence touch it.
    sums: Sums,
    ranks: HashMap<JobKey, Rank>,
    arrivals: u64,
    steps: u64,
}

impl Scheduler {
    /// A scheduler without work. Bounds of 0 count as 1.
    pub fn new(bounds: Bounds) -> Self {
        let at_least_one = |value: usize| value.max(1);
        let bounds = Bounds {
            block: at_least_one(bounds.block),
            step_tokens: at_least_one(bounds.step_tokens),
            prefill_chunk: at_least_one(bounds.prefill_chunk),
            max_batch: at_least_one(bounds.max_batch.min(bounds.step_tokens)),
            ..bounds
        };
        Self {
            bounds,
            pool: BlockPool::new(Blocks::of(bounds.blocks)),
            sequences: Slab::default(),
            running: Vec::new(),
            waiting: VecDeque::new(),
            sums: Sums::default(),
            ranks: HashMap::new(),
            arrivals: 0,
            steps: 0,
        }
    }

    /// Takes a job in.
    ///
    /// # Errors
    /// Why it cannot be taken; it leaves no trace.
    pub fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason> {
        self.check(&job)?;
        let queue = Tokens::of(self.sums.prefill);
        self.arrivals += 1;
        let rank = Rank::new(job.priority, self.arrivals, self.sequences.next_slot());
        let mut sequence = Sequence::new(job, self.bounds.block);
        let cached = (self.pool.find(sequence.shareable()).0 * self.bounds.block).min(sequence.prompt);
        self.ranks.insert(sequence.job.key, rank);
        self.sums += sequence.sums();
        self.sequences.insert(rank, sequence);
        self.wait(rank);
        Ok(Grant { cached: Tokens::of(cached), queue })
    }

    fn check(&self, job: &Job) -> Result<(), RefusalReason> {
        let tokens = job.prompt.len() + job.generated.len();
        if job.prompt.is_empty() {
            return Err(RefusalReason::EmptyPrompt);
        }
        if let Some(token) = job.prompt.iter().chain(&job.generated).find(|token| token.0 >= self.bounds.vocabulary) {
            return Err(RefusalReason::BadToken { token: *token, vocabulary: self.bounds.vocabulary });
        }
        if job.limits.max_tokens.0 <= job.generated.len() as u64 {
            return Err(RefusalReason::NothingToDo);
        }
        if tokens >= self.bounds.context {
            let limit = Tokens::of(self.bounds.context.saturating_sub(1));
            return Err(RefusalReason::PromptTooLong { tokens: Tokens::of(tokens), limit });
        }
        let needed = (tokens + 1).div_ceil(self.bounds.block);
        if needed > self.pool.total() {
            let limit = Blocks::of(self.pool.total());
            return Err(RefusalReason::TooManyBlocks { needed: Blocks::of(needed), limit });
        }
        if self.ranks.contains_key(&job.key) {
            return Err(RefusalReason::Duplicate { key: job.key });
        }
        if self.sequences.len() >= self.bounds.queue {
            return Err(RefusalReason::QueueFull { limit: u32::try_from(self.bounds.queue).unwrap_or(u32::MAX) });
        }
        Ok(())
    }

    /// Ends a job and frees what it holds. What it has used; none if there is none of that key.
    pub fn cancel(&mut self, key: JobKey) -> Option<JobUsage> {
        let rank = self.ranks.get(&key).copied()?;
        self.remove(rank).map(|sequence| sequence.used())
    }

    /// Takes a sequence out and frees what it holds.
    pub fn remove(&mut self, rank: Rank) -> Option<Sequence> {
        let mut sequence = self.sequences.remove(rank)?;
        self.sums -= sequence.sums();
        self.pool.release(sequence.table.drain(..));
        self.ranks.remove(&sequence.job.key);
        if let Ok(place) = self.running.binary_search(&rank) {
            self.running.remove(place);
        } else if let Ok(place) = self.waiting.binary_search(&rank) {
            self.waiting.remove(place);
        }
        Some(sequence)
    }

    /// Takes a sequence out whose keys and values are spoilt: none of its blocks is found as a prefix any
    /// more. Returns those that nobody else holds.
    pub fn discard(&mut self, rank: Rank) -> Vec<BlockId> {
        let alone = self.sequences.get(rank).map(|sequence| self.pool.forget(&sequence.table));
        self.remove(rank);
        alone.unwrap_or_default()
    }

    /// Blocks for work of the owner's own, if so many are free; to be given back before the next step.
    pub(crate) fn lend(&mut self, count: usize) -> Option<Vec<BlockId>> {
        if self.pool.free() < count {
            return None;
        }
        (0..count).map(|_| self.pool.allocate()).collect()
    }

    /// Takes lent blocks back.
    pub(crate) fn give_back(&mut self, blocks: Vec<BlockId>) {
        self.pool.release(blocks.into_iter());
    }

    /// The blocks themselves, for exchange with other engines. Whoever takes blocks gives them back before the
    /// next step.
    pub(crate) fn pool(&self) -> &BlockPool {
        &self.pool
    }

    /// See [`Scheduler::pool`].
    pub(crate) fn pool_mut(&mut self) -> &mut BlockPool {
        &mut self.pool
    }

    /// A sequence.
    pub fn sequence(&self, rank: Rank) -> Option<&Sequence> {
        self.sequences.get(rank)
    }

    /// The block table of a sequence.
    pub fn table(&self, rank: Rank) -> &[BlockId] {
        self.sequences.get(rank).map_or(&[], |sequence| &sequence.table)
    }

    /// Says that an item was computed, and which token came out of it, if it samples. Returns why the
    /// answer is complete, if it is; the sequence is then to be removed.
    pub fn commit(&mut self, item: Item, sampled: Option<TokenId>) -> Option<Finish> {
        let context = self.bounds.context;
        self.change(item.rank, |sequence, pool| {
            sequence.advance(item.start + item.count, pool);
            sequence.push(sampled?, context)
        })?
    }

    /// What it carries.
    pub fn load(&self) -> Load {
        Load {
            step: self.steps,
            running: u32::try_from(self.running.len()).unwrap_or(u32::MAX),
            waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            prefill: Tokens::of(self.sums.prefill),
            context: Tokens::of(self.sums.context),
            blocks_used: Blocks::of(self.pool.used()),
            blocks_total: Blocks::of(self.pool.total()),
        }
    }

    /// Tells what its prefix cache stored and removed since the last call.
    pub fn cache_events(&mut self, events: &mut Vec<CacheEvent>) {
        self.pool.cache_events(events);
    }

    /// Makes the next telling one of all that is cached.
    pub fn restart_cache_events(&mut self) {
        self.pool.restart_cache_events();
    }

    /// Changes a sequence, and the sums with it.
    fn change<T>(&mut self, rank: Rank, change: impl FnOnce(&mut Sequence, &mut BlockPool) -> T) -> Option<T> {
        let sequence = self.sequences.get_mut(rank)?;
        self.sums -= sequence.sums();
        let outcome = change(sequence, &mut self.pool);
        self.sums += sequence.sums();
        Some(outcome)
    }

    fn run(&mut self, rank: Rank) {
        if let Err(place) = self.running.binary_search(&rank) {
            self.running.insert(place, rank);
        }
    }

    fn wait(&mut self, rank: Rank) {
        if let Err(place) = self.waiting.binary_search(&rank) {
            self.waiting.insert(place, rank);
        }
    }
}

#[cfg(test)]
mod tests;
