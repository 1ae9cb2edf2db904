//! One budget, and how it stands.

use std::borrow::Cow;
use std::collections::BTreeMap;

use protocol::account::{Budget, Spent};
use protocol::manage::BudgetState;
use protocol::units::{Nanos, UnixMillis};

use super::types::{AlertRaised, OverBudget};
use super::window::{Calendar, Span};

/// Somebody who holds a part of a budget to spend it elsewhere.
pub(super) type Owner = u64;

/// A budget and how it stands.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) budget: Budget,
    calendar: Calendar,
    pub(super) window: Span,
    /// The latest moment that it was told of: time never goes back for it.
    pub(super) seen: UnixMillis,
    pub(super) settled: Nanos,
    /// What running requests may still spend.
    pub(super) open: Nanos,
    /// What others may spend elsewhere.
    pub(super) holds: BTreeMap<Owner, Nanos>,
    /// The sum of it.
    pub(super) held: Nanos,
    /// What all may come to: the limit when it was last reserved from, or what stood there already when the
    /// limit was lowered.
    pub(super) ceiling: Nanos,
    pub(super) alerted: u128,
    /// What was asked of it since somebody last looked, in vain or not.
    pub(super) asked: Nanos,
    /// The most that was refused at once since then.
    pub(super) refused: Nanos,
    /// With less than this left, somebody wants to know.
    pub(super) low: Nanos,
}

/// Why an account does not let somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// It has no room.
    Over,
    /// The sum does not fit.
    Overflow,
}

impl Account {
    /// As it was stored.
    pub(super) fn new(budget: Budget, calendar: Calendar, spent: Option<&Spent>) -> Self {
        let window = spent.map_or(Span::UNKNOWN, |spent| calendar.window(spent.since));
        let settled = spent.map_or(Nanos::ZERO, |spent| spent.settled);
        Self {
            ceiling: budget.limit.max(settled),
            seen: window.since,
            settled,
            alerted: spent.map_or(0, |spent| spent.alerted),
            budget,
            calendar,
            window,
            open: Nanos::ZERO,
            holds: BTreeMap::new(),
            held: Nanos::ZERO,
            asked: Nanos::ZERO,
            refused: Nanos::ZERO,
            low: Nanos::ZERO,
        }
    }

    /// The budget changes. What was spent stays spent.
    pub(super) fn replace(&mut self, now: UnixMillis, budget: Budget, calendar: Calendar) {
        if budget.window != self.budget.window {
            self.window = calendar.window(now);
            self.seen = now;
        }
        (self.budget, self.calendar) = (budget, calendar);
        self.cap(now);
    }

    /// What stands there already may stay, even if it is more than the limit.
    pub(super) fn cap(&mut self, now: UnixMillis) {
        let stands = self.settled + self.reserved();
        self.ceiling = self.limit(now).max(stands);
    }

    /// Time goes on. Begins the next window if this one is over.
    pub(super) fn advance(&mut self, now: UnixMillis) {
        self.seen = self.seen.max(now);
        if self.window.is_over(self.seen) {
            self.window = self.calendar.window(self.seen);
            (self.settled, self.alerted) = (Nanos::ZERO, 0);
        }
    }

    /// As it stands at a moment, without telling it that time goes on.
    pub(super) fn peek(&self, now: UnixMillis) -> Cow<'_, Self> {
        if now <= self.seen || (self.budget.increase.is_none() && !self.window.is_over(now)) {
            return Cow::Borrowed(self);
        }
        let mut then = self.clone();
        then.advance(now);
        Cow::Owned(then)
    }

    /// What running requests may still spend, here and elsewhere.
    pub(super) fn reserved(&self) -> Nanos {
        self.open + self.held
    }

    /// The limit, with what it is increased by.
    pub(super) fn limit(&self, now: UnixMillis) -> Nanos {
        let now = self.seen.max(now);
        let more = self.budget.increase.filter(|increase| now < increase.until);
        self.budget.limit + more.map_or(Nanos::ZERO, |increase| increase.amount)
    }

    /// What is left of it; nothing if too much is gone already.
    pub(super) fn left(&self) -> Nanos {
        self.limit(self.seen) - (self.settled + self.reserved())
    }

    /// Whether there is room. For an account that knows the time.
    pub(super) fn fits(&self, more: Nanos) -> Result<(), Full> {
        let stands = self.settled.checked_add(self.open).and_then(|sum| sum.checked_add(self.held));
        let sum = stands.and_then(|sum| sum.checked_add(more)).ok_or(Full::Overflow)?;
        if self.budget.soft || sum <= self.limit(self.seen) { Ok(()) } else { Err(Full::Over) }
    }

    /// Whether more is gone than the limit allows, as a soft budget lets happen.
    pub(super) fn is_over(&self) -> bool {
        self.settled + self.reserved() > self.limit(self.seen)
    }

    /// Sets aside what fits.
    pub(super) fn reserve(&mut self, more: Nanos) {
        self.open += more;
        self.asked += more;
        self.ceiling = self.limit(self.seen);
    }

    /// What was set aside is not needed.
    pub(super) fn release(&mut self, amount: Nanos) {
        self.open -= amount;
    }

    /// Sets aside so much for somebody elsewhere, in place of what was before. What goes beyond the limit stands
    /// all the same: it is spent there already.
    pub(super) fn hold(&mut self, owner: Owner, amount: Nanos) {
        let before = self.holds.remove(&owner).unwrap_or_default();
        self.held -= before;
        let amount = amount.min(Nanos(u64::MAX) - (self.settled + self.open + self.held));
        self.held += amount;
        if amount > Nanos::ZERO {
            self.holds.insert(owner, amount);
        }
        if amount > before {
            self.cap(self.seen);
        }
    }

    /// It is spent.
    pub(super) fn settle(&mut self, amount: Nanos) {
        self.settled += amount;
    }

    /// Alerts whose share is spent, each once in a window.
    pub(super) fn alerts(&mut self) -> Vec<AlertRaised> {
        let limit = self.limit(self.seen);
        let gone = |share: u8| {
            u128::from(self.settled.0).saturating_mul(100) >= u128::from(limit.0).saturating_mul(u128::from(share))
        };
        let shares: Vec<u8> = self.budget.alerts.iter().copied().filter(|share| gone(*share)).collect();
        shares.into_iter().filter_map(|share| self.alert(share)).collect()
    }

    /// A request came that does not fit: all of it counts as gone.
    pub(super) fn exhausted(&mut self) -> Option<AlertRaised> {
        self.budget.alerts.contains(&100).then(|| self.alert(100)).flatten()
    }

    fn alert(&mut self, share: u8) -> Option<AlertRaised> {
        let bit = 1_u128 << (share & 127);
        if self.alerted & bit != 0 {
            return None;
        }
        self.alerted |= bit;
        Some(AlertRaised {
            budget: self.budget.id.clone(),
            share,
            settled: self.settled,
            reserved: self.reserved(),
            limit: self.limit(self.seen),
            at: self.seen,
        })
    }

    /// Why a request does not fit.
    pub(super) fn over(&self, asked: Nanos) -> OverBudget {
        OverBudget {
            budget: self.budget.id.clone(),
            limit: self.limit(self.seen),
            settled: self.settled,
            reserved: self.reserved(),
            asked,
            resets: self.window.until,
        }
    }

    /// What a store keeps.
    pub(super) fn spent(&self) -> Spent {
        let Self { settled, alerted, .. } = *self;
        Spent { budget: self.budget.id.clone(), since: self.window.since, settled, alerted }
    }

    /// For an operator.
    pub(super) fn state(&self) -> BudgetState {
        BudgetState {
            budget: self.budget.clone(),
            settled: self.settled,
            reserved: self.reserved(),
            since: self.window.since,
            resets: self.window.until,
        }
    }
}
