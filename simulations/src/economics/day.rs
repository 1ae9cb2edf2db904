//! Days of requests through the ledger, in virtual time: what is set aside, booked, refused, and who is told when.
//!
//! Rules:
//! - Each request goes the coordinator's way: its tier by score, kept by its conversation (`Sticky`); the most it can
//!   cost is set aside in every budget that counts it, or in none; after its answer the actual cost is booked and the
//!   rest given back. Where the tier's budget has no room, `auto` takes the next lower one that has; a request that
//!   names its model is refused.
//! - An unsure answer is booked and the next tier asked; if that has no room, the unsure answer stands.
//! - One more budget, which only counts, sees everything: at the end it must say what the sum of all costs says.
//! - Every day is like the first.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::complexity::tiers::{Because, Mode, Sticky, StickySettings, Thresholds};
use policy::ledger::ReservationId;
use policy::restart::Jitter;
use protocol::account::{Budget, Period, Subject, Window};
use protocol::config::Routing;
use protocol::units::{Nanos, UnixMillis};

use super::bank::{Bank, Spent};
use super::measure::Bench;
use super::policies::{Choose, Policy};
use super::prompts::Arrival;
pub use super::ran::{DayError, Ran, Refused};
use super::setting::Limit;

/// When days begin: 2026-11-01, midnight UTC, a Sunday, the first of a month of 30 days.
pub const BEGIN: UnixMillis = UnixMillis(1_793_491_200_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The budget that counts everything.
const METER: &str = "(everything)";

/// What is run.
#[derive(Debug)]
pub struct Days<'a> {
    /// The mix, its prompts and prices.
    pub bench: &'a Bench<'a>,
    /// Who is asked.
    pub policy: &'a Policy,
    /// The requests of a day.
    pub day: &'a [Arrival],
    /// How many such days.
    pub days: u32,
    /// What may be spent.
    pub limits: &'a [Limit],
    /// Coordinators, to which requests come in turn.
    pub coordinators: u8,
    /// Decides what lots and probabilities are drawn.
    pub seed: u64,
}

/// A request at a tier.
#[derive(Clone, Copy, Debug)]
struct Ask {
    coordinator: u64,
    tier: usize,
    item: usize,
    conversation: u64,
}

struct State<'a> {
    days: &'a Days<'a>,
    bank: Bank,
    sticky: Sticky<u64>,
    thresholds: Thresholds,
    subjects: Vec<Subject>,
    running: BTreeMap<(UnixMillis, ReservationId), Ask>,
    refused: BTreeMap<(String, bool, Option<UnixMillis>), Refused>,
    random: Jitter,
    next: u128,
    open: Nanos,
    quality: f64,
    ran: Ran,
}

impl Days<'_> {
    /// Runs them.
    ///
    /// # Errors
    /// A budget cannot be, or a rule was broken.
    pub fn run(&self) -> Result<Ran, DayError> {
        let mut state = State::new(self)?;
        for day in 0..self.days {
            for arrival in self.day {
                let at = BEGIN.after(DAY * day + arrival.at);
                state.end_until(Some(at))?;
                // Conversations of another day are others.
                let conversation = u64::from(day) * self.day.len() as u64 + arrival.conversation;
                state.begin(at, &Arrival { conversation, ..*arrival })?;
            }
        }
        // As budgets stand before the next window opens.
        let end = BEGIN.after(DAY * self.days - Duration::from_millis(1));
        state.end_until(Some(end))?;
        let budgets = state.bank.states(end).into_iter().filter(|budget| budget.budget.id != METER);
        state.ran.budgets = budgets.collect();
        state.end_until(None)?;
        state.finish()
    }
}

impl<'a> State<'a> {
    fn new(days: &'a Days<'a>) -> Result<Self, DayError> {
        let mix = &days.bench.priced.mix;
        let mut budgets = vec![Budget {
            id: METER.into(),
            limit: Nanos(u64::MAX / 4),
            window: Window { every: Period::Total, zone: None },
            soft: true,
            ..Budget::default()
        }];
        for limit in days.limits {
            let tier = limit.tier.as_ref();
            let found = tier.map(|tier| mix.tiers.iter().find(|own| own.name == *tier).ok_or(tier)).transpose();
            let found = found.map_err(|tier| DayError::Tier {
                id: limit.id.clone(),
                tier: tier.clone(),
                mix: mix.name.clone(),
                known: mix.tiers.iter().map(|tier| tier.name.as_str()).collect::<Vec<_>>().join(", "),
            })?;
            budgets.push(limit.budget(found.map(|tier| tier.model.as_str())));
        }
        let subject = |model: &str| Subject { key: "app".into(), model: model.to_owned(), ..Subject::default() };
        let cuts = match &days.policy.choose {
            Choose::Need(cuts) => cuts.clone(),
            _ => Default::default(),
        };
        let routing = Routing::default();
        let sticky =
            StickySettings { ttl: routing.sticky.0, margin: routing.margin, most: routing.conversations as usize };
        let tiers = mix.tiers.len();
        Ok(Self {
            days,
            bank: Bank::new(budgets, days.coordinators)?,
            sticky: Sticky::new(sticky),
            thresholds: Thresholds { cheap: cuts.clone(), balanced: cuts.clone(), best: cuts },
            subjects: mix.tiers.iter().map(|tier| subject(&tier.model)).collect(),
            running: BTreeMap::new(),
            refused: BTreeMap::new(),
            random: Jitter::new(days.seed ^ 0x0da7),
            next: 0,
            open: Nanos::ZERO,
            quality: 0.0,
            ran: Ran { asked: vec![0; tiers], answered: vec![0; tiers], ..Ran::default() },
        })
    }

    /// A request comes.
    fn begin(&mut self, now: UnixMillis, arrival: &Arrival) -> Result<(), DayError> {
        self.bank.advance(now)?;
        let coordinator = self.ran.requests % self.bank.coordinators();
        self.ran.requests += 1;
        let Days { bench, policy, .. } = *self.days;
        let wanted = if matches!(policy.choose, Choose::Need(_)) {
            let since = now.since(BEGIN);
            let choice =
                self.sticky.choose(since, arrival.conversation, arrival.score, Mode::Balanced, &self.thresholds);
            self.ran.kept += u64::from(choice.because != Because::Score);
            choice.tier
        } else {
            let random = self.random.draw();
            let labels = bench.labels(arrival.item);
            bench.items.get(arrival.item).map_or(0, |item| policy.wants(item, arrival.score, labels, random))
        };
        let first = bench.served(wanted);
        let lower = if policy.is_auto() { first } else { 0 };
        let mut refusal = None;
        for tier in std::iter::once(first).chain((0..lower).rev()) {
            match self.ask(now, Ask { coordinator, tier, item: arrival.item, conversation: arrival.conversation })? {
                None => {
                    self.ran.lowered += u64::from(tier != first);
                    if let Some(refusal) = refusal {
                        self.note(now, refusal, true);
                    }
                    return Ok(());
                }
                Some(over) => refusal = refusal.or(Some(over)),
            }
        }
        if let Some(refusal) = refusal {
            self.note(now, refusal, false);
        }
        Ok(())
    }

    /// Sets money aside and asks a tier; what the budget says, if there is none.
    fn ask(&mut self, now: UnixMillis, ask: Ask) -> Result<Option<Spent>, DayError> {
        let Some(subject) = self.subjects.get(ask.tier) else { return Ok(None) };
        let id = ReservationId(self.next);
        self.next += 1;
        let bound = self.days.bench.bound(ask.tier);
        if let Some(spent) = self.bank.reserve(now, ask.coordinator, id, subject, bound)? {
            return Ok(Some(spent));
        }
        self.open += bound;
        self.ran.reserved = self.ran.reserved.max(self.open);
        let ends = now.after(self.days.bench.workload.takes.0);
        self.running.insert((ends, id), ask);
        Ok(None)
    }

    /// Answers that are complete by then; all, if nobody says.
    fn end_until(&mut self, until: Option<UnixMillis>) -> Result<(), DayError> {
        while let Some(entry) = self.running.first_entry() {
            let (at, id) = *entry.key();
            if until.is_some_and(|until| at > until) {
                break;
            }
            let ask = entry.remove();
            self.end(at, id, ask)?;
        }
        Ok(())
    }

    fn end(&mut self, now: UnixMillis, id: ReservationId, ask: Ask) -> Result<(), DayError> {
        self.bank.advance(now)?;
        let Days { bench, policy, .. } = *self.days;
        let Ask { coordinator, tier, item, conversation } = ask;
        self.ran.settled += self.bank.settle(now, coordinator, id, bench.cost(tier))?;
        self.open -= bench.bound(tier);
        count(&mut self.ran.asked, tier);
        let label = bench.labels(item).get(tier).copied();
        if let Some(unsure) = policy.unsure
            && tier < bench.priced.top()
        {
            let next = bench.served(tier + 1);
            let random = self.random.draw();
            if unsure.again(label.unwrap_or(0.5), bench.workload.answer, bench.bound(next), random) {
                self.sticky.raise(now.since(BEGIN), conversation, next, Mode::Balanced);
                match self.ask(now, Ask { tier: next, ..ask })? {
                    None => return Ok(()),
                    Some(over) => {
                        self.ran.stood += 1;
                        self.note(now, over, true);
                    }
                }
            }
        }
        count(&mut self.ran.answered, tier);
        self.quality += label.unwrap_or(0.0);
        Ok(())
    }

    /// A budget had no room.
    fn note(&mut self, now: UnixMillis, spent: Spent, lowered: bool) {
        let Spent { budget, resets, said } = spent;
        let refused = self.refused.entry((budget.clone(), lowered, resets));
        refused.or_insert_with(|| Refused { budget, first: now, said, count: 0, lowered }).count += 1;
    }

    fn finish(mut self) -> Result<Ran, DayError> {
        self.bank.close(BEGIN.after(DAY * (self.days.days + 1)))?;
        self.ran.alerts = self.bank.told();
        let ledger = self.bank.booked(METER);
        if ledger != self.ran.settled || self.bank.open() > 0 {
            return Err(DayError::Sum { ledger, requests: self.ran.settled });
        }
        let answered: u64 = self.ran.answered.iter().sum();
        self.ran.quality = self.quality / answered.max(1) as f64;
        self.ran.refused = self.refused.into_values().collect();
        self.ran.refused.sort_by(|a, b| (a.first, &a.budget).cmp(&(b.first, &b.budget)));
        Ok(self.ran)
    }
}

fn count(counts: &mut [u64], tier: usize) {
    if let Some(count) = counts.get_mut(tier) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests;
