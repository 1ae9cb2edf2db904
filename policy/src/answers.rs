//! Answers that need not be computed again: exact ones, to the very same question.
//!
//! Rules: only complete answers of deterministic requests come in; whoever fills it makes sure of the
//! latter, [`Recording`] of the former. Bounded in bytes: the longest unused goes first. An answer is fresh
//! for a while, and may be served stale for another while under overload. It keeps the pieces as they were
//! said, so that a stream replays as the same stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::answer::{Answer, Delta, Started, Usage};
use protocol::units::ByteSize;

/// What was asked, as a hash over all that the answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

/// The bounds of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all answers together; 0 for none.
    pub memory: ByteSize,
    /// How long an answer is fresh.
    pub ttl: Duration,
    /// How long it may be served at all; at least `ttl`.
    pub stale: Duration,
}

impl From<&protocol::config::Answers> for Bounds {
    fn from(answers: &protocol::config::Answers) -> Self {
        Self { memory: answers.memory, ttl: answers.ttl.0, stale: answers.stale.0 }
    }
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// How it began.
    pub started: Started,
    /// Deltas and ends of choices, in order.
    pub pieces: Vec<Answer>,
    /// What it used.
    pub usage: Usage,
    bytes: u64,
}

/// An answer that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The answer.
    pub answer: Arc<Recorded>,
    /// It is past its time.
    pub stale: bool,
}

#[derive(Clone, Debug)]
struct Slot {
    answer: Arc<Recorded>,
    since: Duration,
    used: u64,
}

/// All answers.
#[derive(Clone, Debug)]
pub struct AnswerCache {
    bounds: Bounds,
    slots: BTreeMap<Key, Slot>,
    /// By use, the longest unused first.
    uses: BTreeMap<u64, Key>,
    bytes: u64,
    clock: u64,
}

/// What a slot costs beside its answer: keys and links in both maps.
const SLOT: u64 = 256;
/// What a piece costs beside its text.
const PIECE: u64 = size_of::<Answer>() as u64;

impl AnswerCache {
    /// An empty cache.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, slots: BTreeMap::new(), uses: BTreeMap::new(), bytes: 0, clock: 0 }
    }

    /// How many answers it holds.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What they take.
    pub fn bytes(&self) -> ByteSize {
        ByteSize(self.bytes)
    }

    /// The most that one answer may take: an eighth of all.
    pub fn longest(&self) -> ByteSize {
        ByteSize(self.bounds.memory.0 / 8)
    }

    /// The answer to a question; one past its time only if `stale`.
    pub fn get(&mut self, now: Duration, key: &Key, stale: bool) -> Option<Found> {
        let age = now.saturating_sub(self.slots.get(key)?.since);
        if age >= self.bounds.stale.max(self.bounds.ttl) {
            self.remove(key);
            return None;
        }
        let old = age >= self.bounds.ttl;
        if old && !stale {
            return None;
        }
        self.clock += 1;
        let slot = self.slots.get_mut(key)?;
        self.uses.remove(&std::mem::replace(&mut slot.used, self.clock));
        self.uses.insert(self.clock, *key);
        Some(Found { answer: Arc::clone(&slot.answer), stale: old })
    }

    /// Keeps an answer, in place of an older one to the same question.
    pub fn put(&mut self, now: Duration, key: Key, answer: Recorded) {
        let bytes = answer.bytes + SLOT;
        if bytes > self.longest().0 {
            return;
        }
        self.remove(&key);
        self.clock += 1;
        self.slots.insert(key, Slot { answer: Arc::new(answer), since: now, used: self.clock });
        self.uses.insert(self.clock, key);
        self.bytes += bytes;
        while self.bytes > self.bounds.memory.0 {
            let Some(oldest) = self.uses.first_key_value().map(|(_, key)| *key) else { break };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            self.uses.remove(&slot.used);
            self.bytes = self.bytes.saturating_sub(slot.answer.bytes + SLOT);
        }
    }
}

/// An answer on its way, written down piece by piece.
#[derive(Clone, Debug)]
pub struct Recording {
    longest: ByteSize,
    started: Option<Started>,
    pieces: Vec<Answer>,
    bytes: u64,
    spoilt: bool,
}

impl Recording {
    /// Of an answer that is given up when it takes more.
    pub fn new(longest: ByteSize) -> Self {
        Self { longest, started: None, pieces: Vec::new(), bytes: 0, spoilt: false }
    }

    /// A piece went by. Returns the answer with its last piece, if it is complete and fits.
    pub fn push(&mut self, piece: &Answer) -> Option<Recorded> {
        if self.spoilt {
            return None;
        }
        match piece {
            Answer::Started(started) => self.started = Some(started.clone()),
            Answer::Delta(delta) => self.keep(piece, text(delta)),
            Answer::Finished { .. } => self.keep(piece, 0),
            Answer::Failed(_) => self.spoil(),
            Answer::Done { usage } => {
                let started = self.started.take()?;
                let pieces = std::mem::take(&mut self.pieces);
                let bytes = self.bytes + size_of::<Recorded>() as u64;
                self.spoilt = true;
                return Some(Recorded { started, pieces, usage: *usage, bytes });
            }
        }
        None
    }

    fn keep(&mut self, piece: &Answer, bytes: u64) {
        self.bytes += PIECE + bytes;
        if self.bytes > self.longest.0 {
            return self.spoil();
        }
        self.pieces.push(piece.clone());
    }

    fn spoil(&mut self) {
        self.spoilt = true;
        self.pieces = Vec::new();
    }
}

/// The bytes behind a delta.
fn text(delta: &Delta) -> u64 {
    let logprobs = delta.logprobs.iter().map(|token| {
        let top: usize = token.top.iter().map(|(_, bytes, _)| bytes.len() + 48).sum();
        token.bytes.len() + top + 64
    });
    (delta.text.len() + logprobs.sum::<usize>()) as u64
}

#[cfg(test)]
mod tests;
