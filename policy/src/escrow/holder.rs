//! The coordinator that has the budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::account::{Budget, Spent, Subject, UsageRecord};
use protocol::escrow::{BudgetsVersion, EscrowGrant, EscrowRefusal, EscrowState, EscrowSync, GranteeId, Want};
use protocol::ids::Incarnation;
use protocol::manage::BudgetState;
use protocol::units::{Nanos, UnixMillis};

use super::Settings;
use crate::ledger::{
    AlertRaised, Broken, BudgetError, BudgetPut, Ledger, OverBudget, ReservationId, ReserveError, Reserved, Settled,
    UnknownReservation,
};

/// When a command was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Since some fixed moment, to tell who is there.
    pub now: Duration,
    /// By the calendar, to tell which window it is.
    pub wall: UnixMillis,
}

/// What a holder is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// See [`Ledger::put_budget`].
    PutBudget(Budget),
    /// See [`Ledger::remove_budget`].
    RemoveBudget(String),
    /// A request of its own. See [`Ledger::reserve`].
    Reserve {
        /// A new id.
        id: ReservationId,
        /// What it is about.
        subject: Subject,
        /// What it costs at most.
        amount: Nanos,
    },
    /// See [`Ledger::extend`].
    Extend {
        /// Which.
        id: ReservationId,
        /// On top of what it has.
        more: Nanos,
    },
    /// See [`Ledger::settle`].
    Settle {
        /// Which.
        id: ReservationId,
        /// What it has cost.
        actual: Nanos,
    },
    /// See [`Ledger::release`].
    Release(ReservationId),
    /// See [`Ledger::charge`].
    Charge {
        /// What it was about.
        subject: Subject,
        /// What it has cost.
        cost: Nanos,
    },
    /// A grantee tells what was spent and what it needs.
    Sync(EscrowSync),
    /// A grantee never comes back: what is set aside for it is free. An operator's word, since what it has spent
    /// and not told is lost with its journal.
    Forget(GranteeId),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of a budget that was put.
    Put(Result<BudgetPut, BudgetError>),
    /// Of a reservation that was made or extended.
    Reserved(Result<Reserved, ReserveError>),
    /// Of one that was settled.
    Settled(Result<Settled, UnknownReservation>),
    /// Of one that was given back.
    Released(Result<Nanos, UnknownReservation>),
    /// Of a cost without a reservation.
    Charged(Result<Settled, ReserveError>),
    /// Of a grantee's message.
    Synced(Result<Box<Synced>, EscrowRefusal>),
    /// Whether there was such a budget or grantee.
    Removed(bool),
}

/// A grantee's message was taken. `state`, `records` and `changes` are to be written together, and before `grant`
/// leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The answer.
    pub grant: EscrowGrant,
    /// In place of what was kept of this grantee.
    pub state: EscrowState,
    /// Usage that is new.
    pub records: Vec<UsageRecord>,
    /// The budgets that it has changed.
    pub changes: Vec<Spent>,
    /// Whoever is to be told of it.
    pub alerts: Vec<AlertRaised>,
    /// The most by which a record has gone beyond what was set aside for its grantee: nothing, but for budgets
    /// that were put or changed meanwhile.
    pub unheld: Nanos,
}

/// What a holder knows of a grantee.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    incarnation: Incarnation,
    serial: u64,
    applied: u64,
    /// When it was last heard of since this holder has started.
    heard: Option<Duration>,
    /// Budgets in which something is set aside for it.
    budgets: BTreeSet<String>,
}

/// A grantee as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who.
    pub grantee: GranteeId,
    /// How long it has not been heard of; none if not since this holder has started.
    pub silent: Option<Duration>,
    /// The last of its records that is booked.
    pub applied: u64,
    /// What is set aside for it, by budget.
    pub holds: BTreeMap<String, Nanos>,
}

/// The coordinator that has the budgets.
#[derive(Clone, Debug)]
pub struct Holder {
    settings: Settings,
    ledger: Ledger,
    version: BudgetsVersion,
    grantees: BTreeMap<GranteeId, Known>,
}

impl Holder {
    /// As it was stored. `epoch` grows with each start. What was set aside for grantees is reserved until they
    /// are heard of.
    pub fn new(
        settings: Settings,
        epoch: u64,
        mut ledger: Ledger,
        states: impl IntoIterator<Item = EscrowState>,
    ) -> Self {
        let mut grantees = BTreeMap::new();
        for state in states {
            let EscrowState { grantee, incarnation, serial, applied, holds } = state;
            for (budget, amount) in &holds {
                ledger.hold(UnixMillis(0), budget, grantee.0, *amount);
            }
            let budgets = holds.into_keys().collect();
            grantees.insert(grantee, Known { incarnation, serial, applied, heard: None, budgets });
        }
        Self { settings, ledger, version: BudgetsVersion { epoch, number: 1 }, grantees }
    }

    /// Does what it is told. The same commands in the same order have the same outputs.
    pub fn apply(&mut self, at: At, command: Command) -> Output {
        match command {
            Command::PutBudget(budget) => Output::Put(self.put_budget(at, budget)),
            Command::RemoveBudget(id) => Output::Removed(self.remove_budget(&id)),
            Command::Reserve { id, subject, amount } => Output::Reserved(self.reserve(at, id, &subject, amount)),
            Command::Extend { id, more } => Output::Reserved(self.extend(at, id, more)),
            Command::Settle { id, actual } => Output::Settled(self.settle(at, id, actual)),
            Command::Release(id) => Output::Released(self.release(id)),
            Command::Charge { subject, cost } => Output::Charged(self.ledger.charge(at.wall, &subject, cost)),
            Command::Sync(sync) => Output::Synced(self.sync(at, &sync).map(Box::new)),
            Command::Forget(grantee) => Output::Removed(self.forget(at, grantee)),
        }
    }

    /// [`Command::PutBudget`].
    ///
    /// # Errors
    /// It cannot be.
    pub fn put_budget(&mut self, at: At, budget: Budget) -> Result<BudgetPut, BudgetError> {
        let put = self.ledger.put_budget(at.wall, budget);
        self.version.number += u64::from(put.is_ok());
        put
    }

    /// [`Command::RemoveBudget`].
    pub fn remove_budget(&mut self, id: &str) -> bool {
        let removed = self.ledger.remove_budget(id);
        self.version.number += u64::from(removed);
        removed
    }

    /// [`Command::Reserve`].
    ///
    /// # Errors
    /// See [`Ledger::reserve`].
    pub fn reserve(
        &mut self,
        at: At,
        id: ReservationId,
        subject: &Subject,
        amount: Nanos,
    ) -> Result<Reserved, ReserveError> {
        self.ledger.reserve(at.wall, id, subject, amount)
    }

    /// [`Command::Extend`].
    ///
    /// # Errors
    /// See [`Ledger::extend`].
    pub fn extend(&mut self, at: At, id: ReservationId, more: Nanos) -> Result<Reserved, ReserveError> {
        self.ledger.extend(at.wall, id, more)
    }

    /// [`Command::Settle`].
    ///
    /// # Errors
    /// See [`Ledger::settle`].
    pub fn settle(&mut self, at: At, id: ReservationId, actual: Nanos) -> Result<Settled, UnknownReservation> {
        self.ledger.settle(at.wall, id, actual)
    }

    /// [`Command::Release`].
    ///
    /// # Errors
    /// See [`Ledger::release`].
    pub fn release(&mut self, id: ReservationId) -> Result<Nanos, UnknownReservation> {
        self.ledger.release(id)
    }

    /// The budgets, to look at.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What a store keeps of all grantees, for when it was out of reach.
    pub fn kept(&self) -> Vec<EscrowState> {
        let state = |(id, known): (&GranteeId, &Known)| {
            let Known { incarnation, serial, applied, .. } = *known;
            EscrowState { grantee: *id, incarnation, serial, applied, holds: self.holds(*id, known) }
        };
        self.grantees.iter().map(state).collect()
    }

    /// Which of how many coordinators a grantee is, the holder being the first, as far as they are there; none if
    /// it is not.
    pub fn place(&self, now: Duration, grantee: GranteeId) -> Option<usize> {
        self.live(now).position(|live| live == grantee).map(|place| place + 1)
    }

    /// How many coordinators are there, the holder among them.
    pub fn coordinators(&self, now: Duration) -> usize {
        self.live(now).count() + 1
    }

    /// Those that were heard of within the lease.
    fn live(&self, now: Duration) -> impl Iterator<Item = GranteeId> + '_ {
        let lease = self.settings.lease;
        let there = move |known: &Known| known.heard.is_some_and(|heard| now.saturating_sub(heard) < lease);
        self.grantees.iter().filter(move |(_, known)| there(known)).map(|(id, _)| *id)
    }

    /// Whether a request of its own would pass. See [`Ledger::would_pass`].
    ///
    /// # Errors
    /// A budget has no room.
    pub fn would_pass(&self, at: At, subject: &Subject, amount: Nanos) -> Result<(), OverBudget> {
        self.ledger.would_pass(at.wall, subject, amount)
    }

    /// All budgets as they stand.
    pub fn states(&self, at: At) -> Vec<BudgetState> {
        self.ledger.states(at.wall)
    }

    /// What a store keeps of a budget.
    pub fn spent(&self, budget: &str) -> Option<Spent> {
        self.ledger.spent(budget)
    }

    /// All grantees.
    pub fn grantees(&self, now: Duration) -> Vec<Report> {
        let report = |(id, known): (&GranteeId, &Known)| Report {
            grantee: *id,
            silent: known.heard.map(|heard| now.saturating_sub(heard)),
            applied: known.applied,
            holds: self.holds(*id, known),
        };
        self.grantees.iter().map(report).collect()
    }

    /// See [`Ledger::check`].
    ///
    /// # Errors
    /// A rule is broken.
    pub fn check(&self) -> Result<(), Broken> {
        self.ledger.check()
    }

    /// [`Command::Sync`].
    ///
    /// # Errors
    /// It does not follow what is known: nothing changes.
    pub fn sync(&mut self, at: At, sync: &EscrowSync) -> Result<Synced, EscrowRefusal> {
        let mut known = self.admit(sync)?;
        let applied = known.applied;
        let new = sync.records.iter().filter(|entry| entry.sequence > applied);
        let costs = || new.clone().map(|entry| (&entry.record.subject, entry.record.cost));
        let overflow = |sequence| EscrowRefusal::Overflow { sequence };
        let parts = self.ledger.parts(costs()).ok_or_else(|| overflow(applied.saturating_add(1)))?;
        if !parts.iter().all(|(budget, part)| self.ledger.counts(budget, *part)) {
            return Err(overflow(applied.saturating_add(1)));
        }
        let (mut records, mut changes, mut alerts) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut unheld = Nanos::ZERO;
        for entry in new {
            let (subject, cost) = (&entry.record.subject, entry.record.cost);
            let booked = self.ledger.book(at.wall, Some(sync.grantee.0), subject, cost);
            let booked = booked.map_err(|_| overflow(entry.sequence))?;
            changes.extend(booked.changes.into_iter().map(|spent| (spent.budget.clone(), spent)));
            alerts.extend(booked.alerts);
            unheld = unheld.max(booked.unheld);
            records.push(entry.record.clone());
            known.applied = entry.sequence;
        }
        (known.incarnation, known.serial, known.heard) = (sync.incarnation, sync.serial, Some(at.now));
        let applied = known.applied;
        known.budgets.extend(sync.wants.iter().map(|want| want.budget.clone()));
        self.grantees.insert(sync.grantee, known);
        let slices = if sync.journal_complete { self.cut(at, sync) } else { BTreeMap::new() };
        let state = self.keep(sync.grantee);
        let grant = EscrowGrant {
            epoch: self.version.epoch,
            incarnation: sync.incarnation,
            serial: sync.serial,
            applied,
            ttl: self.settings.ttl,
            version: self.version,
            budgets: (sync.version != self.version).then(|| self.ledger.budgets().cloned().collect()),
            slices: slices.iter().filter_map(|(budget, slice)| self.ledger.slice(budget, *slice)).collect(),
        };
        let state = state.ok_or(EscrowRefusal::TooMany(self.grantees.len()))?;
        Ok(Synced { grant, state, records, changes: changes.into_values().collect(), alerts, unheld })
    }

    /// Whether a message follows what is known, and what that is. Changes nothing.
    fn admit(&self, sync: &EscrowSync) -> Result<Known, EscrowRefusal> {
        let most = self.settings.grantees;
        let known = match self.grantees.get(&sync.grantee) {
            Some(known) => known.clone(),
            None if self.grantees.len() >= most => return Err(EscrowRefusal::TooMany(most)),
            None => {
                let (incarnation, budgets) = (sync.incarnation, BTreeSet::new());
                Known { incarnation, serial: 0, applied: 0, heard: None, budgets }
            }
        };
        if (sync.incarnation, sync.serial) <= (known.incarnation, known.serial) {
            return Err(EscrowRefusal::Overtaken { incarnation: sync.incarnation.0, serial: sync.serial });
        }
        let applied = known.applied;
        if sync.last < applied {
            return Err(EscrowRefusal::JournalLost { applied, last: sync.last });
        }
        let mut next = applied;
        for entry in sync.records.iter().filter(|entry| entry.sequence > applied) {
            if Some(entry.sequence) != next.checked_add(1) {
                return Err(EscrowRefusal::Gap { applied });
            }
            next = entry.sequence;
        }
        Ok(known)
    }

    /// Cuts the slices of a grantee anew. What it has given up is free, what it uses is set aside whatever the
    /// limit.
    fn cut(&mut self, at: At, sync: &EscrowSync) -> BTreeMap<String, Nanos> {
        let owner = sync.grantee.0;
        let wants: BTreeMap<&str, &Want> = sync.wants.iter().map(|want| (want.budget.as_str(), want)).collect();
        let held = self.grantees.get(&sync.grantee).map(|known| known.budgets.clone()).unwrap_or_default();
        for budget in &held {
            let hold = self.ledger.held(budget, owner);
            let kept = wants.get(budget.as_str()).map_or(Nanos::ZERO, |want| hold.min(want.keep).max(want.used));
            // A budget that refuses nothing needs nothing set aside.
            let kept = if self.ledger.left(at.wall, budget).is_some() { kept } else { Nanos::ZERO };
            self.ledger.hold(at.wall, budget, owner, kept);
        }
        let live = self.live(at.now).count() as u64;
        let mut slices = BTreeMap::new();
        for (budget, want) in wants {
            let Some(left) = self.ledger.left(at.wall, budget) else { continue };
            let hold = self.ledger.held(budget, owner);
            let free = hold - want.used;
            // Of what nobody uses yet, this grantee's free part included.
            let pool = Nanos(u64::try_from(left.saturating_add(i128::from(free.0)).max(0)).unwrap_or(u64::MAX));
            let share = Nanos(pool.0 / live.saturating_mul(2).saturating_add(2));
            let most = share.max(self.settings.chunk).max(want.urgent).min(pool);
            let target = want.free.max(want.urgent).min(most);
            if target > free {
                self.ledger.hold(at.wall, budget, owner, want.used + target);
            }
            // Less than is set aside: it gives up the rest with its next message.
            slices.insert(budget.to_owned(), want.used + target);
        }
        slices
    }

    fn holds(&self, grantee: GranteeId, known: &Known) -> BTreeMap<String, Nanos> {
        let held = known.budgets.iter().map(|budget| (budget.clone(), self.ledger.held(budget, grantee.0)));
        held.filter(|(_, amount)| *amount > Nanos::ZERO).collect()
    }

    /// What a store keeps of a grantee.
    fn keep(&mut self, grantee: GranteeId) -> Option<EscrowState> {
        let holds = self.holds(grantee, self.grantees.get(&grantee)?);
        let known = self.grantees.get_mut(&grantee)?;
        known.budgets = holds.keys().cloned().collect();
        let Known { incarnation, serial, applied, .. } = *known;
        Some(EscrowState { grantee, incarnation, serial, applied, holds })
    }

    fn forget(&mut self, at: At, grantee: GranteeId) -> bool {
        let Some(known) = self.grantees.remove(&grantee) else { return false };
        for budget in &known.budgets {
            self.ledger.hold(at.wall, budget, grantee.0, Nanos::ZERO);
        }
        true
    }
}
