//! What an index makes of an engine's cache events: the blocks that are cached, and how much of a job
//! that is.

use std::collections::BTreeMap;

use crate::engine::{BlockHash, CacheEvent};
use crate::ids::TokenId;
use crate::job::Job;
use crate::units::Tokens;

/// Cached blocks, each with the one before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    held: BTreeMap<BlockHash, Option<BlockHash>>,
}

impl Index {
    /// Replays what an engine told in one go.
    pub(super) fn replay(&mut self, events: &[CacheEvent]) {
        for (place, event) in events.iter().enumerate() {
            match *event {
                CacheEvent::Cleared => {
                    assert_eq!(place, 0, "Cleared stands amid other events");
                    self.held.clear();
                }
                CacheEvent::Stored { hash, parent } => {
                    assert_eq!(self.held.insert(hash, parent), None, "{hash} is stored twice");
                }
                CacheEvent::Removed { hash } => {
                    assert!(self.held.remove(&hash).is_some(), "{hash} is removed and was never stored");
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// How many full blocks of the job, from the front, are cached.
    pub(super) fn blocks(&self, job: &Job, block: usize) -> usize {
        let tokens: Vec<TokenId> = job.prompt.iter().chain(&job.generated).copied().collect();
        let mut before = None;
        BlockHash::chain(job.salt, &tokens, block)
            .take_while(|hash| {
                let parent = self.held.get(hash);
                assert!(
                    parent.is_none_or(|parent| *parent == before),
                    "{hash} is stored behind another than {before:?}"
                );
                before = Some(*hash);
                parent.is_some()
            })
            .count()
    }

    /// What a grant must say: the last token of all is never taken from the cache.
    pub(super) fn cached(&self, job: &Job, block: usize) -> Tokens {
        let usable = (job.prompt.len() + job.generated.len()).saturating_sub(1) / block;
        Tokens::of((self.blocks(job, block).min(usable) * block).min(job.prompt.len()))
    }
}
