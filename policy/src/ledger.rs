//! What requests may cost and what they have cost, budget by budget, in whole nanos.
//!
//! Rules:
//! - Money is set aside before it is spent ([`Ledger::reserve`]), for all budgets that match or for none.
//!   Then it is booked ([`Ledger::settle`]) or given back ([`Ledger::release`]), once. So what is settled and
//!   what is reserved are together never more than the limit of a budget that is not soft, at any instant.
//! - What is claimed beyond a reservation is told and not booked.
//! - A soft budget counts and tells, and refuses nothing.
//! - Windows follow the calendar of the budget's time zone. What is open when one ends is reserved in the
//!   next, and counts in that in which it settles. A clock that goes back opens no window again: the budget
//!   stays where it is until time has come past it. (A clock that was far ahead leaves it there: remove the
//!   budget and put it again.)
//! - A limit that is lowered below what is settled and reserved lets in nothing more, and what is open settles.
//!   A changed scope, window or limit does not change what was spent; a budget that is new, or has a new scope,
//!   counts what is open and matches. An increase ends at its time, in the same way.
//! - Somebody is told when what is *settled* reaches a share of the limit, and of all hundred hundredths also
//!   when a request comes that does not fit: each share once in a window, across restarts too.
//! - Which budget is named, where several have no room: the one that has none for longest, so that whoever
//!   comes again when it begins anew is not refused by the next.
//!
//! Left to others: to store what [`Settled::changes`] and [`Ledger::spent`] say before the money counts as
//! spent, to release what nobody settles (a guard that does so when it goes), and what a request costs at most.

use std::collections::BTreeMap;

use protocol::account::{Spent, Subject};
use protocol::units::{Nanos, UnixMillis};

mod account;
mod budgets;
mod check;
pub mod idempotency;
mod matching;
mod restore;
mod shared;
mod types;
mod window;

use account::{Account, Full};
pub use budgets::{ALERTS, BUDGETS, ID_BYTES};
use matching::{Matching, Slot};
pub(crate) use shared::Stands;
pub use types::{
    AlertRaised, Broken, BudgetError, BudgetPut, OverBudget, ReservationId, ReserveError, Reserved, Settled,
    UnknownReservation,
};

/// The most reservations that are open at once.
pub const OPEN: usize = 1 << 20;

/// A reservation that is neither settled nor released.
#[derive(Clone, Debug)]
struct Open {
    subject: Subject,
    amount: Nanos,
    /// The budgets that it counts in, in order.
    slots: Vec<Slot>,
}

/// All budgets, and what is open.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: Vec<Option<Account>>,
    /// Places of budgets that were removed.
    free: Vec<Slot>,
    names: BTreeMap<String, Slot>,
    matching: Matching,
    open: BTreeMap<ReservationId, Open>,
    /// A request has left less than somebody wants to know of.
    scarce: bool,
}

impl Ledger {
    /// Sets money aside, in every budget that matches or in none.
    ///
    /// # Errors
    /// A budget has no room; the id is in use; too much or too many for any ledger. Then nothing is reserved.
    pub fn reserve(
        &mut self,
        now: UnixMillis,
        id: ReservationId,
        subject: &Subject,
        amount: Nanos,
    ) -> Result<Reserved, ReserveError> {
        if self.open.contains_key(&id) {
            return Err(ReserveError::Duplicate(id));
        }
        if self.open.len() >= OPEN {
            return Err(ReserveError::TooMany { open: self.open.len() });
        }
        let slots = self.matching(subject);
        let reserved = self.admit(now, &slots, amount)?;
        self.open.insert(id, Open { subject: subject.clone(), amount, slots });
        Ok(reserved)
    }

    /// Sets more aside for a request that goes on.
    ///
    /// # Errors
    /// A budget has no room, or the sum does not fit: then what was reserved before stays so. There is no such
    /// reservation.
    pub fn extend(&mut self, now: UnixMillis, id: ReservationId, more: Nanos) -> Result<Reserved, ReserveError> {
        let open = self.open.get(&id).ok_or(UnknownReservation(id))?;
        let overflow = || ReserveError::Overflow { of: format!("reservation {id}"), asked: more };
        let amount = open.amount.checked_add(more).ok_or_else(overflow)?;
        let slots = open.slots.clone();
        let reserved = self.admit(now, &slots, more)?;
        if let Some(open) = self.open.get_mut(&id) {
            open.amount = amount;
        }
        Ok(reserved)
    }

    /// A request has cost so much. Books it, at most as much as was reserved, and gives back the rest.
    ///
    /// # Errors
    /// There is no such reservation, or no more: nothing changes.
    pub fn settle(&mut self, now: UnixMillis, id: ReservationId, actual: Nanos) -> Result<Settled, UnknownReservation> {
        let open = self.open.remove(&id).ok_or(UnknownReservation(id))?;
        let booked = actual.min(open.amount);
        let mut settled = Settled { booked, disputed: actual - booked, ..Settled::default() };
        for slot in &open.slots {
            let Some(account) = self.account_mut(*slot) else { continue };
            account.advance(now);
            account.release(open.amount);
            account.settle(booked);
            settled.alerts.extend(account.alerts());
            settled.changes.push(account.spent());
        }
        Ok(settled)
    }

    /// A request costs nothing: gives back what was reserved, and says how much that was.
    ///
    /// # Errors
    /// There is no such reservation, or no more: nothing changes.
    pub fn release(&mut self, id: ReservationId) -> Result<Nanos, UnknownReservation> {
        let open = self.open.remove(&id).ok_or(UnknownReservation(id))?;
        for slot in &open.slots {
            if let Some(account) = self.account_mut(*slot) {
                account.release(open.amount);
            }
        }
        Ok(open.amount)
    }

    /// Whether so much could be reserved now: to try a cheaper model, if not. Sets nothing aside and tells nobody.
    ///
    /// # Errors
    /// A budget has no room.
    pub fn would_pass(&self, now: UnixMillis, subject: &Subject, amount: Nanos) -> Result<(), OverBudget> {
        let mut worst = None;
        for slot in self.matching(subject) {
            let Some(account) = self.account(slot).map(|account| account.peek(now)) else { continue };
            if account.fits(amount).is_err() {
                worst = worse(worst, account.over(amount));
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// What is reserved for a request.
    pub fn reserved(&self, id: ReservationId) -> Option<Nanos> {
        self.open.get(&id).map(|open| open.amount)
    }

    /// How many reservations are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// What a store keeps of a budget.
    pub fn spent(&self, budget: &str) -> Option<Spent> {
        self.account(*self.names.get(budget)?).map(Account::spent)
    }

    /// The budgets that match, in order.
    fn matching(&self, subject: &Subject) -> Vec<Slot> {
        let mut slots = self.matching.candidates(subject);
        slots.retain(|slot| self.account(*slot).is_some_and(|account| account.budget.scope.matches(subject)));
        slots
    }

    /// Sets money aside in all of these, or in none.
    fn admit(&mut self, now: UnixMillis, slots: &[Slot], amount: Nanos) -> Result<Reserved, ReserveError> {
        let (mut worst, mut alerts) = (None, Vec::new());
        for slot in slots {
            let Some(account) = self.account_mut(*slot) else { continue };
            account.advance(now);
            match account.fits(amount) {
                Ok(()) => {}
                Err(Full::Over) => {
                    worst = worse(worst, account.over(amount));
                    alerts.extend(account.exhausted());
                    account.refused = account.refused.max(amount);
                    account.asked += amount;
                }
                Err(Full::Overflow) => {
                    let of = format!("budget '{}'", account.budget.id);
                    return Err(ReserveError::Overflow { of, asked: amount });
                }
            }
        }
        if let Some(over) = worst {
            return Err(ReserveError::OverBudget { over: Box::new(over), alerts });
        }
        let (mut reserved, mut scarce) = (Reserved::default(), false);
        for slot in slots {
            let Some(account) = self.account_mut(*slot) else { continue };
            account.reserve(amount);
            scarce |= account.left() < account.low;
            if account.is_over() {
                reserved.alerts.extend(account.exhausted());
            }
        }
        self.scarce |= scarce;
        Ok(reserved)
    }

    fn account(&self, slot: Slot) -> Option<&Account> {
        self.accounts.get(slot)?.as_ref()
    }

    fn account_mut(&mut self, slot: Slot) -> Option<&mut Account> {
        self.accounts.get_mut(slot)?.as_mut()
    }
}

/// The one that has no room for longer.
fn worse(worst: Option<OverBudget>, other: OverBudget) -> Option<OverBudget> {
    let ends = |over: &OverBudget| over.resets.unwrap_or(UnixMillis(u64::MAX));
    match worst {
        Some(worst) if (ends(&worst), &other.budget) >= (ends(&other), &worst.budget) => Some(worst),
        _ => Some(other),
    }
}

#[cfg(test)]
mod tests;
