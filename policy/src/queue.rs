//! Where requests wait that no node takes now: who goes next, who is turned away, and until when.
//!
//! Rules:
//! - Bounded in requests and in prompt tokens. An entry that was let out on trial keeps its place in the
//!   bound until its trial is over, so whoever is refused once more can always come back.
//! - The higher class goes first; who waits for a while rises by a class. Within a class tenants share
//!   fairly, by deficit round robin in tokens; within a tenant the older goes first.
//! - No more are let in than leave while the newcomer is willing to wait, by the rate as measured.
//! - Whoever comes to a full queue pushes out the youngest of the lowest class below its own; within its
//!   class, the youngest of the tenant that holds most, if that one is over its share and the newcomer is not.
//! - Who is turned away is told when to come again, from the rate at which entries really leave and from
//!   what was promised to others before. Places are held for those who were told so ([`promises`]).
//! - An entry leaves exactly once: served, gone, expired or pushed out.
//!
//! Left to others: when there is room ([`Queue::release`] is called then), and to wait.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::job::Class;
use protocol::units::Tokens;

pub mod backlog;
mod lanes;
mod promises;
mod rate;
mod types;

use lanes::Lanes;
use promises::Promises;
use rate::Rate;
use types::Held;
pub use types::{Bounds, Entry, Id, TurnedAway, Why};

/// How much of what may leave in a time is counted on.
const SURE: f64 = 0.6;

#[derive(Clone, Debug)]
struct Waiting {
    entry: Entry,
    /// Its age in its lane: who was told to come again is as old as when it came first.
    age: Duration,
    /// The class it has by now.
    class: Class,
    /// When it rises next.
    rises: Duration,
    trial: bool,
}

/// The requests that wait for nodes of one model.
#[derive(Clone, Debug)]
pub struct Queue {
    bounds: Bounds,
    entries: BTreeMap<Id, Waiting>,
    lanes: BTreeMap<Class, Lanes>,
    deadlines: BTreeSet<(Duration, Id)>,
    rises: BTreeSet<(Duration, Id)>,
    held: BTreeMap<String, Held>,
    tokens: Tokens,
    trials: usize,
    next: u64,
    rate: Rate,
    promises: Promises,
}

impl Queue {
    /// An empty queue.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: BTreeMap::new(),
            lanes: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            rises: BTreeSet::new(),
            held: BTreeMap::new(),
            tokens: Tokens::ZERO,
            trials: 0,
            next: 0,
            rate: Rate::default(),
            promises: Promises::new(bounds.requests.saturating_mul(4)),
        }
    }

    /// What it may hold.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// How many are in it, those on trial too.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many wait and are not on trial.
    pub fn waiting(&self) -> usize {
        self.entries.len() - self.trials
    }

    /// The prompts of all that are in it.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// Prompt tokens that leave it in a second, as measured.
    pub fn rate(&self) -> f64 {
        self.rate.per_second()
    }

    /// How long the oldest has waited.
    pub fn oldest(&self, now: Duration) -> Duration {
        self.entries.values().map(|waiting| now.saturating_sub(waiting.entry.since)).max().unwrap_or_default()
    }

    /// When [`Queue::expire`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Somebody comes. Returns its place, and who lost theirs for it. `random` is in [0, 1).
    ///
    /// # Errors
    /// There is no room for it.
    pub fn push(
        &mut self,
        now: Duration,
        entry: Entry,
        random: f64,
    ) -> Result<(Id, Vec<(Id, TurnedAway)>), TurnedAway> {
        self.rate.advance(now, !self.is_empty());
        self.promises.expire(now);
        if entry.tokens > self.bounds.tokens {
            let why = Why::TooLarge { tokens: entry.tokens, limit: self.bounds.tokens };
            return Err(TurnedAway { why, retry_after: self.bounds.longest, own: true });
        }
        let promised = if entry.again { self.promises.redeem(now, &entry.tenant, entry.tokens) } else { None };
        let Some(victims) = self.victims(now, &entry, promised.is_some()) else {
            let why = Why::Full { requests: self.len(), tokens: self.tokens };
            return Err(self.turn_away(now, &entry, why, random));
        };
        let lost: Vec<(Id, Waiting)> = victims.into_iter().filter_map(|id| Some((id, self.remove(id)?))).collect();
        let id = Id(self.next);
        self.next += 1;
        self.tokens += entry.tokens;
        self.held.entry(entry.tenant.clone()).or_default().add(entry.tokens);
        self.deadlines.insert((entry.deadline, id));
        let rises = entry.since + self.bounds.rise;
        let age = promised.unwrap_or(entry.since).min(entry.since);
        let waiting = Waiting { class: entry.class, age, rises, trial: false, entry };
        self.rises.insert((rises, id));
        self.line_up(id, &waiting);
        self.entries.insert(id, waiting);
        let out = lost.into_iter().map(|(id, lost)| (id, self.turn_away(now, &lost.entry, Why::PushedOut, random)));
        Ok((id, out.collect()))
    }

    /// There is room somewhere: lets the next ones out on trial, at most `most` and as many as may be.
    pub fn release(&mut self, now: Duration, most: usize) -> Vec<Id> {
        self.rate.advance(now, !self.is_empty());
        self.rise(now);
        let mut out = Vec::new();
        while out.len() < most && self.trials < self.bounds.trials {
            let Some(id) = self.lanes.values_mut().rev().find_map(Lanes::pop) else { break };
            if let Some(waiting) = self.entries.get_mut(&id) {
                waiting.trial = true;
                self.deadlines.remove(&(waiting.entry.deadline, id));
                self.trials += 1;
                out.push(id);
            }
        }
        out
    }

    /// A trial went badly: it waits again, in its old place. False if it is not here any more.
    pub fn back(&mut self, id: Id) -> bool {
        let Some(waiting) = self.entries.get_mut(&id).filter(|waiting| waiting.trial) else { return false };
        waiting.trial = false;
        let waiting = waiting.clone();
        self.trials -= 1;
        self.deadlines.insert((waiting.entry.deadline, id));
        self.line_up(id, &waiting);
        true
    }

    /// A trial went well: it leaves.
    pub fn served(&mut self, now: Duration, id: Id) -> bool {
        self.rate.advance(now, !self.is_empty());
        let left = self.remove(id);
        self.rate.left(left.as_ref().map_or(Tokens::ZERO, |waiting| waiting.entry.tokens));
        left.is_some()
    }

    /// Its client is gone.
    pub fn leave(&mut self, now: Duration, id: Id) -> bool {
        self.served(now, id)
    }

    /// Those whose deadline has passed leave.
    pub fn expire(&mut self, now: Duration, random: f64) -> Vec<(Id, TurnedAway)> {
        self.rate.advance(now, !self.is_empty());
        let mut out = Vec::new();
        while let Some((_, id)) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now) {
            let Some(late) = self.remove(id) else { break };
            out.push((id, self.turn_away(now, &late.entry, Why::Expired, random)));
        }
        out
    }

    /// When somebody who is not let in at all should come again.
    pub fn refuse(&mut self, now: Duration, entry: &Entry, random: f64) -> TurnedAway {
        self.rate.advance(now, !self.is_empty());
        self.promises.expire(now);
        let why = Why::Full { requests: self.len(), tokens: self.tokens };
        self.turn_away(now, entry, why, random)
    }

    /// Who must go for a newcomer, nobody on trial; none if that does not make enough room.
    fn victims(&self, now: Duration, entry: &Entry, promised: bool) -> Option<BTreeSet<Id>> {
        let (mut requests, mut tokens) = (self.len() + 1, self.tokens + entry.tokens);
        if !promised {
            // Places for those who were told to come about now, unless the newcomer is more urgent.
            let (held, held_tokens) = self.promises.due(now + self.delay(self.tokens), entry.class);
            requests += held;
            tokens += held_tokens;
        }
        let (mut victims, mut held) = (BTreeSet::new(), self.held.clone());
        // Who was told to come finds room, whatever has become of the rate meanwhile.
        let bound = if promised { self.bounds.tokens } else { self.bound(entry) };
        while requests > self.bounds.requests || tokens > bound {
            let id = self.victim(entry, &victims, &held)?;
            let victim = &self.entries.get(&id)?.entry;
            requests -= 1;
            tokens -= victim.tokens;
            if let Some(held) = held.get_mut(&victim.tenant) {
                held.sub(victim.tokens);
            }
            victims.insert(id);
        }
        Some(victims)
    }

    /// The next one that must go.
    fn victim(&self, entry: &Entry, gone: &BTreeSet<Id>, held: &BTreeMap<String, Held>) -> Option<Id> {
        let idle = || self.entries.iter().filter(|(id, waiting)| !waiting.trial && !gone.contains(id));
        let below = idle().filter(|(_, waiting)| waiting.class < entry.class);
        if let Some((id, _)) = below.min_by_key(|(id, waiting)| (waiting.class, std::cmp::Reverse(**id))) {
            return Some(*id);
        }
        let (greedy, most) = held.iter().max_by_key(|(_, held)| held.tokens)?;
        if self.is_greedy(entry) || *greedy == entry.tenant || !most.exceeds(self.share(&entry.tenant)) {
            return None;
        }
        let same = idle().filter(|(_, waiting)| waiting.entry.tenant == *greedy && waiting.class <= entry.class);
        same.map(|(id, _)| *id).max()
    }

    /// What a tenant may hold when all that are here, and it, share alike.
    fn share(&self, tenant: &str) -> Held {
        let tenants = (self.held.len() + usize::from(!self.held.contains_key(tenant))).max(1);
        Held { requests: self.bounds.requests / tenants, tokens: Tokens(self.bounds.tokens.0 / tenants as u64) }
    }

    /// Whether its tenant would hold more than its share.
    fn is_greedy(&self, entry: &Entry) -> bool {
        let mut held = self.held.get(&entry.tenant).copied().unwrap_or_default();
        held.add(entry.tokens);
        held.exceeds(self.share(&entry.tenant))
    }

    fn turn_away(&mut self, now: Duration, entry: &Entry, why: Why, random: f64) -> TurnedAway {
        // What must leave before there is room: what is too much already, what others were promised, itself.
        let (count, promised) = self.promises.all();
        let requests = (self.len() + count + 1).saturating_sub(self.bounds.requests);
        let each = if self.is_empty() { entry.tokens } else { Tokens(self.tokens.0 / self.len() as u64) };
        let excess = (self.tokens + promised + entry.tokens) - self.bound(entry);
        let ahead = excess.max(Tokens(each.0.saturating_mul(requests as u64)));
        let wait = self.delay(ahead).max(self.bounds.shortest);
        let wait = wait.mul_f64(1.25 + 0.25 * random.clamp(0.0, 1.0)).clamp(self.bounds.shortest, self.bounds.longest);
        self.promises.make(now, wait, entry);
        TurnedAway { why, retry_after: wait, own: self.is_greedy(entry) }
    }

    /// The prompts that may wait with this one: no more than leave while it is willing to wait. More would only
    /// be let in to be turned away later.
    fn bound(&self, entry: &Entry) -> Tokens {
        let patience = entry.deadline.saturating_sub(entry.since).as_secs_f64();
        let leave = Tokens((self.rate() * patience * SURE) as u64);
        self.bounds.tokens.min(leave.max(entry.tokens))
    }

    /// How long so many tokens take to leave.
    fn delay(&self, tokens: Tokens) -> Duration {
        let seconds = tokens.0 as f64 / self.rate().max(1.0);
        Duration::from_secs_f64(seconds.min(self.bounds.longest.as_secs_f64()))
    }

    fn line_up(&mut self, id: Id, waiting: &Waiting) {
        let quantum = self.bounds.quantum;
        let lanes = self.lanes.entry(waiting.class).or_insert_with(|| Lanes::new(quantum));
        lanes.push(&waiting.entry.tenant, (waiting.age, id), waiting.entry.tokens);
    }

    /// Whoever has waited long enough rises.
    fn rise(&mut self, now: Duration) {
        while let Some((at, id)) = self.rises.first().copied().filter(|(at, _)| *at <= now) {
            self.rises.remove(&(at, id));
            let Some(waiting) = self.entries.get_mut(&id) else { continue };
            let Some(higher) = Class::ALL.into_iter().find(|class| *class > waiting.class) else { continue };
            let old = std::mem::replace(&mut waiting.class, higher);
            waiting.rises = at + self.bounds.rise;
            let waiting = waiting.clone();
            self.rises.insert((waiting.rises, id));
            if !waiting.trial {
                if let Some(lanes) = self.lanes.get_mut(&old) {
                    lanes.remove(&waiting.entry.tenant, (waiting.age, id));
                }
                self.line_up(id, &waiting);
            }
        }
    }

    fn remove(&mut self, id: Id) -> Option<Waiting> {
        let waiting = self.entries.remove(&id)?;
        self.tokens -= waiting.entry.tokens;
        self.trials -= usize::from(waiting.trial);
        self.deadlines.remove(&(waiting.entry.deadline, id));
        self.rises.remove(&(waiting.rises, id));
        if let Some(lanes) = self.lanes.get_mut(&waiting.class) {
            lanes.remove(&waiting.entry.tenant, (waiting.age, id));
        }
        if let Some(held) = self.held.get_mut(&waiting.entry.tenant) {
            held.sub(waiting.entry.tokens);
            if held.requests == 0 {
                self.held.remove(&waiting.entry.tenant);
            }
        }
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
