//! One job inside the scheduler: its tokens, what is computed of them, the blocks that hold it.

use std::cmp::Reverse;

use protocol::ids::TokenId;
use protocol::job::{Finish, Job, JobUsage};
use protocol::units::Tokens;

use crate::blocks::{BlockHash, BlockId};

/// The order in which sequences are served: higher classes first, then the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    class: Reverse<u8>,
    arrival: u64,
}

impl Rank {
    pub(super) fn new(priority: u8, arrival: u64) -> Self {
        Self { class: Reverse(priority), arrival }
    }
}

/// One job.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The job; its prompt and tokens were moved to `tokens`.
    pub job: Job,
    /// Prompt and answer.
    pub tokens: Vec<TokenId>,
    /// How many of them are the prompt.
    pub prompt: usize,
    /// How many of them have keys and values in the cache; always fewer than there are.
    pub computed: usize,
    /// The blocks that hold them.
    pub table: Vec<BlockId>,
    /// What it used so far.
    pub usage: JobUsage,
    /// Tokens of the answer that came with the job.
    before: usize,
    block: usize,
    /// Hashes of full blocks, from the front; they depend on tokens alone and stay when blocks go.
    hashes: Vec<BlockHash>,
    root: BlockHash,
    /// Full blocks that were published.
    published: usize,
    begun: bool,
    /// Tokens that were computed before the last preemption.
    lost: usize,
}

impl Sequence {
    pub(super) fn new(mut job: Job, block: usize) -> Self {
        let mut tokens = std::mem::take(&mut job.prompt);
        let (prompt, before) = (tokens.len(), job.generated.len());
        tokens.append(&mut job.generated);
        let root = BlockHash::root(job.salt);
        let usage = JobUsage { prompt: Tokens::of(prompt), ..JobUsage::default() };
        Self {
            job,
            tokens,
            prompt,
            computed: 0,
            table: Vec::new(),
            usage,
            before,
            block,
            hashes: Vec::new(),
            root,
            published: 0,
            begun: false,
            lost: 0,
        }
    }

    /// Tokens that are not computed; at least 1.
    pub(super) fn due(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Of these, all but the newest, which is a decode: what a newcomer has to wait for.
    pub(super) fn prefill_due(&self) -> usize {
        if self.computed == 0 || self.due() > 1 { self.due() } else { 0 }
    }

    /// Blocks that its tokens need beyond those it has.
    pub(super) fn blocks_due(&self) -> usize {
        self.tokens.len().div_ceil(self.block).saturating_sub(self.table.len())
    }

    /// Hashes of the blocks that it may take from the cache: never the one with its last token, which
    /// must be computed, or nothing would come out.
    pub(super) fn shareable(&mut self) -> &[BlockHash] {
        let full = (self.tokens.len() - 1) / self.block;
        self.hash(full);
        self.hashes.get(..full).unwrap_or(&self.hashes)
    }

    fn hash(&mut self, blocks: usize) {
        let mut parent = self.hashes.last().copied().unwrap_or(self.root);
        let missing = self.tokens.chunks_exact(self.block).take(blocks).skip(self.hashes.len());
        for tokens in missing {
            parent = parent.child(tokens);
            self.hashes.push(parent);
        }
    }

    /// Begins, or begins again, with so many tokens from the cache. True the first time.
    pub(super) fn begin(&mut self, cached: usize) -> bool {
        self.computed = cached;
        self.published = self.table.len();
        let again = self.lost.min(self.prompt).saturating_sub(cached);
        self.usage.recomputed += Tokens::of(again);
        self.lost = 0;
        let first = !self.begun;
        if first {
            self.usage.cached = Tokens::of(cached.min(self.prompt));
        }
        self.begun = true;
        first
    }

    /// Lost its blocks.
    pub(super) fn pause(&mut self) {
        self.lost = self.computed;
        self.computed = 0;
        self.published = 0;
    }

    /// So many tokens are computed now. Returns the blocks that became full, with their hashes.
    pub(super) fn advance(&mut self, computed: usize) -> Vec<(BlockId, BlockHash)> {
        self.computed = computed;
        let full = computed / self.block;
        self.hash(full);
        let fresh =
            self.table.iter().copied().zip(self.hashes.iter().copied()).take(full).skip(self.published).collect();
        self.published = self.published.max(full);
        fresh
    }

    /// Appends a token. Returns why the answer is complete, if it is.
    pub(super) fn push(&mut self, token: TokenId, context: usize) -> Option<Finish> {
        self.tokens.push(token);
        self.usage.generated += Tokens(1);
        let answer = Tokens::of(self.answer().len());
        let limits = &self.job.limits;
        if limits.stop_ids.contains(&token) && answer > limits.min_tokens {
            Some(Finish::Stop)
        } else if answer >= limits.max_tokens || self.tokens.len() >= context {
            Some(Finish::Length)
        } else {
            None
        }
    }

    /// The prompt's tokens.
    pub fn prompt(&self) -> &[TokenId] {
        self.tokens.get(..self.prompt).unwrap_or_default()
    }

    /// The answer's tokens, those that came with the job included.
    pub fn answer(&self) -> &[TokenId] {
        self.tokens.get(self.prompt..).unwrap_or_default()
    }

    /// Tokens of the answer that came with the job.
    pub fn carried(&self) -> usize {
        self.before
    }
}
