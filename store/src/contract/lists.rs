//! Usage is read in order, page by page; sums are those of the records.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Bench, DAY, GROUPINGS, Grouping, RequestId, TODAY, Total, UnixMillis, UsagePlace, UsageQuery, UsageRecord,
    commit_usage, in_order, read_all, record,
};
use crate::{DEFAULT_PAGE, Store};

/// Some over four days, many in the same millisecond, written in no order.
pub(super) fn some() -> Vec<UsageRecord> {
    let mut records: Vec<_> =
        (0..400).map(|number| record(number, TODAY - (number % 4) * DAY + number / 40 * 1_000)).collect();
    records.sort_by_key(|record| record.request);
    records
}

fn filled(bench: &dyn Bench) -> (std::sync::Arc<dyn Store>, Vec<UsageRecord>) {
    let store = bench.fresh().open();
    let records = some();
    commit_usage(&*store, &records);
    (store, in_order(records))
}

/// Pages of any size give every record once, by time and request.
pub fn pages_are_in_order(bench: &dyn Bench) {
    let (store, records) = filled(bench);
    for limit in [1, 7, 399, 400, 401, u32::MAX] {
        assert_eq!(read_all(&*store, UsageQuery { limit, ..UsageQuery::default() }), records, "pages of {limit}");
    }
    let page = store.usage(&UsageQuery::default()).expect("usage can be read");
    assert_eq!(page.records.len(), DEFAULT_PAGE as usize, "a limit of 0 is the usual one");
    let last = page.records.last().map(|record| UsagePlace { at: record.at, request: record.request });
    assert_eq!(page.next, last);
    let page = store.usage(&UsageQuery { limit: 400, ..UsageQuery::default() }).expect("usage can be read");
    assert_eq!(page.next, None, "the last page says that it is the last");
}

/// Each filter leaves exactly what matches, and all of them together too.
pub fn filters_hold(bench: &dyn Bench) {
    let (store, records) = filled(bench);
    let check = |query: UsageQuery, matches: &dyn Fn(&UsageRecord) -> bool| {
        let wanted: Vec<_> = records.iter().filter(|record| matches(record)).cloned().collect();
        assert!(!wanted.is_empty() && wanted.len() < records.len(), "{query:?} says nothing");
        assert_eq!(read_all(&*store, UsageQuery { limit: 9, ..query.clone() }), wanted, "{query:?}");
    };
    let text = |text: &str| Some(text.to_owned());
    check(UsageQuery { key: text("key-3"), ..UsageQuery::default() }, &|record| record.subject.key == "key-3");
    check(UsageQuery { model: text("model1"), ..UsageQuery::default() }, &|record| record.subject.model == "model1");
    let tagged = |record: &UsageRecord| record.subject.tags.iter().any(|tag| tag == "tag1");
    check(UsageQuery { tag: text("tag1"), ..UsageQuery::default() }, &tagged);
    let query = UsageQuery {
        since: Some(UnixMillis(TODAY - 3 * DAY)),
        until: Some(UnixMillis(TODAY - 2 * DAY + 5_000)),
        key: text("key-2"),
        model: text("model2"),
        tag: text("tag1"),
        ..UsageQuery::default()
    };
    check(query, &|record| {
        let within = (TODAY - 3 * DAY..TODAY - 2 * DAY + 5_000).contains(&record.at.0);
        within && record.subject.key == "key-2" && record.subject.model == "model2" && tagged(record)
    });
    let nobody = UsageQuery { key: text("nobody"), ..UsageQuery::default() };
    assert_eq!(read_all(&*store, nobody), []);
}

/// The first moment of a span counts, the last does not; a place beyond wins over an earlier `since`.
pub fn spans_hold(bench: &dyn Bench) {
    let (store, records) = filled(bench);
    let moments: BTreeSet<_> = records.iter().map(|record| record.at).collect();
    let (first, last) = (*moments.first().expect("some"), *moments.last().expect("some"));
    for (since, until) in [
        (Some(first), Some(last)),
        (Some(last), None),
        (None, Some(first)),
        (Some(UnixMillis(first.0 + 1)), Some(UnixMillis(last.0 + 1))),
        (Some(last), Some(first)),
        (Some(UnixMillis(u64::MAX)), Some(UnixMillis(u64::MAX))),
    ] {
        let within = |record: &&UsageRecord| {
            since.is_none_or(|since| record.at >= since) && until.is_none_or(|until| record.at < until)
        };
        let wanted: Vec<_> = records.iter().filter(within).cloned().collect();
        let query = UsageQuery { since, until, limit: 50, ..UsageQuery::default() };
        assert_eq!(read_all(&*store, query), wanted, "from {since:?} to {until:?}");
        let totals = store.totals(since, until, Grouping::Key).expect("totals can be read");
        assert_eq!(totals, sums(&wanted, Grouping::Key), "from {since:?} to {until:?}");
    }
    let after = UsagePlace { at: first, request: RequestId(u128::MAX) };
    let query = |since| UsageQuery { since, after: Some(after), limit: 1_000, ..UsageQuery::default() };
    let wanted: Vec<_> = records.iter().filter(|record| record.at > first).cloned().collect();
    assert_eq!(read_all(&*store, query(None)), wanted);
    assert_eq!(read_all(&*store, query(Some(first))), wanted, "a place within the span wins");
    let wanted: Vec<_> = records.iter().filter(|record| record.at >= last).cloned().collect();
    assert_eq!(read_all(&*store, query(Some(last))), wanted, "a place before the span does not widen it");
}

/// What is loaded says how many records there are, and the first and the last.
pub fn counters_tell_the_ends(bench: &dyn Bench) {
    let (store, records) = filled(bench);
    let counters = store.load().expect("the store can be read").counters;
    let place =
        |record: Option<&UsageRecord>| record.map(|record| UsagePlace { at: record.at, request: record.request });
    assert_eq!((counters.records, counters.ever), (400, 400));
    assert_eq!((counters.first, counters.last), (place(records.first()), place(records.last())));
}

/// Sums computed the simple way.
pub(super) fn sums(records: &[UsageRecord], by: Grouping) -> BTreeMap<String, Total> {
    let mut sums: BTreeMap<String, Total> = BTreeMap::new();
    for record in records {
        let subject = &record.subject;
        let text = |text: &Option<String>| vec![text.clone().unwrap_or_default()];
        let labels = match by {
            Grouping::Key => vec![subject.key.clone()],
            Grouping::Model => vec![subject.model.clone()],
            Grouping::Provider => text(&subject.provider),
            Grouping::Organisation => text(&subject.organisation),
            Grouping::Team => match (&subject.organisation, &subject.team) {
                (Some(organisation), Some(team)) => vec![format!("{organisation}/{team}")],
                (_, team) => text(team),
            },
            Grouping::Tag if subject.tags.is_empty() => vec![String::new()],
            Grouping::Tag => BTreeSet::from_iter(subject.tags.clone()).into_iter().collect(),
            Grouping::Day => match (record.at.0 / DAY).cast_signed() - (TODAY / DAY).cast_signed() {
                0 => vec!["2026-11-28".to_owned()],
                -1 => vec!["2026-11-27".to_owned()],
                -2 => vec!["2026-11-26".to_owned()],
                other => vec![format!("2026-11-{}", 28 + other)],
            },
        };
        for label in labels {
            let sum = sums.entry(label).or_default();
            sum.requests += 1;
            sum.prompt.0 += record.prompt.0;
            sum.cached.0 += record.cached.0;
            sum.completion.0 += record.completion.0;
            sum.cost.0 += record.cost.0;
        }
    }
    sums
}

/// Every grouping sums what the records say, to the nano.
pub fn totals_are_sums(bench: &dyn Bench) {
    let (store, records) = filled(bench);
    for by in GROUPINGS {
        assert_eq!(store.totals(None, None, by), Ok(sums(&records, by)), "by {by:?}");
    }
    let mut large = record(1_000, TODAY);
    large.cost.0 = u64::MAX;
    commit_usage(&*store, &[large]);
    let outcome = store.totals(None, None, Grouping::Key);
    assert!(
        matches!(outcome, Err(crate::StoreError::Overflow { .. })),
        "a sum that does not fit is said to, not given wrong: {outcome:?}"
    );
}
