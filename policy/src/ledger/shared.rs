//! Budgets that several coordinators spend: what the one that holds them sets aside for others, and what those
//! may spend of it.
//!
//! Rules:
//! - What is set aside for somebody elsewhere counts as reserved, across windows too, until it is lowered or a
//!   cost of theirs takes its place.
//! - A cost that comes from elsewhere is a fact: it is booked, whatever the limit.
//! - A slice is a budget without a window: its limit is what was granted, and what is settled in it is what the
//!   holder has not booked yet.

use std::collections::BTreeMap;

use protocol::account::{Budget, Period, Spent, Subject, Window};
use protocol::escrow::Slice;
use protocol::units::{Nanos, UnixMillis};

use super::Ledger;
use super::account::{Account, Owner};
use super::matching::Slot;
use super::types::{AlertRaised, BudgetError, ReservationId, ReserveError, Settled};
use super::window::Calendar;

/// How a slice stands with those who spend it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stands {
    /// What was granted.
    pub limit: Nanos,
    /// What was spent of it and is not booked yet.
    pub settled: Nanos,
    /// What running requests may still spend.
    pub open: Nanos,
    /// What was asked of it since somebody last looked, in vain or not.
    pub asked: Nanos,
    /// The most that was refused at once since then.
    pub refused: Nanos,
}

/// What a cost from elsewhere has changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charged {
    pub alerts: Vec<AlertRaised>,
    pub changes: Vec<Spent>,
    /// The most by which it goes beyond what was set aside in a budget that refuses.
    pub unheld: Nanos,
}

impl Ledger {
    /// Books what was spent without a reservation of this ledger: by a coordinator that was lost, before it was
    /// started again. It counts whatever the limit.
    ///
    /// # Errors
    /// The sum does not fit into a budget: nothing changes.
    pub fn charge(&mut self, now: UnixMillis, subject: &Subject, cost: Nanos) -> Result<Settled, ReserveError> {
        let Charged { alerts, changes, .. } = self.book(now, None, subject, cost)?;
        Ok(Settled { booked: cost, disputed: Nanos::ZERO, alerts, changes })
    }

    /// Books a cost of somebody elsewhere, in place of what is set aside for them.
    pub(crate) fn book(
        &mut self,
        now: UnixMillis,
        owner: Option<Owner>,
        subject: &Subject,
        cost: Nanos,
    ) -> Result<Charged, ReserveError> {
        let slots = self.matching(subject);
        for slot in &slots {
            let Some(account) = self.account_mut(*slot) else { continue };
            account.advance(now);
            let stands = account.settled.checked_add(account.open).and_then(|sum| sum.checked_add(account.held));
            if stands.and_then(|sum| sum.checked_add(cost)).is_none() {
                return Err(ReserveError::Overflow { of: format!("budget '{}'", account.budget.id), asked: cost });
            }
        }
        let mut charged = Charged::default();
        for slot in slots {
            let Some(account) = self.account_mut(slot) else { continue };
            let held = owner.and_then(|owner| account.holds.get(&owner).copied()).unwrap_or_default();
            if let Some(owner) = owner {
                account.hold(owner, held - cost);
            }
            account.settle(cost);
            if cost > held && !account.budget.soft {
                charged.unheld = charged.unheld.max(cost - held);
                account.cap(now);
            }
            charged.alerts.extend(account.alerts());
            charged.changes.push(account.spent());
        }
        Ok(charged)
    }

    /// What is set aside for somebody.
    pub(crate) fn held(&self, budget: &str, owner: Owner) -> Nanos {
        self.named(budget).and_then(|account| account.holds.get(&owner).copied()).unwrap_or_default()
    }

    /// Sets so much aside for somebody, in place of what was before. Whether there is such a budget.
    pub(crate) fn hold(&mut self, now: UnixMillis, budget: &str, owner: Owner, amount: Nanos) -> bool {
        let Some(account) = self.named_mut(budget) else { return false };
        account.advance(now);
        account.hold(owner, amount);
        true
    }

    /// What is left of a budget that refuses, less than nothing if too much is gone; none if there is none such.
    pub(crate) fn left(&mut self, now: UnixMillis, budget: &str) -> Option<i128> {
        let account = self.named_mut(budget).filter(|account| !account.budget.soft)?;
        account.advance(now);
        let gone = i128::from(account.settled.0) + i128::from(account.reserved().0);
        Some(i128::from(account.limit(account.seen).0) - gone)
    }

    /// What a grantee learns of a budget.
    pub(crate) fn slice(&self, budget: &str, slice: Nanos) -> Option<Slice> {
        let account = self.named(budget)?;
        Some(Slice {
            budget: budget.to_owned(),
            slice,
            limit: account.limit(account.seen),
            settled: account.settled,
            reserved: account.reserved(),
            since: account.window.since,
            resets: account.window.until,
        })
    }

    /// All budgets.
    pub(crate) fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.names.values().filter_map(|slot| Some(&self.account(*slot)?.budget))
    }

    /// Takes a budget of the holder over, as a slice of nothing.
    pub(crate) fn put_slice(&mut self, budget: &Budget) -> Result<(), BudgetError> {
        let window = Window { every: Period::Total, zone: None };
        let missing = || BudgetError::Zone { id: budget.id.clone(), zone: "UTC".to_owned() };
        let calendar = Calendar::new(&window).ok_or_else(missing)?;
        let Budget { id, scope, soft, .. } = budget.clone();
        let limit = Nanos::ZERO;
        let slice = Budget { id, scope, limit, window, alerts: Vec::new(), soft, increase: None };
        self.place(UnixMillis(0), slice, calendar).map(drop)
    }

    /// What may be spent of a slice. If there is more to be had, somebody wants to know when half of it is gone.
    pub(crate) fn set_slice(&mut self, budget: &str, limit: Nanos, more: bool) {
        if let Some(account) = self.named_mut(budget) {
            account.budget.limit = limit;
            account.low = if more { Nanos(account.left().0.div_ceil(2)) } else { Nanos::ZERO };
            account.cap(UnixMillis(0));
        }
    }

    /// Nothing is settled any more, since all of it is counted anew.
    pub(crate) fn forget_settled(&mut self) {
        for account in self.accounts.iter_mut().flatten() {
            account.settled = Nanos::ZERO;
        }
    }

    /// The holder has booked it.
    pub(crate) fn unbook(&mut self, subject: &Subject, cost: Nanos) {
        for slot in self.matching(subject) {
            if let Some(account) = self.account_mut(slot) {
                account.settled -= cost;
            }
        }
    }

    /// How all slices stand that refuse, by budget. What was asked of them is counted anew from now on.
    pub(crate) fn look(&mut self) -> Vec<(String, Stands)> {
        let slots: Vec<_> = self.names.values().copied().collect();
        let stands = slots.into_iter().filter_map(|slot| {
            let account = self.account_mut(slot).filter(|account| !account.budget.soft)?;
            let stands = Stands {
                limit: account.budget.limit,
                settled: account.settled,
                open: account.open,
                asked: std::mem::take(&mut account.asked),
                refused: std::mem::take(&mut account.refused),
            };
            (stands != Stands::default()).then(|| (account.budget.id.clone(), stands))
        });
        stands.collect()
    }

    /// What costs come to in each budget that they count in; none if that does not fit.
    pub(crate) fn parts<'a>(
        &self,
        costs: impl Iterator<Item = (&'a Subject, Nanos)>,
    ) -> Option<BTreeMap<String, Nanos>> {
        let mut parts = BTreeMap::<Slot, Nanos>::new();
        for (subject, cost) in costs {
            for slot in self.matching(subject) {
                let part = parts.entry(slot).or_default();
                *part = part.checked_add(cost)?;
            }
        }
        Some(parts.into_iter().filter_map(|(slot, part)| Some((self.account(slot)?.budget.id.clone(), part))).collect())
    }

    /// Whether a budget can count so much more.
    pub(crate) fn counts(&self, budget: &str, more: Nanos) -> bool {
        let stands = |account: &Account| account.settled.checked_add(account.open)?.checked_add(account.held);
        let sum = |account| stands(account)?.checked_add(more);
        self.named(budget).is_none_or(|account| sum(account).is_some())
    }

    /// Whether a request has left less than was wanted, since the last time.
    pub(crate) fn take_scarce(&mut self) -> bool {
        std::mem::take(&mut self.scarce)
    }

    /// What an open reservation is about.
    pub(crate) fn subject(&self, id: ReservationId) -> Option<&Subject> {
        self.open.get(&id).map(|open| &open.subject)
    }

    fn named(&self, budget: &str) -> Option<&Account> {
        self.account(*self.names.get(budget)?)
    }

    fn named_mut(&mut self, budget: &str) -> Option<&mut Account> {
        let slot = *self.names.get(budget)?;
        self.account_mut(slot)
    }
}
