//! What is folded still counts.

use super::lists::{some, sums};
use super::{
    Bench, DAY, GROUPINGS, Nanos, TODAY, UnixMillis, UsageQuery, UsageRecord, Write, commit_usage, in_order, read_all,
    record,
};

/// Folding whole days leaves every total as it was, and the records of later days; a restart changes nothing.
pub fn folding_keeps_totals(bench: &dyn Bench) {
    let place = bench.fresh();
    let store = place.open();
    let records = some();
    commit_usage(&*store, &records);
    let yesterday = UnixMillis(TODAY - DAY);
    let (old, rest): (Vec<UsageRecord>, Vec<_>) = records.iter().cloned().partition(|record| record.at < yesterday);
    let compacted = store.compact(UnixMillis(TODAY - 1)).expect("it can be compacted");
    assert_eq!(compacted.records, old.len() as u64, "a day that has not ended by then is left");
    assert!(compacted.totals > 0 && compacted.totals < old.len() as u64, "{compacted:?}");
    let check = |store: &dyn super::Store, when: &str| {
        for by in GROUPINGS {
            assert_eq!(store.totals(None, None, by), Ok(sums(&records, by)), "by {by:?} {when}");
            let days = store.totals(Some(UnixMillis(TODAY - 2 * DAY)), Some(UnixMillis(TODAY)), by);
            let wanted: Vec<_> =
                records.iter().filter(|r| (TODAY - 2 * DAY..TODAY).contains(&r.at.0)).cloned().collect();
            assert_eq!(days, Ok(sums(&wanted, by)), "two days by {by:?} {when}");
        }
        assert_eq!(read_all(store, UsageQuery::default()), in_order(rest.clone()), "{when}");
        let counters = store.load().expect("the store can be read").counters;
        assert_eq!((counters.records, counters.ever), (rest.len() as u64, records.len() as u64), "{when}");
    };
    check(&*store, "after folding");
    assert_eq!(store.compact(UnixMillis(TODAY - 1)).map(|compacted| compacted.records), Ok(0), "once is enough");
    check(&*store, "after folding again");
    drop(store);
    check(&*place.open(), "after a restart");
}

/// A replay of what was folded is still known as one.
pub fn folded_records_stay_known(bench: &dyn Bench) {
    let store = bench.fresh().open();
    let old = record(1, TODAY - 3 * DAY);
    commit_usage(&*store, std::slice::from_ref(&old));
    assert_eq!(store.compact(UnixMillis(TODAY)).map(|compacted| compacted.records), Ok(1));
    let receipt = store.commit(&[Write::Usage(old.clone())]).expect("a replay is no fault");
    assert_eq!(receipt.duplicates, [old.request]);
    assert_eq!(store.usage_exists(old.request), Ok(true));
    assert_eq!(store.totals(None, None, super::Grouping::Key), Ok(sums(&[old], super::Grouping::Key)));
}

/// A record that comes for a day that is folded counts, before and after the next folding; tags in another order
/// are the same tags.
pub fn late_records_join_their_day(bench: &dyn Bench) {
    let store = bench.fresh().open();
    let mut records: Vec<_> = (0..20).map(|number| record(number * 60, TODAY - 3 * DAY + number)).collect();
    commit_usage(&*store, &records);
    assert_eq!(store.compact(UnixMillis(TODAY)).map(|compacted| compacted.records), Ok(20));
    let mut late = record(1_200, TODAY - 3 * DAY + 7);
    late.cost = Nanos(1);
    late.subject.tags = vec!["b".to_owned(), "a".to_owned(), "b".to_owned()];
    let mut later = record(1_320, TODAY - 3 * DAY + 8);
    later.subject.tags = vec!["a".to_owned(), "b".to_owned()];
    commit_usage(&*store, &[late.clone(), later.clone()]);
    records.extend([late, later]);
    for folded in [false, true] {
        for by in GROUPINGS {
            assert_eq!(store.totals(None, None, by), Ok(sums(&records, by)), "by {by:?}, folded: {folded}");
        }
        let compacted = store.compact(UnixMillis(TODAY)).expect("it can be compacted");
        assert_eq!(compacted.totals, u64::from(!folded), "both have one subject");
    }
}
