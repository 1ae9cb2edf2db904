//! One job inside the scheduler: its tokens, what is computed of them, the blocks that hold it.
//!
//! Rule: while it runs, a token costs no allocation. What grows with the answer gets its room when the
//! sequence begins, for the next [`ROOM`] tokens at most; whatever lies beyond that grows by doubling.

use std::cmp::Reverse;
use std::ops::{AddAssign, SubAssign};

use protocol::ids::TokenId;
use protocol::job::{Finish, Job, JobUsage};
use protocol::units::Tokens;

use crate::blocks::{BlockHash, BlockId, BlockPool};

/// Answer tokens that a sequence has room for when it begins: a job that asks for a billion gets no
/// more than this in advance.
pub const ROOM: usize = 4096;

/// The order in which sequences are served: higher classes first, then the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    class: Reverse<u8>,
    /// No two sequences have the same, so what follows never decides.
    arrival: u64,
    /// Where the slab keeps the sequence.
    pub(super) slot: u32,
}

impl Rank {
    pub(super) fn new(priority: u8, arrival: u64, slot: u32) -> Self {
        Self { class: Reverse(priority), arrival, slot }
    }

    /// Whether its class is higher.
    pub(super) fn is_above(self, other: Self) -> bool {
        self.class < other.class
    }

    pub(super) fn slot(self) -> usize {
        self.slot as usize
    }
}

/// What sequences add up to. The scheduler keeps the sum over all of them, so that nobody has to walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Prefill tokens that are due.
    pub(super) prefill: usize,
    /// Tokens in the contexts of running ones.
    pub(super) context: usize,
    /// Blocks that running ones need for their tokens beyond those they have.
    pub(super) promised: usize,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.prefill += other.prefill;
        self.context += other.context;
        self.promised += other.promised;
    }
}

impl SubAssign for Sums {
    fn sub_assign(&mut self, other: Self) {
        self.prefill = self.prefill.saturating_sub(other.prefill);
        self.context = self.context.saturating_sub(other.context);
        self.promised = self.promised.saturating_sub(other.promised);
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
    running: bool,
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
            running: false,
            lost: 0,
        }
    }

    /// Tokens that are not computed; at least 1.
    pub(super) fn due(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// What it adds to the sums of its scheduler.
    pub(super) fn sums(&self) -> Sums {
        // The newest token alone is a decode: no newcomer has to wait for it.
        let prefill = if self.computed == 0 || self.due() > 1 { self.due() } else { 0 };
        if !self.running {
            return Sums { prefill, ..Sums::default() };
        }
        let promised = self.tokens.len().div_ceil(self.block).saturating_sub(self.table.len());
        Sums { prefill, context: self.tokens.len(), promised }
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

    /// Begins, or begins again, with what the cache holds of it; at most `longest` tokens are its end.
    /// True the first time.
    pub(super) fn begin(&mut self, pool: &mut BlockPool, longest: usize) -> bool {
        self.shareable();
        let full = (self.tokens.len() - 1) / self.block;
        pool.take_cached(self.hashes.get(..full).unwrap_or_default(), &mut self.table);
        self.make_room(longest);
        self.start(self.table.len() * self.block)
    }

    /// Room for what the next tokens append to.
    fn make_room(&mut self, longest: usize) {
        let wanted = usize::try_from(self.job.limits.max_tokens.0).unwrap_or(usize::MAX);
        let tokens = self.prompt.saturating_add(wanted).min(longest).min(self.tokens.len() + ROOM);
        let blocks = tokens.div_ceil(self.block);
        self.tokens.reserve_exact(tokens.saturating_sub(self.tokens.len()));
        self.hashes.reserve_exact(blocks.saturating_sub(self.hashes.len()));
        self.table.reserve_exact(blocks.saturating_sub(self.table.len()));
    }

    /// As `begin`, when so many tokens lie in its table.
    pub(super) fn start(&mut self, cached: usize) -> bool {
        self.running = true;
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

    /// Loses its blocks.
    pub(super) fn pause(&mut self, pool: &mut BlockPool) {
        pool.release(self.table.drain(..));
        self.running = false;
        self.lost = self.computed;
        self.computed = 0;
        self.published = 0;
    }

    /// Gets the blocks for its first `tokens` tokens. What it got it keeps, even if it was not enough.
    pub(super) fn reserve(&mut self, tokens: usize, pool: &mut BlockPool) -> bool {
        while self.table.len() < tokens.div_ceil(self.block) {
            match pool.allocate() {
                Some(block) => self.table.push(block),
                None => return false,
            }
        }
        true
    }

    /// So many tokens are computed now: blocks that became full are published.
    pub(super) fn advance(&mut self, computed: usize, pool: &mut BlockPool) {
        self.computed = computed;
        let full = computed / self.block;
        if full <= self.published {
            return;
        }
        self.hash(full);
        for place in self.published..full {
            if let (Some(block), Some(hash)) = (self.table.get(place), self.hashes.get(place)) {
                let parent = place.checked_sub(1).and_then(|before| self.hashes.get(before)).copied();
                pool.publish(*block, *hash, parent);
            }
        }
        self.published = full;
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

    /// What it has used if it goes no further.
    pub(super) fn used(&self) -> JobUsage {
        let reached = self.computed.max(self.lost).min(self.prompt);
        JobUsage { prompt: Tokens::of(reached), ..self.usage }
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
