//! Questions to the file, each over one snapshot of it: commits go on meanwhile.

use std::collections::BTreeMap;
use std::ops::Bound;

use protocol::account::{Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::manage::{UsagePlace, UsageQuery};
use protocol::units::UnixMillis;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use serde::de::DeserializeOwned;

use super::Failure;
use super::tables::{
    BLOBS, BUDGETS, DAILY, KEYS, Named, OPEN, PRICES, SEEN, SPENT, USAGE, daily_at, named, numbered, open_at, usage_at,
};
use crate::hard::{Counters, Hard};
use crate::report::{Day, Grouping, Paging, Span, Sums, Total, UsagePage};

pub(super) fn load(database: &Database) -> Result<Hard, Failure> {
    let read = database.begin_read()?;
    let mut hard = Hard {
        keys: all(&read, KEYS, "keys")?,
        budgets: all(&read, BUDGETS, "budgets")?,
        spent: all(&read, SPENT, "spent")?,
        prices: all(&read, PRICES, "prices")?,
        ..Hard::default()
    };
    for entry in read.open_table(BLOBS)?.iter()? {
        let (name, bytes) = entry?;
        let name = name.value();
        let blob = named("blobs", name).read_raw(bytes.value()).map_err(|error| Failure::Unsealed("a blob", error))?;
        hard.blobs.insert(name.to_owned(), blob);
    }
    for entry in read.open_table(OPEN)?.iter()? {
        let (request, bytes) = entry?;
        let request = request.value();
        let open = open_at(&numbered(0, request))
            .read(bytes.value())
            .map_err(|error| Failure::Unsealed("a reservation", error))?;
        hard.open.insert(RequestId(request), open);
    }
    let usage = read.open_table(USAGE)?;
    let place = |(at, request)| UsagePlace { at: UnixMillis(at), request: RequestId(request) };
    hard.counters = Counters {
        records: usage.len()?,
        first: usage.first()?.map(|(key, _)| place(key.value())),
        last: usage.last()?.map(|(key, _)| place(key.value())),
        ever: read.open_table(SEEN)?.len()?,
    };
    Ok(hard)
}

fn all<T: DeserializeOwned>(
    read: &ReadTransaction,
    table: Named,
    what: &'static str,
) -> Result<BTreeMap<String, T>, Failure> {
    let mut found = BTreeMap::new();
    for entry in read.open_table(table)?.iter()? {
        let (name, bytes) = entry?;
        let name = name.value();
        let value = named(what, name).read(bytes.value()).map_err(|error| Failure::Unsealed(what, error))?;
        found.insert(name.to_owned(), value);
    }
    Ok(found)
}

pub(super) fn record(key: (u64, u128), bytes: &[u8]) -> Result<UsageRecord, Failure> {
    usage_at(&numbered(key.0, key.1)).read(bytes).map_err(|error| Failure::Unsealed("a usage record", error))
}

pub(super) fn daily(key: (u32, u128), bytes: &[u8]) -> Result<(Subject, Total), Failure> {
    let place = numbered(u64::from(key.0), key.1);
    daily_at(&place).read(bytes).map_err(|error| Failure::Unsealed("a daily total", error))
}

pub(super) fn usage(database: &Database, query: &UsageQuery) -> Result<UsagePage, Failure> {
    let table = database.begin_read()?.open_table(USAGE)?;
    let (span, mut paging) = (Span::of(query), Paging::new(query));
    let from = (span.from.at.0, span.from.request.0);
    let from = if span.beyond { Bound::Excluded(from) } else { Bound::Included(from) };
    for entry in table.range::<(u64, u128)>((from, Bound::Unbounded))? {
        let (key, bytes) = entry?;
        let key = key.value();
        if span.ended(UsagePlace { at: UnixMillis(key.0), request: RequestId(key.1) }) || paging.full() {
            break;
        }
        paging.show(record(key, bytes.value())?);
    }
    Ok(paging.done())
}

pub(super) fn totals(
    database: &Database,
    since: Option<UnixMillis>,
    until: Option<UnixMillis>,
    by: Grouping,
) -> Result<BTreeMap<String, Total>, Failure> {
    let read = database.begin_read()?;
    let mut sums = Sums::new(by);
    let first = Day::of(since.unwrap_or_default()).0;
    for entry in read.open_table(DAILY)?.range::<(u32, u128)>((first, 0)..)? {
        let (key, bytes) = entry?;
        let day = Day(key.value().0);
        if until.is_some_and(|until| day.start() >= until) {
            break;
        }
        if day.within(since, until) {
            let (subject, total) = daily(key.value(), bytes.value())?;
            sums.add(day, &subject, &total).map_err(Failure::Store)?;
        }
    }
    let from = (since.unwrap_or_default().0, 0);
    let end = until.map_or(Bound::Unbounded, |until| Bound::Excluded((until.0, 0)));
    if until.is_none_or(|until| from.0 < until.0) {
        for entry in read.open_table(USAGE)?.range::<(u64, u128)>((Bound::Included(from), end))? {
            let (key, bytes) = entry?;
            let record = record(key.value(), bytes.value())?;
            sums.add(Day::of(record.at), &record.subject, &Total::from(&record)).map_err(Failure::Store)?;
        }
    }
    Ok(sums.done())
}

pub(super) fn exists(database: &Database, request: RequestId) -> Result<bool, Failure> {
    Ok(database.begin_read()?.open_table(SEEN)?.get(request.0)?.is_some())
}
