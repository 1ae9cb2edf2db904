//! The tenants of one class, in deficit round robin: each round a tenant may send a quantum of tokens,
//! and what it did not use it keeps while it waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::units::Tokens;

use super::Id;

/// Since when it waits, and for those of one moment the order in which they came.
type Age = (Duration, Id);

#[derive(Clone, Debug, Default)]
struct Lane {
    deficit: Tokens,
    entries: BTreeMap<Age, Tokens>,
}

/// All tenants of a class.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    quantum: Tokens,
    /// Whose turn it is stands first. Tenants without entries are not in it.
    ring: VecDeque<String>,
    lanes: BTreeMap<String, Lane>,
}

impl Lanes {
    pub(super) fn new(quantum: Tokens) -> Self {
        Self { quantum: quantum.max(Tokens(1)), ring: VecDeque::new(), lanes: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, tenant: &str, age: Age, tokens: Tokens) {
        if !self.lanes.contains_key(tenant) {
            self.ring.push_back(tenant.to_owned());
        }
        self.lanes.entry(tenant.to_owned()).or_default().entries.insert(age, tokens);
    }

    pub(super) fn remove(&mut self, tenant: &str, age: Age) {
        let Some(lane) = self.lanes.get_mut(tenant) else { return };
        lane.entries.remove(&age);
        if lane.entries.is_empty() {
            self.lanes.remove(tenant);
            self.ring.retain(|other| other != tenant);
        }
    }

    /// The next one, which leaves its lane.
    pub(super) fn pop(&mut self) -> Option<Id> {
        loop {
            // One turn around the ring: each tenant may send what its deficit covers.
            for _ in 0..self.ring.len() {
                let tenant = self.ring.front()?.clone();
                let lane = self.lanes.get_mut(&tenant)?;
                let (age, tokens) = lane.entries.first_key_value().map(|(age, tokens)| (*age, *tokens))?;
                if tokens <= lane.deficit {
                    lane.deficit -= tokens;
                    self.remove(&tenant, age);
                    return Some(age.1);
                }
                self.ring.rotate_left(1);
            }
            if self.ring.is_empty() {
                return None;
            }
            self.grant();
        }
    }

    /// As many rounds at once as it takes until somebody can send.
    fn grant(&mut self) {
        let missing = |lane: &Lane| lane.entries.values().next().map(|tokens| *tokens - lane.deficit);
        let least = self.lanes.values().filter_map(missing).min().unwrap_or_default();
        let rounds = least.0.div_ceil(self.quantum.0).max(1);
        for lane in self.lanes.values_mut() {
            lane.deficit += Tokens(self.quantum.0.saturating_mul(rounds));
        }
    }
}
