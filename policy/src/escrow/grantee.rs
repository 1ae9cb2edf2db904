//! A coordinator that spends slices of budgets which another one has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::account::{Subject, UsageRecord};
use protocol::escrow::{BudgetsVersion, EscrowGrant, EscrowRefusal, EscrowSync, GranteeId, Sequenced, Slice, Want};
use protocol::ids::Incarnation;
use protocol::units::{Nanos, UnixMillis};

use super::Settings;
use crate::ledger::{Broken, BudgetError, Ledger, OverBudget, ReservationId, ReserveError, Stands, UnknownReservation};

/// Slices have no windows, so no calendar either.
const ALWAYS: UnixMillis = UnixMillis(0);
/// After so many messages in which nothing was asked of it, a budget is not in demand any more.
const QUIET: u32 = 5;

/// Why a grantee does not let a request in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It may spend nothing, since nobody tells it what is left.
    #[error(
        "the coordinator that has the budgets has not answered for {silent:?}: nothing is spent until it does; try again soon"
    )]
    Closed {
        /// How long it has not answered.
        silent: Duration,
    },
    /// A budget has no room.
    #[error(transparent)]
    Over(Box<OverBudget>),
    /// Its slice is too small, but there may be room: more is asked for. Try again with the next grant.
    #[error("the slice of budget '{budget}' here is too small for {asked}: more is asked for; try again at once")]
    Slice {
        /// The budget.
        budget: String,
        /// What was asked for.
        asked: Nanos,
    },
    /// Too much is open or not booked yet.
    #[error("{0} requests are open or not booked yet, which is the most: try again when some are")]
    Backlog(usize),
    /// As [`ReserveError`] says.
    #[error(transparent)]
    Ledger(ReserveError),
}

/// A journal that cannot be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {found} of the journal stands where {wanted} should: restore the journal")]
pub struct BadJournal {
    /// What should stand there.
    pub wanted: u64,
    /// What does.
    pub found: u64,
}

/// What has become of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It is taken: requests that wait for a larger slice may try again. The journal is needed after this record
    /// only.
    Granted {
        /// The last one that is booked.
        booked: u64,
    },
    /// It answers none that is waited for: nothing changes.
    Late,
    /// The message was not taken.
    Refused(EscrowRefusal),
    /// A budget cannot be: nothing is granted.
    Bad(BudgetError),
}

/// How much is in demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Demand {
    /// What is asked for between two messages.
    rate: Nanos,
    /// Messages since anything was.
    quiet: u32,
}

/// A message that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    serial: u64,
    at: Duration,
}

/// A coordinator that spends slices.
#[derive(Clone, Debug)]
pub struct Grantee {
    id: GranteeId,
    incarnation: Incarnation,
    settings: Settings,
    ledger: Ledger,
    epoch: u64,
    version: BudgetsVersion,
    slices: BTreeMap<String, Slice>,
    demand: BTreeMap<String, Demand>,
    /// Records that the journal may not have yet, and the reservations that they settle.
    settling: VecDeque<(Option<ReservationId>, Sequenced)>,
    closing: BTreeSet<ReservationId>,
    /// Records that the journal has and the holder may not have booked.
    unbooked: VecDeque<Sequenced>,
    booked: u64,
    next: u64,
    serial: u64,
    sent: Option<Sent>,
    last: Option<Duration>,
    /// When the last message was sent that was answered, and how long that is good.
    granted: Option<(Duration, Duration)>,
    scarce: bool,
}

impl Grantee {
    /// As its journal has it: all records after the one that is known to be booked. What was open when it was last
    /// lost stands there as records of all that was reserved, with the outcome `Lost`.
    ///
    /// # Errors
    /// A record is missing.
    pub fn new(
        settings: Settings,
        id: GranteeId,
        incarnation: Incarnation,
        booked: u64,
        journal: impl IntoIterator<Item = Sequenced>,
    ) -> Result<Self, BadJournal> {
        let mut unbooked = VecDeque::new();
        let mut next = booked.saturating_add(1);
        for entry in journal {
            if entry.sequence != next {
                return Err(BadJournal { wanted: next, found: entry.sequence });
            }
            next = next.saturating_add(1);
            unbooked.push_back(entry);
        }
        Ok(Self {
            id,
            incarnation,
            settings,
            ledger: Ledger::default(),
            epoch: 0,
            version: BudgetsVersion::default(),
            slices: BTreeMap::new(),
            demand: BTreeMap::new(),
            settling: VecDeque::new(),
            closing: BTreeSet::new(),
            unbooked,
            booked,
            next,
            serial: 0,
            sent: None,
            last: None,
            granted: None,
            scarce: false,
        })
    }

    /// Sets money aside. Write it to the journal before the request goes on: if this coordinator is lost, all of it
    /// counts.
    ///
    /// # Errors
    /// No grant is good; a slice or a budget has no room; too much is open. Nothing is reserved then.
    pub fn reserve(
        &mut self,
        now: Duration,
        id: ReservationId,
        subject: &Subject,
        amount: Nanos,
    ) -> Result<(), Refused> {
        self.open(now)?;
        let backlog = self.ledger.open().saturating_add(self.unbooked.len());
        if backlog >= self.settings.backlog {
            return Err(Refused::Backlog(backlog));
        }
        let reserved = self.ledger.reserve(ALWAYS, id, subject, amount);
        self.scarce |= self.ledger.take_scarce();
        let reserved = reserved.map(drop).map_err(|error| self.refused(error));
        self.scarce |= matches!(reserved, Err(Refused::Slice { .. }));
        reserved
    }

    /// Sets more aside, as [`Grantee::reserve`] does.
    ///
    /// # Errors
    /// As there, or there is no such reservation. What was reserved before stays so.
    pub fn extend(&mut self, now: Duration, id: ReservationId, more: Nanos) -> Result<(), Refused> {
        self.open(now)?;
        if self.closing.contains(&id) {
            return Err(Refused::Ledger(UnknownReservation(id).into()));
        }
        let reserved = self.ledger.extend(ALWAYS, id, more);
        self.scarce |= self.ledger.take_scarce();
        let reserved = reserved.map(drop).map_err(|error| self.refused(error));
        self.scarce |= matches!(reserved, Err(Refused::Slice { .. }));
        reserved
    }

    /// A request has cost `record.cost`. Fills in what is booked of it, adds the rest to what is disputed, and returns
    /// what to write to the journal.
    /// Until [`Grantee::journaled`] says that it stands there, all that was reserved counts, since that is what
    /// would stand there if this coordinator were lost now.
    ///
    /// # Errors
    /// There is no such reservation, or no more: nothing changes.
    pub fn settle(&mut self, id: ReservationId, mut record: UsageRecord) -> Result<Sequenced, UnknownReservation> {
        let unknown = UnknownReservation(id);
        let reserved = self.ledger.reserved(id).filter(|_| !self.closing.contains(&id)).ok_or(unknown)?;
        let booked = record.cost.min(reserved);
        record.disputed += record.cost - booked;
        (record.reserved, record.cost) = (reserved, booked);
        record.subject = self.ledger.subject(id).ok_or(unknown)?.clone();
        self.closing.insert(id);
        Ok(self.enter(Some(id), record))
    }

    /// A request that had nothing reserved and costs nothing. Returns what to write to the journal.
    pub fn free(&mut self, mut record: UsageRecord) -> Sequenced {
        (record.reserved, record.disputed, record.cost) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
        self.enter(None, record)
    }

    fn enter(&mut self, id: Option<ReservationId>, record: UsageRecord) -> Sequenced {
        let entry = Sequenced { sequence: self.next, record };
        self.next = self.next.saturating_add(1);
        self.settling.push_back((id, entry.clone()));
        entry
    }

    /// The journal has all records up to this one, so that no loss of this coordinator undoes them.
    pub fn journaled(&mut self, sequence: u64) {
        while self.settling.front().is_some_and(|(_, entry)| entry.sequence <= sequence) {
            let Some((id, entry)) = self.settling.pop_front() else { break };
            if let Some(id) = id {
                self.closing.remove(&id);
                let settled = self.ledger.settle(ALWAYS, id, entry.record.cost);
                debug_assert!(settled.is_ok(), "what is closing is open");
            }
            self.unbooked.push_back(entry);
        }
    }

    /// A request costs nothing and leaves no record.
    ///
    /// # Errors
    /// There is no such reservation, or no more: nothing changes.
    pub fn release(&mut self, id: ReservationId) -> Result<Nanos, UnknownReservation> {
        if self.closing.contains(&id) {
            return Err(UnknownReservation(id));
        }
        self.ledger.release(id)
    }

    /// Whether a request would pass now: to try a cheaper model, if not.
    ///
    /// # Errors
    /// As for [`Grantee::reserve`].
    pub fn would_pass(&self, now: Duration, subject: &Subject, amount: Nanos) -> Result<(), Refused> {
        self.open(now)?;
        let passes = self.ledger.would_pass(ALWAYS, subject, amount);
        passes.map_err(|over| self.too_small(over))
    }

    /// When [`Grantee::poll`] may have something to send, at the latest.
    pub fn next_poll(&self) -> Duration {
        match (self.sent, self.last) {
            (Some(sent), _) => sent.at.saturating_add(self.settings.patience),
            (None, None) => Duration::ZERO,
            (None, Some(last)) if self.scarce => last.saturating_add(self.settings.pause),
            (None, Some(last)) => last.saturating_add(self.settings.interval),
        }
    }

    /// What to tell the holder now, if anything. What it gives up in it is given up already.
    pub fn poll(&mut self, now: Duration) -> Option<EscrowSync> {
        if now < self.next_poll() {
            return None;
        }
        self.serial = self.serial.saturating_add(1);
        self.sent = Some(Sent { serial: self.serial, at: now });
        (self.last, self.scarce) = (Some(now), false);
        let records: Vec<Sequenced> = self.unbooked.iter().take(self.settings.records).cloned().collect();
        // Without its budgets it cannot say in which of them the rest of its journal counts.
        let knows = self.version != BudgetsVersion::default();
        let journal_complete = knows || records.len() == self.unbooked.len();
        Some(EscrowSync {
            grantee: self.id,
            incarnation: self.incarnation,
            serial: self.serial,
            version: self.version,
            last: self.booked.saturating_add(self.unbooked.len() as u64),
            journal_complete,
            wants: self.wants(&records),
            records,
        })
    }

    fn wants(&mut self, records: &[Sequenced]) -> Vec<Want> {
        let costs = records.iter().map(|entry| (&entry.record.subject, entry.record.cost));
        let parts = self.ledger.parts(costs).unwrap_or_default();
        let mut wants = Vec::new();
        let mut demands = BTreeMap::new();
        for (budget, stands) in self.ledger.look() {
            let Stands { limit, settled, open, asked, refused } = stands;
            let mut demand = self.demand.get(&budget).copied().unwrap_or_default();
            demand.quiet = if asked.max(refused) > Nanos::ZERO { 0 } else { demand.quiet.saturating_add(1) };
            demand.rate = asked.max(Nanos(demand.rate.0 / 2));
            if demand.quiet >= QUIET {
                demand.rate = Nanos::ZERO;
            }
            let wanted = demand.rate + demand.rate;
            let spent = settled + open;
            let free = (limit - spent).min(wanted);
            self.ledger.set_slice(&budget, limit.min(spent + free), false);
            let used = spent - parts.get(&budget).copied().unwrap_or_default();
            demands.insert(budget.clone(), demand);
            wants.push(Want { budget, used, keep: used + free, free: wanted, urgent: refused });
        }
        self.demand = demands;
        wants
    }

    /// The holder has answered.
    pub fn on_answer(&mut self, serial: u64, answer: Result<EscrowGrant, EscrowRefusal>) -> Answered {
        let Some(sent) = self.sent.filter(|sent| sent.serial == serial) else { return Answered::Late };
        let grant = match answer {
            // A late answer to an earlier incarnation may have the very same number.
            Ok(grant)
                if (grant.incarnation, grant.serial) == (self.incarnation, serial) && grant.epoch >= self.epoch =>
            {
                grant
            }
            Ok(_) => return Answered::Late,
            Err(refusal) => {
                self.sent = None;
                return Answered::Refused(refusal);
            }
        };
        self.sent = None;
        self.epoch = grant.epoch;
        while self.unbooked.front().is_some_and(|entry| entry.sequence <= grant.applied) {
            let Some(entry) = self.unbooked.pop_front() else { break };
            self.ledger.unbook(&entry.record.subject, entry.record.cost);
            self.booked = entry.sequence;
        }
        if let Some(budgets) = &grant.budgets {
            let gone: Vec<String> = self.ledger.budgets().map(|budget| budget.id.clone()).collect();
            for id in gone.iter().filter(|id| !budgets.iter().any(|budget| budget.id == **id)) {
                self.ledger.remove_budget(id);
            }
            if let Err(bad) = budgets.iter().try_for_each(|budget| self.ledger.put_slice(budget)) {
                self.granted = None;
                return Answered::Bad(bad);
            }
            self.recount();
        }
        self.version = grant.version;
        let slices: BTreeMap<String, Slice> = grant.slices.into_iter().map(|s| (s.budget.clone(), s)).collect();
        for budget in self.slices.keys().filter(|budget| !slices.contains_key(*budget)) {
            self.ledger.set_slice(budget, Nanos::ZERO, false);
        }
        for (budget, slice) in &slices {
            let more = slice.settled.checked_add(slice.reserved).is_some_and(|gone| gone < slice.limit);
            self.ledger.set_slice(budget, slice.slice, more);
        }
        self.slices = slices;
        self.granted = Some((sent.at, grant.ttl));
        Answered::Granted { booked: self.booked }
    }

    /// Counts what is not booked in the budgets as they are now.
    fn recount(&mut self) {
        self.ledger.forget_settled();
        for entry in &self.unbooked {
            // What does not fit here does not fit there either, and the holder says so.
            let _ = self.ledger.book(ALWAYS, None, &entry.record.subject, entry.record.cost);
        }
    }

    /// Whether a grant is good.
    fn open(&self, now: Duration) -> Result<(), Refused> {
        match self.granted {
            Some((at, ttl)) if now < at.saturating_add(ttl) => Ok(()),
            Some((at, _)) => Err(Refused::Closed { silent: now.saturating_sub(at) }),
            None => Err(Refused::Closed { silent: now }),
        }
    }

    fn refused(&self, error: ReserveError) -> Refused {
        match error {
            ReserveError::OverBudget { over, .. } => self.too_small(*over),
            other => Refused::Ledger(other),
        }
    }

    /// A slice has no room: says whether the budget may have.
    fn too_small(&self, over: OverBudget) -> Refused {
        let OverBudget { budget, asked, .. } = over;
        let Some(slice) = self.slices.get(&budget) else { return Refused::Slice { budget, asked } };
        let free = over.limit - (over.settled + over.reserved);
        let left = slice.limit - (slice.settled + slice.reserved);
        if asked <= free + left {
            return Refused::Slice { budget, asked };
        }
        let Slice { limit, settled, reserved, resets, .. } = *slice;
        Refused::Over(Box::new(OverBudget { budget, limit, settled, reserved, asked, resets }))
    }

    /// How many reservations are open, those too whose records the journal may not have.
    pub fn reservations(&self) -> usize {
        self.ledger.open()
    }

    /// The last record that the holder is known to have booked.
    pub fn booked(&self) -> u64 {
        self.booked
    }

    /// Records that the holder may not have booked.
    pub fn unbooked(&self) -> usize {
        self.unbooked.len() + self.settling.len()
    }

    /// See [`Ledger::check`].
    ///
    /// # Errors
    /// A rule is broken.
    pub fn check(&self) -> Result<(), Broken> {
        self.ledger.check()
    }
}
