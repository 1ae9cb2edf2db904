//! What was asked lately, as far as it bears on how many nodes are needed: when, how long, and what prompts share.
//!
//! Rules: nothing of a prompt is kept but its length and the names of its blocks, which are hashes that the tenant's
//! salt goes into. The memory is bounded for each model ([`REQUESTS`], [`NAMES`]) and over all of them ([`MODELS`]),
//! whatever is asked. To record is a short lock and a copy of names, at the end of a request, off the client's way.
//!
//! Left to others: to make a trace of it and to plan with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::engine::BlockHash;
use protocol::units::Tokens;
use tokio::time::Instant;

use crate::guarded::Guarded;

/// Requests that are remembered of a model, below 128 bytes each: half a MiB.
pub const REQUESTS: usize = 4096;
/// Names of blocks that are remembered of a model, 8 bytes each: 2 MiB. Where prompts are so long that these do not
/// suffice for [`REQUESTS`] (beyond 8,192 tokens on average), the oldest are forgotten sooner.
pub const NAMES: usize = 1 << 18;
/// Models that are remembered, 160 MiB at the very most; of one more, the one that was asked least recently is
/// forgotten. With prompts of 1,000 tokens a model takes 0.8 MiB.
pub const MODELS: usize = 64;
/// Tokens under one name: as many whole blocks as they hold, at least one.
const COARSE: Tokens = Tokens(128);

/// One answer that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When it came, since the first moment that is remembered at all.
    pub at: Duration,
    /// Tokens of the prompt.
    pub prompt: Tokens,
    /// Tokens of the answer; none if no node took it.
    pub answer: Option<Tokens>,
    /// From when it came until its first token, as it was.
    pub first: Option<Duration>,
    /// Names of its blocks from the front, each of which stands for all before it too; the last one perhaps in part.
    pub blocks: Vec<u64>,
    /// The conversation.
    pub session: Option<u64>,
}

/// What is remembered of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Tokens under one name.
    pub block: Tokens,
    /// In the order in which they came.
    pub asked: Vec<Asked>,
    /// How many more there were and are forgotten.
    pub forgotten: u64,
    /// From the first that is remembered to now.
    pub over: Duration,
}

/// A request, before it is known what becomes of it.
#[derive(Debug)]
pub struct Note {
    /// When it came.
    pub arrived: Instant,
    /// Tokens of the prompt.
    pub prompt: Tokens,
    /// How many answers it wants.
    pub choices: u32,
    /// The names of the prompt's full blocks.
    pub chain: Arc<[BlockHash]>,
    /// Tokens in one of them.
    pub block: Tokens,
    /// The conversation.
    pub session: Option<u64>,
}

/// The end of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Tokens of all its answers; none if no node took it.
    pub answer: Option<Tokens>,
    /// From when it came until its first token.
    pub first: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Entry {
    arrived: Instant,
    prompt: Tokens,
    end: End,
    choices: u32,
    names: u32,
    session: Option<u64>,
}

/// Two rings: the requests, and beside them the names of all their blocks.
#[derive(Clone, Debug)]
struct Ring {
    /// Tokens under one name; another size begins anew.
    block: Tokens,
    entries: VecDeque<Entry>,
    names: VecDeque<u64>,
    forgotten: u64,
    newest: Instant,
}

impl Ring {
    fn new(block: Tokens, now: Instant) -> Self {
        Self { block, entries: VecDeque::new(), names: VecDeque::new(), forgotten: 0, newest: now }
    }

    fn push(&mut self, note: &Note, end: End, now: Instant) {
        let each = self.block.0.checked_div(note.block.0).unwrap_or(1).max(1);
        let each = usize::try_from(each).unwrap_or(usize::MAX);
        let count = note.chain.len().div_ceil(each).min(NAMES);
        while self.entries.len() >= REQUESTS || self.names.len().saturating_add(count) > NAMES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.names.drain(..(oldest.names as usize).min(self.names.len()));
            self.forgotten += 1;
        }
        self.names.extend(note.chain.chunks(each).take(count).filter_map(|some| some.last()).map(|hash| hash.head()));
        self.entries.push_back(Entry {
            arrived: note.arrived,
            prompt: note.prompt,
            end,
            choices: note.choices.max(1),
            names: u32::try_from(count).unwrap_or(u32::MAX),
            session: note.session,
        });
        self.newest = now;
    }

    /// Requests end in another order than they came in.
    fn remembered(&self, now: Instant) -> Remembered {
        let begun = self.entries.iter().map(|entry| entry.arrived).min().unwrap_or(now);
        let mut asked = Vec::with_capacity(self.entries.len());
        let mut names = self.names.iter().copied();
        for entry in &self.entries {
            let blocks: Vec<u64> = names.by_ref().take(entry.names as usize).collect();
            let choices = u64::from(entry.choices);
            let one = Asked {
                at: entry.arrived - begun,
                prompt: entry.prompt,
                answer: entry.end.answer.map(|all| Tokens(all.0.div_ceil(choices))),
                first: entry.end.first,
                blocks,
                session: entry.session,
            };
            asked.extend((0..choices).map(|_| one.clone()));
        }
        asked.sort_by_key(|asked| asked.at);
        // Beside the last requests themselves, no more than is remembered of them.
        asked.drain(..asked.len().saturating_sub(REQUESTS));
        Remembered { block: self.block, asked, forgotten: self.forgotten, over: now - begun }
    }
}

/// What was asked lately.
#[derive(Debug, Default)]
pub struct Recent {
    models: Guarded<BTreeMap<String, Ring>>,
}

impl Recent {
    /// A request has ended.
    pub fn record(&self, model: &str, note: &Note, end: End) {
        let now = Instant::now();
        let block = Tokens((COARSE.0 / note.block.0.max(1)).max(1).saturating_mul(note.block.0.max(1)));
        let mut models = self.models.lock();
        match models.get_mut(model) {
            Some(ring) if ring.block == block => ring.push(note, end, now),
            _ => {
                while models.len() >= MODELS && !models.contains_key(model) {
                    let oldest = models.iter().min_by_key(|(_, ring)| ring.newest).map(|(name, _)| name.clone());
                    let Some(oldest) = oldest else { break };
                    models.remove(&oldest);
                }
                let mut ring = Ring::new(block, now);
                ring.push(note, end, now);
                models.insert(model.to_owned(), ring);
            }
        }
    }

    /// What is remembered of a model; none if nothing was asked of it.
    pub fn of(&self, model: &str) -> Option<Remembered> {
        // What is recorded meanwhile waits for the copy alone.
        let ring = self.models.lock().get(model).cloned();
        ring.map(|ring| ring.remembered(Instant::now()))
    }

    /// The models of which something is remembered.
    pub fn models(&self) -> Vec<String> {
        self.models.lock().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
