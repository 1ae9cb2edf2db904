//! Who keeps the budgets: one coordinator with its ledger, or several, of which one has the budgets and the others
//! spend slices of them.
//!
//! Rules: the decisions are `policy::ledger` and `policy::escrow`. Messages between coordinators arrive at once and are
//! never lost (chaos is for that), but are sent no more often than the settings say: a request whose slice is too small
//! waits for the next one, and is refused when none suffices. Journals are written at once.

use std::time::Duration;

use policy::escrow::grantee::Refused as Denied;
use policy::escrow::holder::At;
use policy::escrow::{Grantee, Holder, Settings};
use policy::ledger::{AlertRaised, Ledger, ReservationId, ReserveError};
use protocol::account::{Budget, Subject, UsageRecord};
use protocol::escrow::GranteeId;
use protocol::ids::{Incarnation, RequestId};
use protocol::manage::BudgetState;
use protocol::units::{Nanos, UnixMillis};

use super::day::{BEGIN, DayError};

/// Slices that a request waits for.
const WAITS: u32 = 50;

/// The budgets and whoever spends of them.
#[derive(Debug)]
pub struct Bank {
    holder: Holder,
    grantees: Vec<Grantee>,
    /// Who was told what.
    alerts: Vec<AlertRaised>,
}

/// A budget that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Which.
    pub budget: String,
    /// When its window begins anew.
    pub resets: Option<UnixMillis>,
    /// What its owner is told.
    pub said: String,
}

impl Bank {
    /// With so many coordinators.
    ///
    /// # Errors
    /// A budget cannot be.
    pub fn new(budgets: Vec<Budget>, coordinators: u8) -> Result<Self, DayError> {
        let settings = Settings::default();
        let holder = Holder::new(settings, 1, Ledger::new(budgets, [])?, []);
        let grantee = |id| Grantee::new(settings, GranteeId(id), Incarnation(1), 0, []);
        let grantees = (1..u64::from(coordinators)).map(grantee).collect::<Result<Vec<_>, _>>()?;
        let mut bank = Self { holder, grantees, alerts: Vec::new() };
        for at in 0..bank.grantees.len() {
            bank.exchange(at, Duration::ZERO)?;
        }
        Ok(bank)
    }

    /// How many coordinators there are.
    pub fn coordinators(&self) -> u64 {
        self.grantees.len() as u64 + 1
    }

    /// Time goes on: coordinators tell each other what is due.
    ///
    /// # Errors
    /// A message was refused: a defect.
    pub fn advance(&mut self, now: UnixMillis) -> Result<(), DayError> {
        let now = now.since(BEGIN);
        for at in 0..self.grantees.len() {
            if self.grantees.get(at).is_some_and(|grantee| grantee.next_poll() <= now) {
                self.exchange(at, now)?;
            }
        }
        Ok(())
    }

    /// Sets money aside at a coordinator; what the budget says, if there is none.
    ///
    /// # Errors
    /// A sum does not fit, or a message was refused.
    pub fn reserve(
        &mut self,
        now: UnixMillis,
        coordinator: u64,
        id: ReservationId,
        subject: &Subject,
        amount: Nanos,
    ) -> Result<Option<Spent>, DayError> {
        let Some(at) = Self::place(coordinator) else {
            return match self.holder.reserve(moment(now), id, subject, amount) {
                Ok(reserved) => {
                    self.alerts.extend(reserved.alerts);
                    Ok(None)
                }
                Err(ReserveError::OverBudget { over, alerts }) => {
                    self.alerts.extend(alerts);
                    Ok(Some(Spent { said: over.to_string(), budget: over.budget, resets: over.resets }))
                }
                Err(error) => Err(DayError::Reserve(error)),
            };
        };
        let mut then = now.since(BEGIN);
        let mut waits = 0;
        loop {
            let Some(grantee) = self.grantees.get_mut(at) else { return Ok(None) };
            let (budget, said) = match grantee.reserve(then, id, subject, amount) {
                Ok(()) => return Ok(None),
                Err(Denied::Over(over)) => {
                    return Ok(Some(Spent { said: over.to_string(), budget: over.budget, resets: over.resets }));
                }
                Err(Denied::Ledger(error)) => return Err(DayError::Reserve(error)),
                Err(Denied::Slice { budget, asked }) => (budget.clone(), Denied::Slice { budget, asked }.to_string()),
                Err(denied @ (Denied::Closed { .. } | Denied::Backlog(_))) => (String::new(), denied.to_string()),
            };
            if waits == WAITS {
                return Ok(Some(Spent { budget, resets: None, said }));
            }
            waits += 1;
            then = then.max(grantee.next_poll());
            self.exchange(at, then)?;
        }
    }

    /// A request has cost so much: what is booked of it.
    ///
    /// # Errors
    /// It was settled before, or never reserved.
    pub fn settle(
        &mut self,
        now: UnixMillis,
        coordinator: u64,
        id: ReservationId,
        actual: Nanos,
    ) -> Result<Nanos, DayError> {
        let Some(at) = Self::place(coordinator) else {
            let settled = self.holder.settle(moment(now), id, actual)?;
            self.alerts.extend(settled.alerts);
            return Ok(settled.booked);
        };
        let Some(grantee) = self.grantees.get_mut(at) else { return Ok(Nanos::ZERO) };
        let record = UsageRecord { request: RequestId(id.0), at: now, cost: actual, ..UsageRecord::default() };
        let entry = grantee.settle(id, record)?;
        grantee.journaled(entry.sequence);
        Ok(entry.record.cost)
    }

    /// Everything is over: until the holder has booked all.
    ///
    /// # Errors
    /// A message was refused, or a rule is broken.
    pub fn close(&mut self, now: UnixMillis) -> Result<(), DayError> {
        for at in 0..self.grantees.len() {
            let mut then = now.since(BEGIN);
            while self.grantees.get(at).is_some_and(|grantee| grantee.unbooked() > 0) {
                then = self.grantees.get(at).map_or(then, |grantee| then.max(grantee.next_poll()));
                self.exchange(at, then)?;
            }
            if let Some(grantee) = self.grantees.get(at) {
                grantee.check()?;
            }
        }
        Ok(self.holder.check()?)
    }

    /// Budgets as they stand.
    pub fn states(&self, now: UnixMillis) -> Vec<BudgetState> {
        self.holder.states(moment(now))
    }

    /// What is booked in a budget.
    pub fn booked(&self, budget: &str) -> Nanos {
        self.holder.spent(budget).map(|spent| spent.settled).unwrap_or_default()
    }

    /// Reservations that are open anywhere.
    pub fn open(&self) -> usize {
        self.holder.ledger().open() + self.grantees.iter().map(Grantee::reservations).sum::<usize>()
    }

    /// Whoever was to be told since this was last asked.
    pub fn told(&mut self) -> Vec<AlertRaised> {
        std::mem::take(&mut self.alerts)
    }

    /// Its place among those that have slices; none for the one that has the budgets.
    fn place(coordinator: u64) -> Option<usize> {
        usize::try_from(coordinator).ok()?.checked_sub(1)
    }

    fn exchange(&mut self, at: usize, now: Duration) -> Result<(), DayError> {
        let Some(grantee) = self.grantees.get_mut(at) else { return Ok(()) };
        let Some(sync) = grantee.poll(now) else { return Ok(()) };
        let synced = self.holder.sync(At { now, wall: BEGIN.after(now) }, &sync)?;
        self.alerts.extend(synced.alerts);
        grantee.on_answer(sync.serial, Ok(synced.grant));
        Ok(())
    }
}

fn moment(wall: UnixMillis) -> At {
    At { now: wall.since(BEGIN), wall }
}

#[cfg(test)]
mod tests;
