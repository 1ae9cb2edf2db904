//! Where conversations were last: worth as much as their prefix, while no index knows better.
//!
//! Rules: so many are remembered and for so long; one more pushes out the one that was quiet longest. Nothing
//! here decides: a session's node is one among the candidates.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::ids::NodeId;
use protocol::units::Tokens;

/// Where a session was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The node.
    pub node: NodeId,
    /// Tokens of its prompt then.
    pub tokens: Tokens,
}

/// When a session was heard of; unique.
type Stamp = (Duration, u64);

/// Sessions by a hash of model, tenant and name.
#[derive(Clone, Debug)]
pub struct Sessions {
    most: usize,
    ttl: Duration,
    last: BTreeMap<u64, (Last, Stamp)>,
    order: BTreeMap<Stamp, u64>,
    count: u64,
}

impl Sessions {
    /// None yet.
    pub fn new(most: usize, ttl: Duration) -> Self {
        Self { most: most.max(1), ttl, last: BTreeMap::new(), order: BTreeMap::new(), count: 0 }
    }

    /// A session goes to a node.
    pub fn note(&mut self, now: Duration, session: u64, last: Last) {
        self.count = self.count.wrapping_add(1);
        let stamp = (now, self.count);
        if let Some((_, before)) = self.last.insert(session, (last, stamp)) {
            self.order.remove(&before);
        }
        self.order.insert(stamp, session);
        while let Some((&(heard, _), _)) = self.order.first_key_value() {
            if self.order.len() <= self.most && now.saturating_sub(heard) < self.ttl {
                break;
            }
            if let Some((_, oldest)) = self.order.pop_first() {
                self.last.remove(&oldest);
            }
        }
    }

    /// Where it was.
    pub fn last(&self, now: Duration, session: u64) -> Option<Last> {
        let (last, (heard, _)) = self.last.get(&session)?;
        (now.saturating_sub(*heard) < self.ttl).then_some(*last)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.last.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }
}

#[cfg(test)]
mod tests;
