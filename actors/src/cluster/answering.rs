//! Answers that are kept: the shell around [`policy::answers`], in shards so that nobody waits for another.
//!
//! Rule: guards of the map never leave this file.

use std::sync::Arc;

use dashmap::DashMap;
use policy::answers::{AnswerCache, Bounds, Found, Key, Recording};
use protocol::answer::Answer;
use protocol::units::ByteSize;

use super::Clock;

/// Parts with a bound each.
const SHARDS: u8 = 4;

/// Kept answers. Clones share them.
#[derive(Clone, Debug)]
pub struct Answering {
    clock: Clock,
    bounds: Bounds,
    shards: Arc<DashMap<u8, AnswerCache>>,
}

/// An answer on its way to a client, to be kept if it comes to a good end.
#[derive(Debug)]
pub struct Keeping {
    answering: Answering,
    key: Key,
    recording: Recording,
}

impl Answering {
    /// An empty cache of these bounds.
    pub fn new(bounds: Bounds) -> Self {
        let memory = ByteSize(bounds.memory.0 / u64::from(SHARDS));
        Self { clock: Clock::start(), bounds: Bounds { memory, ..bounds }, shards: Arc::new(DashMap::new()) }
    }

    /// The answer to a question; one past its time only if `stale`.
    pub fn get(&self, key: &Key, stale: bool) -> Option<Found> {
        self.shards.get_mut(&shard(key))?.get(self.clock.now(), key, stale)
    }

    /// Writes down the answer to a question.
    pub fn keep(&self, key: Key) -> Keeping {
        let longest = AnswerCache::new(self.bounds).longest();
        Keeping { answering: self.clone(), key, recording: Recording::new(longest) }
    }
}

impl Keeping {
    /// A piece went to the client.
    pub fn push(&mut self, piece: &Answer) {
        if let Some(recorded) = self.recording.push(piece) {
            let Answering { clock, bounds, shards } = &self.answering;
            let mut shard = shards.entry(shard(&self.key)).or_insert_with(|| AnswerCache::new(*bounds));
            shard.put(clock.now(), self.key, recorded);
        }
    }
}

fn shard(key: &Key) -> u8 {
    key.0.last().copied().unwrap_or_default() % SHARDS
}
