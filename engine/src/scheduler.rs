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
//!   that does not fit yet.
//!
//! It is pure: tokens in, plan out. What a plan computes is the model's business, which token comes next
//! the sampler's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protocol::engine::{Grant, Load, RefusalReason};
use protocol::ids::{JobKey, TokenId};
use protocol::job::{Finish, Job};
use protocol::units::{Blocks, Tokens};

use crate::blocks::{BlockId, BlockPool};

mod sequence;

pub use sequence::{Rank, Sequence};

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

/// All sequences of one engine.
#[derive(Debug)]
pub struct Scheduler {
    bounds: Bounds,
    pool: BlockPool,
    sequences: BTreeMap<Rank, Sequence>,
    running: BTreeSet<Rank>,
    waiting: BTreeSet<Rank>,
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
            sequences: BTreeMap::new(),
            running: BTreeSet::new(),
            waiting: BTreeSet::new(),
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
        let queue = self.due();
        self.arrivals += 1;
        let rank = Rank::new(job.priority, self.arrivals);
        let mut sequence = Sequence::new(job, self.bounds.block);
        let cached = (self.pool.find(sequence.shareable()).0 * self.bounds.block).min(sequence.prompt);
        self.ranks.insert(sequence.job.key, rank);
        self.waiting.insert(rank);
        self.sequences.insert(rank, sequence);
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

    /// Ends a job and frees what it holds. False if there is none of that key.
    pub fn cancel(&mut self, key: JobKey) -> bool {
        self.ranks.get(&key).copied().is_some_and(|rank| self.remove(rank).is_some())
    }

    /// Takes a sequence out and frees what it holds.
    pub fn remove(&mut self, rank: Rank) -> Option<Sequence> {
        let mut sequence = self.sequences.remove(&rank)?;
        self.pool.release(sequence.table.drain(..));
        self.ranks.remove(&sequence.job.key);
        self.running.remove(&rank);
        self.waiting.remove(&rank);
        Some(sequence)
    }

    /// Takes a sequence out whose keys and values are spoilt: none of its blocks is found as a prefix any
    /// more. Returns those that nobody else holds.
    pub fn discard(&mut self, rank: Rank) -> Vec<BlockId> {
        let alone = self.pool.forget(self.table(rank).to_vec().as_slice());
        self.remove(rank);
        alone
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

    /// A sequence.
    pub fn sequence(&self, rank: Rank) -> Option<&Sequence> {
        self.sequences.get(&rank)
    }

    /// Plans the next step and reserves its blocks. Every item must be committed, or its sequence
    /// removed, before the next plan.
    pub fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        let mut budget = self.bounds.step_tokens;
        let (mut due, prefills): (Vec<Rank>, Vec<Rank>) =
            self.running.iter().partition(|rank| self.sequences.get(rank).is_some_and(|sequence| sequence.due() == 1));
        due.extend(prefills);
        for rank in due {
            if budget == 0 {
                break;
            }
            // An earlier one may have taken its blocks.
            if self.running.contains(&rank) && !plan.outgrown.contains(&rank) {
                self.plan_running(rank, &mut plan, &mut budget);
            }
        }
        if plan.preempted == 0 && plan.outgrown.is_empty() {
            self.plan_waiting(&mut plan, &mut budget);
        }
        if !plan.items.is_empty() {
            self.steps += 1;
        }
        plan
    }

    fn plan_running(&mut self, rank: Rank, plan: &mut Plan, budget: &mut usize) {
        let Some(sequence) = self.sequences.get(&rank) else { return };
        let (start, total) = (sequence.computed, sequence.tokens.len());
        let count = sequence.due().min(self.bounds.prefill_chunk).min(*budget);
        while !self.reserve(rank, start + count) {
            let Some(victim) = self.running.last().copied() else { return };
            if victim == rank && self.running.len() == 1 {
                plan.outgrown.push(rank);
                return;
            }
            *budget += plan.items.iter().find(|item| item.rank == victim).map_or(0, |item| item.count);
            plan.items.retain(|item| item.rank != victim);
            plan.preempted += 1;
            self.preempt(victim);
            if victim == rank {
                return;
            }
        }
        *budget -= count;
        plan.items.push(Item { rank, start, count, samples: start + count == total });
    }

    fn plan_waiting(&mut self, plan: &mut Plan, budget: &mut usize) {
        while *budget > 0 && self.running.len() < self.bounds.max_batch {
            let Some(rank) = self.waiting.first().copied() else { return };
            // Prompts that are still being computed will take these.
            let promised: usize =
                self.running.iter().filter_map(|rank| self.sequences.get(rank)).map(Sequence::blocks_due).sum();
            let Some(sequence) = self.sequences.get_mut(&rank) else { return };
            let (hits, free_hits) = self.pool.find(sequence.shareable());
            let total = sequence.tokens.len();
            let needed = total.div_ceil(self.bounds.block).saturating_sub(hits);
            let room = self.pool.free().saturating_sub(free_hits);
            let reserve = if self.running.is_empty() { 0 } else { (self.pool.total() / 64).max(1) };
            if needed + promised + reserve > room {
                return;
            }
            sequence.table = self.pool.take_cached(sequence.shareable());
            let cached = sequence.table.len() * self.bounds.block;
            let first = sequence.begin(cached);
            if first {
                plan.begun.push((sequence.job.key, sequence.usage.cached));
            }
            let count = sequence.due().min(self.bounds.prefill_chunk).min(*budget);
            self.waiting.remove(&rank);
            self.running.insert(rank);
            // It fits: that was checked, and nobody else takes blocks meanwhile.
            if self.reserve(rank, cached + count) {
                *budget -= count;
                plan.items.push(Item { rank, start: cached, count, samples: cached + count == total });
            }
        }
    }

    /// Gives a sequence the blocks for its first `tokens` tokens. What it got it keeps, even if it was
    /// not enough.
    fn reserve(&mut self, rank: Rank, tokens: usize) -> bool {
        let Some(sequence) = self.sequences.get_mut(&rank) else { return false };
        let needed = tokens.div_ceil(self.bounds.block);
        while sequence.table.len() < needed {
            match self.pool.allocate() {
                Some(block) => sequence.table.push(block),
                None => return false,
            }
        }
        true
    }

    fn preempt(&mut self, rank: Rank) {
        if let Some(sequence) = self.sequences.get_mut(&rank) {
            self.pool.release(sequence.table.drain(..));
            sequence.pause();
        }
        self.running.remove(&rank);
        self.waiting.insert(rank);
    }

    /// Says that an item was computed, and which token came out of it, if it samples. Returns why the
    /// answer is complete, if it is; the sequence is then to be removed.
    pub fn commit(&mut self, item: Item, sampled: Option<TokenId>) -> Option<Finish> {
        let sequence = self.sequences.get_mut(&item.rank)?;
        for (block, hash) in sequence.advance(item.start + item.count) {
            self.pool.publish(block, hash);
        }
        sequence.push(sampled?, self.bounds.context)
    }

    /// Prefill tokens that are due.
    fn due(&self) -> Tokens {
        self.sequences.values().map(|sequence| Tokens::of(sequence.prefill_due())).sum()
    }

    /// What it carries.
    pub fn load(&self) -> Load {
        let running = self.running.iter().filter_map(|rank| self.sequences.get(rank));
        Load {
            step: self.steps,
            running: u32::try_from(self.running.len()).unwrap_or(u32::MAX),
            waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            prefill: self.due(),
            context: running.map(|sequence| Tokens::of(sequence.tokens.len())).sum(),
            blocks_used: Blocks::of(self.pool.used()),
            blocks_total: Blocks::of(self.pool.total()),
        }
    }

    /// Whether all its rules hold. For tests, after every step.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_rules(&self) -> Result<(), String> {
        self.pool.check(self.sequences.values().map(|sequence| sequence.table.as_slice()))?;
        let (all, parts) = (self.sequences.len(), self.running.len() + self.waiting.len());
        if all != parts || all != self.ranks.len() || !self.running.is_disjoint(&self.waiting) {
            return Err(format!("{all} sequences, {parts} running or waiting, {} keys", self.ranks.len()));
        }
        if self.running.len() > self.bounds.max_batch {
            return Err(format!("{} sequences run, {} may", self.running.len(), self.bounds.max_batch));
        }
        for rank in &self.waiting {
            if self.sequences.get(rank).is_none_or(|sequence| !sequence.table.is_empty()) {
                return Err(format!("{rank:?} waits and holds blocks"));
            }
        }
        for sequence in self.sequences.values() {
            if sequence.computed >= sequence.tokens.len()
                || sequence.computed > sequence.table.len() * self.bounds.block
            {
                return Err(format!(
                    "{} tokens of {} are computed in {} blocks",
                    sequence.computed,
                    sequence.tokens.len(),
                    sequence.table.len()
                ));
            }
        }
        Ok(())
    }

    /// The block table of a sequence.
    pub fn table(&self, rank: Rank) -> &[BlockId] {
        self.sequences.get(&rank).map_or(&[], |sequence| &sequence.table)
    }
}

#[cfg(test)]
mod tests;
