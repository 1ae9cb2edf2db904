//! A batch becomes one transaction.

use protocol::account::UsageRecord;
use redb::{Database, ReadableTable, Table, WriteTransaction};

use super::Failure;
use super::tables::{
    BLOBS, BUDGETS, KEYS, Named, OPEN, PRICES, SEEN, SPENT, USAGE, named, numbered, open_at, usage_at,
};
use crate::error::StoreError;
use crate::hard::OpenReservation;
use crate::write::{Receipt, Write};

pub(super) fn commit(database: &Database, batch: &[Write]) -> Result<Receipt, Failure> {
    if batch.is_empty() {
        return Ok(Receipt::default());
    }
    let transaction = database.begin_write()?;
    let receipt = Batch { transaction: &transaction, open: None, usage: None, seen: None }.apply(batch)?;
    transaction.commit()?;
    Ok(receipt)
}

/// A batch under way. What most batches are about stays open from write to write.
struct Batch<'t> {
    transaction: &'t WriteTransaction,
    open: Option<Table<'t, u128, &'static [u8]>>,
    usage: Option<Table<'t, (u64, u128), &'static [u8]>>,
    seen: Option<Table<'t, u128, u64>>,
}

pub(super) fn unwritable(what: &'static str) -> impl Fn(String) -> Failure {
    move |why| Failure::Store(StoreError::Unwritable { what, why })
}

impl<'t> Batch<'t> {
    fn apply(mut self, batch: &[Write]) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::default();
        for (place, write) in batch.iter().enumerate() {
            match write {
                Write::PutKey(record) => {
                    let bytes = named("keys", &record.id).json(record).map_err(unwritable("a key"))?;
                    self.put(KEYS, &record.id, &bytes)?;
                }
                Write::PutBudget(budget) => {
                    let bytes = named("budgets", &budget.id).json(budget).map_err(unwritable("a budget"))?;
                    self.put(BUDGETS, &budget.id, &bytes)?;
                }
                Write::RemoveBudget(id) => {
                    self.remove(BUDGETS, id)?;
                    self.remove(SPENT, id)?;
                }
                Write::Spent(spent) => {
                    let bytes = named("spent", &spent.budget).pack(spent).map_err(unwritable("what was spent"))?;
                    self.put(SPENT, &spent.budget, &bytes)?;
                }
                Write::PutPrice { name, price } => {
                    let bytes = named("prices", name).json(price).map_err(unwritable("a price"))?;
                    self.put(PRICES, name, &bytes)?;
                }
                Write::RemovePrice(name) => self.remove(PRICES, name)?,
                Write::PutBlob { name, bytes } => self.put(BLOBS, name, &named("blobs", name).raw(bytes))?,
                Write::RemoveBlob(name) => self.remove(BLOBS, name)?,
                Write::Usage(record) => {
                    if !self.record(record)? {
                        receipt.skip(place, record.request);
                    }
                }
                Write::Open(open) => {
                    if !self.reserve(open)? {
                        receipt.skip(place, open.request);
                    }
                }
                Write::Close(request) => drop(self.open()?.remove(request.0)?),
            }
        }
        Ok(receipt)
    }

    fn put(&self, table: Named, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.transaction.open_table(table)?.insert(name, bytes)?;
        Ok(())
    }

    fn remove(&self, table: Named, name: &str) -> Result<(), Failure> {
        self.transaction.open_table(table)?.remove(name)?;
        Ok(())
    }

    /// False if it was recorded before.
    fn record(&mut self, record: &UsageRecord) -> Result<bool, Failure> {
        let (at, request) = (record.at.0, record.request.0);
        // One search in place of two: what was there before is put back, which is rare.
        let before = self.seen()?.insert(request, at)?.map(|before| before.value());
        if let Some(before) = before {
            self.seen()?.insert(request, before)?;
            return Ok(false);
        }
        let bytes = usage_at(&numbered(at, request)).pack(record).map_err(unwritable("a usage record"))?;
        self.usage()?.insert((at, request), bytes.as_slice())?;
        Ok(true)
    }

    /// False if the request is settled.
    fn reserve(&mut self, open: &OpenReservation) -> Result<bool, Failure> {
        let request = open.request.0;
        if self.seen()?.get(request)?.is_some() {
            return Ok(false);
        }
        let bytes = open_at(&numbered(0, request)).pack(open).map_err(unwritable("a reservation"))?;
        self.open()?.insert(request, bytes.as_slice())?;
        Ok(true)
    }

    fn open(&mut self) -> Result<&mut Table<'t, u128, &'static [u8]>, Failure> {
        opened(&mut self.open, || self.transaction.open_table(OPEN))
    }

    fn usage(&mut self) -> Result<&mut Table<'t, (u64, u128), &'static [u8]>, Failure> {
        opened(&mut self.usage, || self.transaction.open_table(USAGE))
    }

    fn seen(&mut self) -> Result<&mut Table<'t, u128, u64>, Failure> {
        opened(&mut self.seen, || self.transaction.open_table(SEEN))
    }
}

/// The table in its slot, opened if it is not yet.
fn opened<T>(slot: &mut Option<T>, open: impl FnOnce() -> Result<T, redb::TableError>) -> Result<&mut T, Failure> {
    match slot {
        Some(table) => Ok(table),
        empty => Ok(empty.insert(open()?)),
    }
}
