//! A conversation stays where it is while its prefix is warm.
//!
//! Rules: within the time to live a conversation only goes up, and only if the new score is above the cut by a
//! margin; each move would throw away a warm prefix. After it, the prefix is cold and the score decides anew. What
//! is remembered is bounded; who was heard of longest ago is forgotten first, and forgetting only costs a prefix.
//! Who makes the key takes care that two customers never share one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Cuts, Mode, Thresholds, passes};
use crate::complexity::Score;

/// How long and how firmly a conversation stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StickySettings {
    /// How long a prefix counts as warm.
    pub ttl: Duration,
    /// How far above the cut a score must be to go up, at most half of what is left above the cut.
    pub margin: f64,
    /// Conversations that are remembered.
    pub most: usize,
}

impl Default for StickySettings {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(600), margin: 0.05, most: 100_000 }
    }
}

/// A tier and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub tier: usize,
    /// Why.
    pub because: Because,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The score.
    Score,
    /// The conversation was there before, and its score alone would have chosen another tier.
    Sticky,
    /// The conversation was on a lower tier, and has become clearly harder.
    Raised,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    tier: usize,
    mode: Mode,
    seen: Duration,
    turn: u64,
}

/// Where conversations are.
#[derive(Clone, Debug)]
pub struct Sticky<K> {
    settings: StickySettings,
    entries: BTreeMap<K, Entry>,
    order: BTreeMap<(Duration, u64), K>,
    turns: u64,
}

impl<K: Ord + Clone> Sticky<K> {
    /// Of none.
    pub fn new(settings: StickySettings) -> Self {
        Self { settings, entries: BTreeMap::new(), order: BTreeMap::new(), turns: 0 }
    }

    /// The tier of a conversation's next request, which is remembered.
    pub fn choose(&mut self, now: Duration, key: K, score: Score, mode: Mode, thresholds: &Thresholds) -> Choice {
        let cuts = thresholds.of(mode);
        let fresh = cuts.tier(score);
        let warm = self.entries.get(&key).filter(|entry| self.is_warm(now, entry) && entry.mode == mode);
        let choice = match warm {
            None => Choice { tier: fresh, because: Because::Score },
            Some(entry) => {
                // There may be fewer tiers than there were.
                let kept = entry.tier.min(cuts.as_slice().len());
                let raised = self.clearly(score, cuts);
                match raised {
                    raised if raised > kept => Choice { tier: raised, because: Because::Raised },
                    _ if fresh == kept => Choice { tier: kept, because: Because::Score },
                    _ => Choice { tier: kept, because: Because::Sticky },
                }
            }
        };
        self.remember(now, key, choice.tier, mode);
        choice
    }

    /// An answer of a conversation was escalated: it stays up there.
    pub fn raise(&mut self, now: Duration, key: K, tier: usize, mode: Mode) {
        let before = self.entries.get(&key).filter(|entry| self.is_warm(now, entry) && entry.mode == mode);
        let tier = before.map_or(tier, |entry| entry.tier.max(tier));
        self.remember(now, key, tier, mode);
    }

    /// Conversations that are remembered, warm or not.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn is_warm(&self, now: Duration, entry: &Entry) -> bool {
        now < entry.seen.saturating_add(self.settings.ttl)
    }

    /// The tier that a score reaches by the margin.
    fn clearly(&self, score: Score, cuts: &Cuts) -> usize {
        let over = |cut: f64| cut + self.settings.margin.max(0.0).min((1.0 - cut) / 2.0);
        cuts.as_slice().iter().take_while(|cut| passes(score.need(), **cut) && score.need() > over(**cut)).count()
    }

    fn remember(&mut self, now: Duration, key: K, tier: usize, mode: Mode) {
        if let Some(old) = self.entries.remove(&key) {
            self.order.remove(&(old.seen, old.turn));
        }
        self.turns = self.turns.wrapping_add(1);
        let entry = Entry { tier, mode, seen: now, turn: self.turns };
        self.order.insert((now, entry.turn), key.clone());
        self.entries.insert(key, entry);
        while self.entries.len() > self.settings.most {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
