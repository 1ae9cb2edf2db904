//! Who decides over money: the coordinator that has the budgets, or one that spends slices of them.
//!
//! Rules: what is decided here comes back with the writes that belong to it, and whoever holds the lock hands them to
//! the store in that order.

use policy::escrow::holder::At;
use policy::escrow::{Grantee, Holder, grantee::Refused};
use policy::ledger::{AlertRaised, ReservationId, ReserveError, UnknownReservation};
use protocol::account::{Spent, Subject, UsageRecord};
use protocol::units::Nanos;
use store::Write;

use super::{NotReserved, journal};

/// Who decides.
pub(super) enum Book {
    /// This coordinator has the budgets.
    Holder(Box<Holder>),
    /// Another one has.
    Grantee(Box<Grantee>),
}

/// What was booked of a request.
pub(super) struct Booked {
    pub(super) record: UsageRecord,
    /// What must not be lost.
    pub(super) entry: Write,
    /// What is replaced by whatever is booked later.
    pub(super) changes: Vec<Spent>,
    pub(super) alerts: Vec<AlertRaised>,
    /// Its place in a grantee's journal.
    pub(super) sequence: Option<u64>,
}

impl Book {
    pub(super) fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Holder(holder) => Some(holder),
            Self::Grantee(_) => None,
        }
    }

    pub(super) fn holder_mut(&mut self) -> Option<&mut Holder> {
        match self {
            Self::Holder(holder) => Some(holder),
            Self::Grantee(_) => None,
        }
    }

    pub(super) fn grantee_mut(&mut self) -> Option<&mut Grantee> {
        match self {
            Self::Holder(_) => None,
            Self::Grantee(grantee) => Some(grantee),
        }
    }

    pub(super) fn reserve(
        &mut self,
        at: At,
        id: ReservationId,
        subject: &Subject,
        amount: Nanos,
    ) -> Result<Vec<AlertRaised>, NotReserved> {
        match self {
            Self::Holder(holder) => Ok(holder.reserve(at, id, subject, amount)?.alerts),
            Self::Grantee(grantee) => {
                grantee.reserve(at.now, id, subject, amount).map(|()| Vec::new()).map_err(refused)
            }
        }
    }

    pub(super) fn extend(&mut self, at: At, id: ReservationId, more: Nanos) -> Result<Vec<AlertRaised>, NotReserved> {
        match self {
            Self::Holder(holder) => Ok(holder.extend(at, id, more)?.alerts),
            Self::Grantee(grantee) => grantee.extend(at.now, id, more).map(|()| Vec::new()).map_err(refused),
        }
    }

    /// Books what `record` claims to have cost, at most what was reserved.
    pub(super) fn settle(
        &mut self,
        at: At,
        id: ReservationId,
        mut record: UsageRecord,
    ) -> Result<Booked, UnknownReservation> {
        match self {
            Self::Holder(holder) => {
                let settled = holder.settle(at, id, record.cost)?;
                record.cost = settled.booked;
                record.disputed += settled.disputed;
                let entry = Write::Usage(record.clone());
                Ok(Booked { record, entry, changes: settled.changes, alerts: settled.alerts, sequence: None })
            }
            Self::Grantee(grantee) => {
                let entered = grantee.settle(id, record)?;
                let (entry, sequence) = (journal::entry(&entered), Some(entered.sequence));
                Ok(Booked { record: entered.record, entry, changes: Vec::new(), alerts: Vec::new(), sequence })
            }
        }
    }

    pub(super) fn release(&mut self, id: ReservationId) -> Result<Nanos, UnknownReservation> {
        match self {
            Self::Holder(holder) => holder.release(id),
            Self::Grantee(grantee) => grantee.release(id),
        }
    }

    pub(super) fn would_pass(&self, at: At, subject: &Subject, amount: Nanos) -> bool {
        match self {
            Self::Holder(holder) => holder.would_pass(at, subject, amount).is_ok(),
            Self::Grantee(grantee) => grantee.would_pass(at.now, subject, amount).is_ok(),
        }
    }

    pub(super) fn open(&self) -> usize {
        match self {
            Self::Holder(holder) => holder.ledger().open(),
            Self::Grantee(grantee) => grantee.reservations(),
        }
    }
}

/// What a grantee refuses for the budget's sake is what a holder would have refused.
fn refused(refused: Refused) -> NotReserved {
    match refused {
        Refused::Over(over) => ReserveError::OverBudget { over, alerts: Vec::new() }.into(),
        Refused::Ledger(error) => error.into(),
        refused @ (Refused::Closed { .. } | Refused::Slice { .. } | Refused::Backlog(_)) => {
            NotReserved::Escrow(refused)
        }
    }
}
