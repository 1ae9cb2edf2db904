//! A coordinator's store, and what is on its way there.
//!
//! Rules, as those of `actors::cost`: writes gather for a moment and go together, in order, all or none. While the disk
//! is full nothing is written; what must not be lost is remembered and written anew, in one batch with the sums that
//! rest on it, once there is room. A kill loses what is not on disk.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::ledger::ReservationId;
use protocol::account::{Spent, Subject, UsageRecord};
use protocol::escrow::{EscrowGrant, EscrowState, GranteeId, Sequenced};
use protocol::units::Nanos;

/// How long writes gather.
pub const PAUSE: Duration = Duration::from_millis(3);
/// How often what could not be written is tried again.
pub const WATCH: Duration = Duration::from_secs(1);

/// What survives a kill.
#[derive(Clone, Debug, Default)]
pub struct Hard {
    /// How many faults fill it.
    pub full: u32,
    /// Writes that it did not take.
    pub unwritten: u64,
    /// Holder: how often it has started.
    pub epoch: u64,
    /// Holder: what was spent of each budget.
    pub spent: BTreeMap<String, Spent>,
    /// Holder: each grantee.
    pub states: BTreeMap<GranteeId, EscrowState>,
    /// Holder: what was used.
    pub usage: Vec<UsageRecord>,
    /// Grantee: how often it has started.
    pub incarnation: u64,
    /// Grantee: the last record that is known to be booked.
    pub booked: u64,
    /// Grantee: every record that was ever written; those up to `booked` are kept for the check alone.
    pub records: BTreeMap<u64, UsageRecord>,
    /// Grantee: what is set aside and has no record.
    pub open: BTreeMap<ReservationId, (Subject, Nanos)>,
}

/// Something to be written.
#[derive(Clone, Debug)]
pub enum Write {
    /// Holder: a record.
    Usage(UsageRecord),
    /// Holder: what was spent.
    Spent(Spent),
    /// Holder: a grantee.
    State(EscrowState),
    /// Grantee: a record.
    Record(Sequenced),
    /// Grantee: money is set aside.
    Open(ReservationId, Subject, Nanos),
    /// Grantee: it is not any more.
    Close(ReservationId),
    /// Grantee: all up to here is booked.
    Booked(u64),
}

/// What waits for a write.
#[derive(Clone, Debug)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// A request whose money is set aside.
    Journaled(u64),
    /// A request whose cost is settled.
    Settled(u64),
    /// A grantee's answer.
    Answer(usize, u64, Box<EscrowGrant>),
}

/// Writes that go together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What.
    pub writes: Vec<Write>,
    /// It must not be lost; and, of a grantee, the record's place and the reservation that is free then.
    pub kept: Option<(Option<u64>, Option<ReservationId>)>,
    /// What waits for it.
    pub then: Then,
}

/// What is on its way.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// What gathers.
    pub pending: Vec<Batch>,
    /// What could not be written and must be.
    pub unsaved: Vec<Batch>,
    /// Something could not be written.
    pub failed: bool,
}

impl Hard {
    fn write(&mut self, write: &Write) {
        match write.clone() {
            Write::Usage(record) => self.usage.push(record),
            Write::Spent(spent) => drop(self.spent.insert(spent.budget.clone(), spent)),
            Write::State(state) => drop(self.states.insert(state.grantee, state)),
            Write::Record(entry) => drop(self.records.insert(entry.sequence, entry.record)),
            Write::Open(id, subject, amount) => drop(self.open.insert(id, (subject, amount))),
            Write::Close(id) => drop(self.open.remove(&id)),
            Write::Booked(booked) => self.booked = self.booked.max(booked),
        }
    }

    /// Writes all of them.
    pub fn write_all<'a>(&mut self, writes: impl IntoIterator<Item = &'a Write>) {
        writes.into_iter().for_each(|write| self.write(write));
    }
}

impl Writer {
    /// Writes what has gathered. Each batch, and whether it is on disk.
    pub fn flush(&mut self, hard: &mut Hard) -> Vec<(Batch, bool)> {
        let pending = std::mem::take(&mut self.pending);
        self.failed |= hard.full > 0 && !pending.is_empty();
        for batch in &pending {
            if !self.failed {
                hard.write_all(&batch.writes);
            } else if batch.kept.is_some() {
                self.unsaved.push(batch.clone());
            }
        }
        let written = !self.failed;
        pending.into_iter().map(|batch| (batch, written)).collect()
    }

    /// Tries again what could not be written, with the sums that rest on it. What is on disk now.
    pub fn save(&mut self, hard: &mut Hard, sums: impl FnOnce() -> Vec<Write>) -> Vec<Batch> {
        if !self.failed || hard.full > 0 {
            return Vec::new();
        }
        self.failed = false;
        let unsaved = std::mem::take(&mut self.unsaved);
        hard.write_all(unsaved.iter().flat_map(|batch| &batch.writes));
        hard.write_all(&sums());
        unsaved
    }
}
