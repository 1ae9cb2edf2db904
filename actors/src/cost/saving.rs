//! What is on its way to the store, and what becomes of it if the store fails.
//!
//! Rules: a record is remembered from when it is handed to the store until it is on disk. After a failure all that are
//! remembered are written anew, together with the sums that rest on them (see [`super::steady`]): in one batch, unless
//! there are hundreds. How many there can be is bounded by what is open: nothing new is let in meanwhile.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use policy::ledger::ReservationId;
use protocol::account::Spent;
use store::{Pending, Write, WriterError};

use super::book::Book;
use super::steady::brings;
use super::{Accounts, Shared, journal};
use crate::guarded::Guarded;

/// So many writes go in a batch, however large each is.
const BATCH: usize = 500;

/// What must not be lost, though the store cannot be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) writes: Vec<Write>,
    /// The place of its record in a grantee's journal.
    pub(super) sequence: Option<u64>,
    /// A grantee's reservation that is free then.
    pub(super) release: Option<ReservationId>,
}

/// What is not known to be on disk, in order.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    entries: Guarded<(u64, BTreeMap<u64, Entry>)>,
}

/// An entry on its way.
#[derive(Debug)]
pub(super) struct Sent {
    number: u64,
    pending: Result<Pending, WriterError>,
}

impl Unsaved {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Entry>)> {
        self.entries.lock()
    }

    fn remember(&self, entry: Entry) -> u64 {
        let mut entries = self.lock();
        entries.0 = entries.0.wrapping_add(1);
        let number = entries.0;
        entries.1.insert(number, entry);
        number
    }
}

impl Accounts {
    /// Waits until it is on disk; it comes there though nobody waits any more.
    pub(super) async fn settle(&self, sent: Sent) {
        let accounts = self.clone();
        let settling = tokio::spawn(async move { accounts.shared.settle(sent).await });
        // An error says that the runtime ends, and with it the process.
        let _ = settling.await;
    }
}

impl Shared {
    /// Hands an entry to the store, with sums that rest on it. `_book` is locked: amounts are absolute, so they go to
    /// the store in the order in which they are booked.
    pub(super) fn send(&self, _book: &mut Book, entry: Entry, changes: Vec<Spent>, more: Option<Write>) -> Sent {
        let mut writes = entry.writes.clone();
        writes.extend(changes.into_iter().map(Write::Spent));
        writes.extend(more);
        let number = self.unsaved.remember(entry);
        let pending = self.writer.submit(writes);
        match &pending {
            Ok(_) => {}
            Err(error @ WriterError::Refused(_)) => {
                // It would be refused for ever, and all that comes after it.
                tracing::error!("a record can never be written, only what it cost is booked: {error}");
                self.unsaved.lock().1.remove(&number);
            }
            Err(error) => self.steady.missed(error),
        }
        Sent { number, pending }
    }

    /// Waits until it is on disk. False if it cannot be now; then it is written as soon as something can.
    pub(super) async fn confirm(&self, sent: Sent) -> bool {
        let outcome = match sent.pending {
            Ok(pending) => pending.await.map(drop),
            Err(error) => Err(error),
        };
        self.confirmed(sent.number, outcome)
    }

    /// Likewise, where nobody can wait but this thread.
    pub(super) fn confirm_here(&self, sent: Sent) -> bool {
        self.confirmed(sent.number, sent.pending.and_then(|pending| pending.wait().map(drop)))
    }

    fn confirmed(&self, number: u64, outcome: Result<(), WriterError>) -> bool {
        match outcome {
            Ok(()) => {
                let entry = self.unsaved.lock().1.remove(&number);
                self.on_disk(entry);
                true
            }
            Err(error) => {
                tracing::debug!("a record waits for the store: {error}");
                // Perhaps it was written anew in the meantime.
                !self.unsaved.lock().1.contains_key(&number)
            }
        }
    }

    /// A grantee counts on what stands in its journal.
    fn on_disk(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut entries = entries.into_iter().filter(|e| e.sequence.is_some() || e.release.is_some()).peekable();
        if entries.peek().is_none() {
            return;
        }
        let mut book = self.book();
        let Some(grantee) = book.grantee_mut() else { return };
        for Entry { sequence, release, .. } in entries {
            if let Some(sequence) = sequence {
                grantee.journaled(sequence);
            }
            if let Some(id) = release
                && let Err(error) = grantee.release(id)
            {
                tracing::error!("a request that was given back: {error}");
            }
        }
    }

    /// Waits until it is on disk; if the store has failed, tries whether it has recovered, unless others do.
    pub(super) async fn settle(&self, sent: Sent) {
        if !self.confirm(sent).await
            && let Ok(turn) = self.saving.try_lock()
        {
            self.save_all(turn).await;
        }
    }

    /// If the store has failed, tries to write all that it lacks. True if it lacks nothing.
    pub(super) async fn save(&self) -> bool {
        let turn = self.saving.lock().await;
        self.save_all(turn).await
    }

    async fn save_all(&self, _turn: tokio::sync::MutexGuard<'_, ()>) -> bool {
        if !self.steady.failed() {
            return true;
        }
        let (entries, batches) = {
            let book = self.book();
            let entries: Vec<(u64, Entry)> =
                self.unsaved.lock().1.iter().map(|(number, entry)| (*number, entry.clone())).collect();
            let mut writes: Vec<Write> = entries.iter().flat_map(|(_, entry)| entry.writes.iter().cloned()).collect();
            if let Some(holder) = book.holder() {
                writes.extend(holder.ledger().all_spent().map(Write::Spent));
                writes.extend(holder.kept().iter().map(journal::state));
            }
            let last = writes.len().saturating_sub(1) / BATCH;
            let mut batches = Vec::new();
            for number in 0..=last {
                let mut batch = brings(number == 0, number == last);
                batch.extend(writes.iter().skip(number * BATCH).take(BATCH).cloned());
                let sent = self.writer.submit(batch);
                let failed = sent.is_err();
                batches.push(sent);
                // Without this part the last one is of no use.
                if failed {
                    break;
                }
            }
            (entries, batches)
        };
        for batch in batches {
            let outcome = match batch {
                Ok(pending) => pending.await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::debug!("the store is still not to be written: {error}");
                return false;
            }
        }
        let saved: Vec<Entry> = {
            let mut unsaved = self.unsaved.lock();
            entries.iter().filter_map(|(number, _)| unsaved.1.remove(number)).collect()
        };
        tracing::info!("{} records were written that had waited for the store", saved.len());
        self.on_disk(saved);
        !self.steady.failed()
    }
}
