//! What an engine has cached, for everybody who wants to know: a mirror, and the changes as they come.
//!
//! Rules: the engine tells once, after each step; whoever comes late or falls behind takes the mirror and does
//! not disturb the engine or the others. The mirror is bounded by the engine's blocks. Changes go out by a
//! bounded channel that drops the oldest: its reader learns that it has fallen behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::cache::{BlockKey, CacheChange};
use protocol::engine::{CacheEvent, Engine};
use tokio::sync::{Mutex, broadcast};

/// Steps' changes that wait for a listener.
const BEHIND: usize = 256;

/// An engine's cache, as others see it.
#[derive(Debug)]
pub(super) struct Feed {
    mirror: Mutex<HashSet<BlockKey>>,
    changes: broadcast::Sender<Arc<[CacheChange]>>,
    /// Somebody has listened once: from then on the engine is asked after each step.
    wanted: AtomicBool,
}

/// A listener: first the whole cache, then what changes.
#[derive(Debug)]
pub struct CacheListener {
    feed: Arc<Feed>,
    changes: broadcast::Receiver<Arc<[CacheChange]>>,
    first: Option<Vec<BlockKey>>,
    /// It has missed something: next comes the whole cache.
    behind: bool,
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// All that is cached; what was heard before is void.
    All(Vec<BlockKey>),
    /// What has changed since.
    Changes(Arc<[CacheChange]>),
}

impl Feed {
    pub(super) fn new() -> Arc<Self> {
        let (changes, _) = broadcast::channel(BEHIND);
        Arc::new(Self { mirror: Mutex::default(), changes, wanted: AtomicBool::new(false) })
    }

    pub(super) async fn listen(self: &Arc<Self>) -> CacheListener {
        self.wanted.store(true, Ordering::Relaxed);
        // Under the lock: nothing is told between the two.
        let mirror = self.mirror.lock().await;
        let changes = self.changes.subscribe();
        CacheListener { feed: Arc::clone(self), changes, first: Some(mirror.iter().copied().collect()), behind: false }
    }

    /// Hears what the engine has to tell. `events` is room that is used again and again.
    pub(super) async fn hear(&self, engine: &mut dyn Engine, events: &mut Vec<CacheEvent>) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        events.clear();
        engine.cache_events(events);
        if events.is_empty() {
            return;
        }
        let changes = changes(events);
        let mut mirror = self.mirror.lock().await;
        for change in &changes {
            match change {
                CacheChange::Cleared => mirror.clear(),
                CacheChange::Stored(keys) => mirror.extend(keys),
                CacheChange::Removed(keys) => keys.iter().for_each(|key| {
                    mirror.remove(key);
                }),
            }
        }
        // An error says that nobody listens now.
        let _ = self.changes.send(changes.into());
    }

    /// The engine is gone, and its cache with it.
    pub(super) async fn lose(&self) {
        let mut mirror = self.mirror.lock().await;
        mirror.clear();
        let _ = self.changes.send([CacheChange::Cleared].into());
    }
}

/// Events in a row of one kind become one change.
fn changes(events: &[CacheEvent]) -> Vec<CacheChange> {
    let mut changes: Vec<CacheChange> = Vec::new();
    for event in events {
        match (event, changes.last_mut()) {
            (CacheEvent::Stored { hash, .. }, Some(CacheChange::Stored(keys)))
            | (CacheEvent::Removed { hash }, Some(CacheChange::Removed(keys))) => keys.push((*hash).into()),
            (CacheEvent::Stored { hash, .. }, _) => changes.push(CacheChange::Stored(vec![(*hash).into()])),
            (CacheEvent::Removed { hash }, _) => changes.push(CacheChange::Removed(vec![(*hash).into()])),
            (CacheEvent::Cleared, _) => changes.push(CacheChange::Cleared),
        }
    }
    changes
}

impl CacheListener {
    /// What comes next; none once the worker is gone. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if self.behind {
                // Dropped in the middle, it is still behind the next time.
                *self = self.feed.listen().await;
            }
            if let Some(all) = self.first.take() {
                return Some(Heard::All(all));
            }
            match self.changes.recv().await {
                Ok(changes) => return Some(Heard::Changes(changes)),
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Next comes the whole cache.
    pub fn again(&mut self) {
        self.behind = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::engine::BlockHash;

    #[test]
    fn events_of_one_kind_become_one_change() {
        let hash = |n: u8| BlockHash::root([n; 16]);
        let stored = |n| CacheEvent::Stored { hash: hash(n), parent: None };
        let removed = |n| CacheEvent::Removed { hash: hash(n) };
        let found = changes(&[CacheEvent::Cleared, stored(1), stored(2), removed(1), stored(3)]);
        let key = |n| BlockKey::from(hash(n));
        let wanted = [
            CacheChange::Cleared,
            CacheChange::Stored(vec![key(1), key(2)]),
            CacheChange::Removed(vec![key(1)]),
            CacheChange::Stored(vec![key(3)]),
        ];
        assert_eq!(found, wanted);
    }
}
