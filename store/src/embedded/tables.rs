//! The tables of the file, and its format.

use redb::{Database, ReadableDatabase, TableDefinition, TableError};

use crate::sealed::Place;

/// The newest format that this version reads: which tables there are, and what their keys are. Values name
/// their own.
pub(super) const FORMAT: u32 = 1;

/// Facts about the file itself.
const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const META_FORMAT: &str = "format";

/// A table of few things by name.
pub(super) type Named = TableDefinition<'static, &'static str, &'static [u8]>;
pub(super) const KEYS: Named = TableDefinition::new("keys");
pub(super) const BUDGETS: Named = TableDefinition::new("budgets");
pub(super) const SPENT: Named = TableDefinition::new("spent");
pub(super) const PRICES: Named = TableDefinition::new("prices");
pub(super) const BLOBS: Named = TableDefinition::new("blobs");
/// Open reservations, by request.
pub(super) const OPEN: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("open");
/// Usage records, by moment and request: so they lie in the order in which they are asked for.
pub(super) const USAGE: TableDefinition<'_, (u64, u128), &[u8]> = TableDefinition::new("usage");
/// Every request whose usage was ever recorded, and when it was.
pub(super) const SEEN: TableDefinition<'_, u128, u64> = TableDefinition::new("seen");
/// Totals, by day and hash of the subject.
pub(super) const DAILY: TableDefinition<'_, (u32, u128), &[u8]> = TableDefinition::new("daily");

/// The format of a file.
#[derive(Debug)]
pub(super) enum Format {
    /// This version reads it.
    Known,
    /// It does not.
    Other(u32),
    /// It is a database of somebody else.
    Foreign,
}

/// Makes the tables in a new file; looks only at the format of an old one.
pub(super) fn prepare(database: &Database) -> Result<Format, redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(META) {
        Ok(meta) => {
            let found = meta.get(META_FORMAT)?.map(|found| found.value());
            return Ok(match found {
                Some(FORMAT) => Format::Known,
                Some(other) => Format::Other(other),
                None => Format::Foreign,
            });
        }
        Err(TableError::TableDoesNotExist(_)) if read.list_tables()?.next().is_some() => return Ok(Format::Foreign),
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(TableError::TableTypeMismatch { .. }) => return Ok(Format::Foreign),
        Err(error) => return Err(error.into()),
    }
    drop(read);
    let write = database.begin_write()?;
    write.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    for table in [KEYS, BUDGETS, SPENT, PRICES, BLOBS] {
        write.open_table(table)?;
    }
    write.open_table(OPEN)?;
    write.open_table(USAGE)?;
    write.open_table(SEEN)?;
    write.open_table(DAILY)?;
    write.commit()?;
    Ok(Format::Known)
}

pub(super) fn named<'a>(table: &'a str, name: &'a str) -> Place<'a> {
    Place { table, key: name.as_bytes() }
}

/// A place by two numbers, as its proof sees it.
pub(super) fn numbered(high: u64, low: u128) -> [u8; 24] {
    let mut key = [0; 24];
    for (to, from) in key.iter_mut().zip(high.to_be_bytes().into_iter().chain(low.to_be_bytes())) {
        *to = from;
    }
    key
}

pub(super) fn open_at(key: &[u8; 24]) -> Place<'_> {
    Place { table: "open", key }
}

pub(super) fn usage_at(key: &[u8; 24]) -> Place<'_> {
    Place { table: "usage", key }
}

pub(super) fn daily_at(key: &[u8; 24]) -> Place<'_> {
    Place { table: "daily", key }
}
