//! A store in memory, for tests and simulations: the same promises but the one about restarts of the process.
//!
//! Rules: clones share what they keep, as handles on one file would; each is closed for itself.

#![expect(
    clippy::disallowed_types,
    reason = "calls of a store block by contract; no lock is held across anything that waits"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::account::{Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::manage::{UsagePlace, UsageQuery};
use protocol::units::UnixMillis;

use crate::Store;
use crate::error::StoreError;
use crate::hard::{Counters, Hard};
use crate::report::{Compacted, Day, Grouping, Paging, Span, Sums, Total, UsagePage, folded};
use crate::write::{Receipt, Write, check};

#[derive(Clone, Debug, Default)]
struct Kept {
    hard: Hard,
    usage: BTreeMap<UsagePlace, UsageRecord>,
    seen: BTreeMap<RequestId, UnixMillis>,
    daily: BTreeMap<Day, Vec<(Subject, Total)>>,
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    closed: AtomicBool,
}

impl Clone for MemoryStore {
    /// Another handle on the same; open, even if this one is closed.
    fn clone(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), closed: AtomicBool::new(false) }
    }
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> Result<MutexGuard<'_, Kept>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn apply(&mut self, place: usize, write: &Write, receipt: &mut Receipt) {
        let hard = &mut self.hard;
        match write.clone() {
            Write::PutKey(record) => drop(hard.keys.insert(record.id.clone(), record)),
            Write::PutBudget(budget) => drop(hard.budgets.insert(budget.id.clone(), budget)),
            Write::RemoveBudget(id) => {
                hard.budgets.remove(&id);
                hard.spent.remove(&id);
            }
            Write::Spent(spent) => drop(hard.spent.insert(spent.budget.clone(), spent)),
            Write::PutPrice { name, price } => drop(hard.prices.insert(name, price)),
            Write::RemovePrice(name) => drop(hard.prices.remove(&name)),
            Write::Usage(record) if self.seen.contains_key(&record.request) => receipt.skip(place, record.request),
            Write::Usage(record) => {
                self.seen.insert(record.request, record.at);
                self.usage.insert(UsagePlace { at: record.at, request: record.request }, record);
            }
            Write::Open(open) if self.seen.contains_key(&open.request) => receipt.skip(place, open.request),
            Write::Open(open) => drop(hard.open.insert(open.request, open)),
            Write::Close(request) => drop(hard.open.remove(&request)),
            Write::PutBlob { name, bytes } => drop(hard.blobs.insert(name, bytes)),
            Write::RemoveBlob(name) => drop(hard.blobs.remove(&name)),
        }
    }

    fn fold(&mut self, place: UsagePlace) -> Result<(), StoreError> {
        let Some(record) = self.usage.get(&place) else { return Ok(()) };
        let (subject, more) = (folded(&record.subject), Total::from(record));
        let totals = self.daily.entry(Day::of(place.at)).or_default();
        match totals.iter_mut().find(|(of, _)| *of == subject) {
            Some((_, total)) => {
                *total = total.checked_add(&more).ok_or(StoreError::Overflow { label: subject.key })?;
            }
            None => totals.push((subject, more)),
        }
        self.usage.remove(&place);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Hard, StoreError> {
        let kept = self.kept()?;
        let counters = Counters {
            records: kept.usage.len() as u64,
            first: kept.usage.keys().next().copied(),
            last: kept.usage.keys().next_back().copied(),
            ever: kept.seen.len() as u64,
        };
        Ok(Hard { counters, ..kept.hard.clone() })
    }

    fn commit(&self, batch: &[Write]) -> Result<Receipt, StoreError> {
        let mut kept = self.kept()?;
        check(batch)?;
        let mut receipt = Receipt::default();
        for (place, write) in batch.iter().enumerate() {
            kept.apply(place, write, &mut receipt);
        }
        Ok(receipt)
    }

    fn usage(&self, query: &UsageQuery) -> Result<UsagePage, StoreError> {
        let kept = self.kept()?;
        let (span, mut paging) = (Span::of(query), Paging::new(query));
        for (place, record) in kept.usage.range(span.from..) {
            if span.beyond && *place == span.from {
                continue;
            }
            if span.ended(*place) || paging.full() {
                break;
            }
            paging.show(record.clone());
        }
        Ok(paging.done())
    }

    fn totals(
        &self,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
        by: Grouping,
    ) -> Result<BTreeMap<String, Total>, StoreError> {
        let kept = self.kept()?;
        let mut sums = Sums::new(by);
        for (day, totals) in kept.daily.iter().filter(|(day, _)| day.within(since, until)) {
            totals.iter().try_for_each(|(subject, total)| sums.add(*day, subject, total))?;
        }
        let within = |at: UnixMillis| since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until);
        for record in kept.usage.values().filter(|record| within(record.at)) {
            sums.add(Day::of(record.at), &record.subject, &Total::from(record))?;
        }
        Ok(sums.done())
    }

    fn compact(&self, before: UnixMillis) -> Result<Compacted, StoreError> {
        let mut kept = self.kept()?;
        let end = UsagePlace { at: Day::of(before).start(), ..UsagePlace::default() };
        let places: Vec<_> = kept.usage.range(..end).map(|(place, _)| *place).collect();
        let totals = kept.daily.values().map(Vec::len).sum::<usize>();
        let mut compacted = Compacted::default();
        for place in places {
            kept.fold(place)?;
            compacted.records += 1;
        }
        compacted.totals = kept.daily.values().map(Vec::len).sum::<usize>().saturating_sub(totals) as u64;
        Ok(compacted)
    }

    fn usage_exists(&self, request: RequestId) -> Result<bool, StoreError> {
        Ok(self.kept()?.seen.contains_key(&request))
    }

    fn close(&self) -> Result<(), StoreError> {
        self.kept().map(drop)?;
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}
