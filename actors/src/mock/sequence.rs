//! One job in the mock: its tokens, how many are computed, and the blocks it holds.

use std::cmp::Reverse;

use protocol::engine::{BlockHash, Event};
use protocol::ids::TokenId;
use protocol::job::{Finish, Job};
use protocol::units::Tokens;

use super::blocks::{BlockId, Pool};
use super::{Rank, usage, words};

/// One job.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) job: Job,
    /// Prompt and answer.
    pub(super) tokens: Vec<TokenId>,
    /// Tokens of the answer chosen here.
    pub(super) answered: usize,
    /// Prompt tokens found in the cache at the start.
    pub(super) cached: Option<Tokens>,
    /// Prompt tokens computed again.
    pub(super) recomputed: usize,
    computed: usize,
    /// The most that was ever computed of it.
    reached: usize,
    blocks: Vec<BlockId>,
    /// One hash per full block of `tokens`, each over all tokens up to its end.
    chain: Vec<BlockHash>,
    /// Hash of all tokens.
    context: u64,
    arrival: u64,
}

impl Sequence {
    pub(super) fn new(job: Job, arrival: u64, block: usize) -> Self {
        let tokens: Vec<TokenId> = job.prompt.iter().chain(&job.generated).copied().collect();
        let mut sequence = Self {
            context: tokens.iter().fold(0, |hash, token| words::mix(hash, token.0.into())),
            tokens,
            answered: 0,
            cached: None,
            recomputed: 0,
            computed: 0,
            reached: 0,
            blocks: Vec::new(),
            chain: Vec::new(),
            arrival,
            job,
        };
        sequence.extend_chain(block);
        sequence
    }

    pub(super) fn rank(&self) -> Rank {
        (Reverse(self.job.priority), self.arrival)
    }

    /// Tokens whose keys and values are there.
    pub(super) fn computed(&self) -> usize {
        self.computed
    }

    /// Tokens that are not computed yet.
    pub(super) fn due(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether its prefill is behind it.
    pub(super) fn decodes(&self) -> bool {
        self.answered > 0 && self.due() == 1 && !self.blocks.is_empty()
    }

    pub(super) fn prefill_due(&self) -> Tokens {
        if self.decodes() { Tokens::ZERO } else { Tokens::of(self.due()) }
    }

    /// Prompt tokens that the cache holds now; the last token is never taken from it.
    pub(super) fn cached_prompt(&mut self, pool: &Pool) -> Tokens {
        let tokens = self.hits(pool) * pool.size();
        Tokens::of(tokens.min(self.job.prompt.len()))
    }

    /// Takes all blocks that its tokens need, cached ones first. False, and nothing taken, if there are too few.
    pub(super) fn take_blocks(&mut self, pool: &mut Pool) -> bool {
        let hits = self.hits(pool);
        let count = self.blocks_needed(pool.size());
        let Some(chain) = self.chain.get(..hits) else {
            return false;
        };
        let Some(blocks) = pool.take(chain, count) else {
            return false;
        };
        self.blocks = blocks;
        self.computed = hits * pool.size();
        true
    }

    /// Blocks that its tokens need.
    pub(super) fn blocks_needed(&self, size: usize) -> usize {
        self.tokens.len().div_ceil(size)
    }

    /// Blocks in its hands, shared ones too.
    pub(super) fn blocks_held(&self) -> usize {
        self.blocks.len()
    }

    /// Notes the first start, or how much must be computed again.
    pub(super) fn start(&mut self) -> Option<Event> {
        let prompt = self.job.prompt.len();
        if self.cached.is_some() {
            self.recomputed += prompt.saturating_sub(self.computed);
            return None;
        }
        let cached = Tokens::of(self.computed.min(prompt));
        self.cached = Some(cached);
        Some(Event::Started { key: self.job.key, cached })
    }

    /// A block for the next token. False if there is none.
    pub(super) fn grow(&mut self, pool: &mut Pool) -> bool {
        if self.tokens.len() <= self.blocks.len() * pool.size() {
            return true;
        }
        pool.fresh().map(|block| self.blocks.push(block)).is_some()
    }

    /// Computes so many tokens and makes the blocks that became full findable.
    pub(super) fn compute(&mut self, tokens: usize, pool: &mut Pool) {
        self.extend_chain(pool.size());
        let before = self.computed / pool.size();
        self.computed += tokens;
        let full = self.computed / pool.size();
        let parents = std::iter::once(None).chain(self.chain.iter().copied().map(Some));
        for ((block, hash), parent) in self.blocks.iter().zip(&self.chain).zip(parents).take(full).skip(before) {
            pool.publish(*block, *hash, parent);
        }
    }

    /// Chooses the next token; the finish if it is the last.
    pub(super) fn speak(&mut self, context: Tokens) -> (Event, Option<Finish>) {
        let position = self.job.generated.len() + self.answered;
        let sampled = words::choose(self.context, position, &self.job);
        let token = sampled.token;
        self.answered += 1;
        self.context = words::mix(self.context, token.0.into());
        self.tokens.push(token);
        let has = Tokens::of(position + 1);
        let finish = if self.job.limits.stop_ids.contains(&token) {
            Some(Finish::Stop)
        } else if has >= self.job.limits.max_tokens || Tokens::of(self.tokens.len()) >= context {
            Some(Finish::Length)
        } else {
            None
        };
        (Event::Token { key: self.job.key, sampled }, finish)
    }

    pub(super) fn finish(&mut self, finish: Finish, pool: &mut Pool) -> Event {
        self.release(pool);
        Event::Finished { key: self.job.key, finish, usage: usage(self) }
    }

    /// Gives its blocks back and waits to be computed again.
    pub(super) fn lose_blocks(&mut self, pool: &mut Pool) {
        self.release(pool);
        self.reached = self.reached.max(self.computed);
        self.computed = 0;
    }

    /// Prompt tokens that were computed or found cached, at any time.
    pub(super) fn reached(&self) -> Tokens {
        Tokens::of(self.computed.max(self.reached).min(self.job.prompt.len()))
    }

    pub(super) fn release(&mut self, pool: &mut Pool) {
        pool.release(std::mem::take(&mut self.blocks));
    }

    /// How many of its full blocks that end before its last token are cached.
    fn hits(&mut self, pool: &Pool) -> usize {
        self.extend_chain(pool.size());
        let usable = self.tokens.len().saturating_sub(1) / pool.size();
        pool.cached(self.chain.get(..usable).unwrap_or_default())
    }

    fn extend_chain(&mut self, size: usize) {
        let mut parent = self.chain.last().copied().unwrap_or_else(|| BlockHash::root(self.job.salt));
        let done = self.chain.len();
        for block in self.tokens.chunks_exact(size).skip(done) {
            parent = parent.child(block);
            self.chain.push(parent);
        }
    }
}
