//! What of shared budgets must survive a restart, and how it is found again.
//!
//! Rules: a holder keeps how often it has started, and each grantee's state beside the records that brought it there.
//! A grantee keeps who it is, how often it has started and the records that the holder may not have booked. What it
//! had open when it was lost becomes records of all that was reserved. All of it is done again without harm if this
//! process ends in the middle.

use std::collections::BTreeMap;

use policy::escrow::{Grantee, Holder, Settings};
use policy::ledger::Ledger;
use protocol::account::{Outcome, UsageRecord};
use protocol::codec;
use protocol::escrow::{EscrowState, GranteeId, Sequenced};
use protocol::ids::{Incarnation, RequestId};
use protocol::units::UnixMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Hard, OpenReservation, Store, Write};

use super::OpenError;
use super::book::Book;

/// How often a holder has started.
const EPOCH: &str = "escrow/epoch";
/// A holder's states of its grantees.
const STATES: &str = "escrow/state/";
/// Who a grantee is, and how often it has started.
const SELF: &str = "escrow/self";
/// The last record that the holder has booked.
const BOOKED: &str = "escrow/booked";
/// A grantee's records.
const RECORDS: &str = "escrow/record/";
/// Batches of so many entries are written at once.
const CHUNK: usize = 256;

fn blob<T: Serialize>(name: String, value: &T) -> Write {
    let mut bytes = Vec::new();
    // Bincode can express all that is kept here: a test writes each.
    if let Err(error) = codec::encode(value, &mut bytes) {
        tracing::error!("{name} cannot be written: {error}");
    }
    Write::PutBlob { name, bytes }
}

fn read<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, OpenError> {
    codec::decode(bytes).map_err(|error| OpenError::Blob { name: name.to_owned(), problem: error.to_string() })
}

fn read_or<T: DeserializeOwned>(hard: &Hard, name: &str, other: T) -> Result<T, OpenError> {
    hard.blobs.get(name).map_or(Ok(other), |bytes| read(name, bytes))
}

/// All whose names begin so.
fn under<'a>(hard: &'a Hard, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
    hard.blobs.range(prefix.to_owned()..).take_while(move |(name, _)| name.starts_with(prefix))
}

fn place(sequence: u64) -> String {
    format!("{RECORDS}{sequence:020}")
}

/// A grantee's record for its journal.
pub(super) fn entry(entry: &Sequenced) -> Write {
    blob(place(entry.sequence), &entry.record)
}

/// A holder's state of a grantee.
pub(super) fn state(state: &EscrowState) -> Write {
    blob(format!("{STATES}{:016x}", state.grantee.0), state)
}

/// The holder has booked all up to `booked`; it was `before`.
pub(super) fn booked(before: u64, booked: u64) -> Vec<Vec<Write>> {
    let gone: Vec<Write> =
        (before.saturating_add(1)..=booked).map(|sequence| Write::RemoveBlob(place(sequence))).collect();
    let mut batches: Vec<Vec<Write>> = gone.chunks(CHUNK * 8).map(<[Write]>::to_vec).collect();
    // First, so that what is gone is known to be booked.
    batches.insert(0, vec![blob(BOOKED.to_owned(), &booked)]);
    batches
}

/// The one that has the budgets. Also says how often it has started.
pub(super) fn holder(
    store: &dyn Store,
    hard: &mut Hard,
    settings: Settings,
    now: UnixMillis,
) -> Result<(Book, u64), OpenError> {
    let epoch = read_or(hard, EPOCH, 0_u64)?.saturating_add(1);
    let states = under(hard, STATES).map(|(name, bytes)| read::<EscrowState>(name, bytes));
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let left = under(hard, RECORDS).count();
    if left > 0 {
        tracing::warn!(
            "{left} usage records of the time when this coordinator had a holder were not booked there: set \
             accounts.holder again to have them booked"
        );
    }
    let (budgets, spent) = (std::mem::take(&mut hard.budgets), std::mem::take(&mut hard.spent));
    let mut ledger = Ledger::new(budgets.into_values(), spent.into_values())?;
    let lost = settle_lost(&mut ledger, std::mem::take(&mut hard.open), now);
    for writes in lost.chunks(CHUNK) {
        store.commit(&writes.concat())?;
    }
    if !lost.is_empty() {
        tracing::warn!("{} requests to providers were cut off: what was reserved for them is spent", lost.len());
    }
    store.commit(&[blob(EPOCH.to_owned(), &epoch)])?;
    Ok((Book::Holder(Box::new(Holder::new(settings, epoch, ledger, states))), epoch))
}

/// One that spends slices. `id` is its own if it has none yet.
pub(super) fn grantee(
    store: &dyn Store,
    hard: &mut Hard,
    settings: Settings,
    id: GranteeId,
    now: UnixMillis,
) -> Result<Book, OpenError> {
    let (id, incarnation) = read_or(hard, SELF, (id, Incarnation(0)))?;
    let incarnation = Incarnation(incarnation.0.saturating_add(1));
    let booked = read_or(hard, BOOKED, 0_u64)?;
    store.commit(&[blob(SELF.to_owned(), &(id, incarnation))])?;
    let (mut entries, mut batches) = (Vec::new(), Vec::new());
    let mut next = booked.saturating_add(1);
    for (name, bytes) in under(hard, RECORDS) {
        let sequence: u64 = name
            .get(RECORDS.len()..)
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| OpenError::Blob { name: name.clone(), problem: "its name has no number".to_owned() })?;
        if sequence <= booked {
            batches.push(vec![Write::RemoveBlob(name.clone())]);
            continue;
        }
        entries.push(Sequenced { sequence, record: read(name, bytes)? });
        next = sequence.saturating_add(1);
    }
    let open = std::mem::take(&mut hard.open);
    if !open.is_empty() {
        tracing::warn!("{} requests were cut off: what was reserved for them is spent", open.len());
    }
    for (request, open) in open {
        let record = Sequenced { sequence: next, record: lost(request, open, now) };
        batches.push(vec![entry(&record), Write::Close(request)]);
        entries.push(record);
        next = next.saturating_add(1);
    }
    for writes in batches.chunks(CHUNK) {
        store.commit(&writes.concat())?;
    }
    let grantee = Grantee::new(settings, id, incarnation, booked, entries)?;
    Ok(Book::Grantee(Box::new(grantee)))
}

fn lost(request: RequestId, open: OpenReservation, now: UnixMillis) -> UsageRecord {
    UsageRecord {
        request,
        at: now,
        asked: open.subject.model.clone(),
        subject: open.subject,
        reserved: open.amount,
        cost: open.amount,
        outcome: Outcome::Lost,
        ..UsageRecord::default()
    }
}

/// What was written down for providers and never settled counts as spent. The writes, by request.
fn settle_lost(ledger: &mut Ledger, open: BTreeMap<RequestId, OpenReservation>, now: UnixMillis) -> Vec<Vec<Write>> {
    let mut all = Vec::new();
    for (request, open) in open {
        // A budget that was lowered since does not make the money come back.
        let booked = match ledger.charge(now, &open.subject, open.amount) {
            Ok(booked) => booked,
            Err(error) => {
                tracing::error!("the reservation of request {request} cannot be booked: {error}");
                continue;
            }
        };
        let mut writes = vec![Write::Usage(lost(request, open, now)), Write::Close(request)];
        writes.extend(booked.changes.into_iter().map(Write::Spent));
        all.push(writes);
    }
    all
}
