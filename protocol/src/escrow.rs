//! What coordinators say to each other about budgets that they share: one holds them, the others are granted
//! slices.
//!
//! Rules: all amounts are absolute, never differences, and every message says what it follows, so that one that is
//! lost, doubled or late does no harm. Who decides what is in `policy::escrow`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{Budget, KeyRecord, UsageRecord};
use crate::ids::Incarnation;
use crate::units::{Nanos, UnixMillis};

/// A coordinator that spends slices of budgets which another one holds. It keeps its id for as long as its
/// journal lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GranteeId(pub u64);

/// A state of the list of budgets: which start of the holder, and which change since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BudgetsVersion {
    /// Grows with each start of the holder.
    pub epoch: u64,
    /// Grows with each change.
    pub number: u64,
}

/// A usage record and its place in its coordinator's journal, from 1, without gaps, over all its starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequenced {
    /// Its place.
    pub sequence: u64,
    /// The record.
    pub record: UsageRecord,
}

/// How a grantee stands with a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The budget.
    pub budget: String,
    /// What open requests and records that are not sent yet come to, once those of this message are booked.
    pub used: Nanos,
    /// What it keeps of its slice, `used` included: it has given up the rest already.
    pub keep: Nanos,
    /// What it would like to have beyond `used`, from how much was asked for of late.
    pub free: Nanos,
    /// The largest request that was turned away for want of a larger slice.
    pub urgent: Nanos,
}

/// A grantee tells what was spent and what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowSync {
    /// Who.
    pub grantee: GranteeId,
    /// How often it has started.
    pub incarnation: Incarnation,
    /// From 1 in each incarnation, larger in each message. The answer repeats it, and only an answer to the last
    /// one counts.
    pub serial: u64,
    /// The budgets that it knows.
    pub version: BudgetsVersion,
    /// The last record of its journal, sent or not; 0 for none.
    pub last: u64,
    /// What was spent, after the last record that is known to be booked.
    pub records: Vec<Sequenced>,
    /// All that it ever spent is in `records`, in `used` or booked: what it was granted before and does not keep
    /// is free again. False while it still reads the journal of an earlier incarnation.
    pub journal_complete: bool,
    /// How it stands with each budget of which it has, uses or wants anything.
    pub wants: Vec<Want>,
}

/// What a grantee may spend of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The budget.
    pub budget: String,
    /// What it may come to, records that are not booked yet included.
    pub slice: Nanos,
    /// The limit of the whole budget, with what it is increased by.
    pub limit: Nanos,
    /// What was spent of it in this window, by all.
    pub settled: Nanos,
    /// What may still be, by all, this slice included.
    pub reserved: Nanos,
    /// When the window has begun.
    pub since: UnixMillis,
    /// When it begins anew; never, for a total.
    pub resets: Option<UnixMillis>,
}

/// The holder's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowGrant {
    /// Which start of the holder says it.
    pub epoch: u64,
    /// Which incarnation of the grantee it answers.
    pub incarnation: Incarnation,
    /// Which message of it.
    pub serial: u64,
    /// The last record that is booked.
    pub applied: u64,
    /// How long it may be spent from, counted from when the message was sent that it answers.
    pub ttl: Duration,
    /// The budgets that it rests on.
    pub version: BudgetsVersion,
    /// These, if the grantee knew others.
    pub budgets: Option<Vec<Budget>>,
    /// All that the grantee has; of a budget that is not here it has nothing.
    pub slices: Vec<Slice>,
}

/// Why a message of a grantee is not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum EscrowRefusal {
    /// It was overtaken by a later one, or comes twice.
    #[error("message {serial} of incarnation {incarnation} was overtaken: only the latest counts")]
    Overtaken {
        /// Its incarnation.
        incarnation: u64,
        /// Its number.
        serial: u64,
    },
    /// Records between those that are booked and those that it brings are missing.
    #[error("the records after {applied} are missing: send them again from there")]
    Gap {
        /// The last one that is booked.
        applied: u64,
    },
    /// More records are booked than its journal has.
    #[error(
        "record {applied} is booked, but the journal ends at {last}: it is not the journal of this grantee; restore it, or start with a new id and have the old one forgotten"
    )]
    JournalLost {
        /// The last one that is booked.
        applied: u64,
        /// The last one that it has.
        last: u64,
    },
    /// A sum does not fit.
    #[error("record {sequence} does not fit into a budget: raise or remove that budget")]
    Overflow {
        /// The record.
        sequence: u64,
    },
    /// There are too many grantees.
    #[error("{0} grantees are known, which is the most: have some forgotten that are gone for ever")]
    TooMany(usize),
}

/// What a holder must keep of a grantee, written together with the records that brought it there and before the
/// answer leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowState {
    /// Whose.
    pub grantee: GranteeId,
    /// Its latest incarnation.
    pub incarnation: Incarnation,
    /// Its latest message.
    pub serial: u64,
    /// The last of its records that is booked.
    pub applied: u64,
    /// What is set aside for it, by budget.
    pub holds: BTreeMap<String, Nanos>,
}

/// A state of the list of keys: which start of the holder, and which change since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeysVersion {
    /// Grows with each start of the holder.
    pub epoch: u64,
    /// Grows with each change; 0 before the first.
    pub number: u64,
}

/// A grantee's message to the holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowTell {
    /// What was spent and what it needs.
    pub sync: EscrowSync,
    /// The keys that it knows.
    pub keys: KeysVersion,
}

/// Keys that a grantee does not know yet, or not as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChanges {
    /// They come after this one; if its number is 0, these and those that follow are all that there are.
    pub after: KeysVersion,
    /// With them this is what it knows.
    pub version: KeysVersion,
    /// The keys.
    pub records: Vec<KeyRecord>,
    /// No more follow.
    pub last: bool,
}

/// Which part of every key's limits a coordinator may give away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaceShare {
    /// Which coordinator it is, from 0; that is the holder.
    pub index: u32,
    /// How many there are.
    pub coordinators: u32,
}

/// The holder's answer to a grantee's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowAnswer {
    /// Which message it answers.
    pub serial: u64,
    /// What may be spent.
    pub outcome: Result<EscrowGrant, EscrowRefusal>,
    /// Keys that have changed; none if none have.
    pub keys: Option<KeyChanges>,
    /// Its part of every key's limits.
    pub share: PaceShare,
}

#[cfg(test)]
mod tests;
