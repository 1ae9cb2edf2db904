//! Old usage records become daily totals, some thousand in a transaction: a record leaves the table in the
//! same commit in which its total grows.

use std::collections::BTreeMap;

use protocol::account::Subject;
use protocol::units::UnixMillis;
use redb::{Database, ReadableTable};

use super::Failure;
use super::apply::unwritable;
use super::read::{daily, record};
use super::tables::{DAILY, USAGE, daily_at, numbered};
use crate::error::StoreError;
use crate::report::{Compacted, Day, Total, folded};

/// Records in one transaction.
const STEP: usize = 5_000;

/// Folds some of the records before `end`. False if there were none.
pub(super) fn step(database: &Database, end: UnixMillis, compacted: &mut Compacted) -> Result<bool, Failure> {
    let transaction = database.begin_write()?;
    let mut sums: BTreeMap<(u32, u128), (Subject, Total)> = BTreeMap::new();
    let mut keys = Vec::new();
    {
        let mut usage = transaction.open_table(USAGE)?;
        for entry in usage.range(..(end.0, 0))?.take(STEP) {
            let (key, bytes) = entry?;
            let record = record(key.value(), bytes.value())?;
            keys.push(key.value());
            let subject = folded(&record.subject);
            let place = (Day::of(record.at).0, hash(&subject)?);
            let (_, sum) = sums.entry(place).or_insert_with(|| (subject, Total::default()));
            *sum = together(sum, &Total::from(&record), &record.subject)?;
        }
        for key in &keys {
            usage.remove(key)?;
        }
    }
    if keys.is_empty() {
        transaction.abort()?;
        return Ok(false);
    }
    let new = {
        let mut table = transaction.open_table(DAILY)?;
        let mut new = 0;
        for (place, (subject, mut sum)) in sums {
            let before = table.get(place)?.map(|bytes| daily(place, bytes.value())).transpose()?;
            match before {
                Some((_, before)) => sum = together(&before, &sum, &subject)?,
                None => new += 1,
            }
            let key = numbered(u64::from(place.0), place.1);
            let bytes = daily_at(&key).pack(&(subject, sum)).map_err(unwritable("a daily total"))?;
            table.insert(place, bytes.as_slice())?;
        }
        new
    };
    transaction.commit()?;
    compacted.records += keys.len() as u64;
    compacted.totals += new;
    Ok(true)
}

/// Half of a cryptographic hash: no two subjects share one.
fn hash(subject: &Subject) -> Result<u128, Failure> {
    let mut bytes = Vec::new();
    protocol::codec::encode(subject, &mut bytes).map_err(|error| unwritable("a subject")(error.to_string()))?;
    let half = blake3::hash(&bytes).as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    Ok(u128::from_le_bytes(half))
}

fn together(one: &Total, other: &Total, subject: &Subject) -> Result<Total, Failure> {
    let sum = one.checked_add(other);
    sum.ok_or_else(|| Failure::Store(StoreError::Overflow { label: subject.key.clone() }))
}
