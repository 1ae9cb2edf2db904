use protocol::ids::RequestId;

use super::*;

#[test]
fn days_begin_at_midnight() {
    assert_eq!(Day::of(UnixMillis(DAY - 1)), Day(0));
    assert_eq!(Day::of(UnixMillis(DAY)), Day(1));
    assert_eq!(Day(1).start(), UnixMillis(DAY));
    assert_eq!(Day::of(UnixMillis(u64::MAX)), Day::of(UnixMillis(LAST_MOMENT)), "no moment has a day that is none");
}

#[test]
fn a_folded_day_counts_by_its_beginning() {
    let within = |since: Option<u64>, until: Option<u64>| Day(1).within(since.map(UnixMillis), until.map(UnixMillis));
    assert!(within(None, None) && within(Some(DAY), Some(DAY + 1)));
    assert!(!within(Some(DAY + 1), None) && !within(None, Some(DAY)));
}

#[test]
fn a_sum_that_does_not_fit_is_none() {
    let most = Total { cost: Nanos(u64::MAX), ..Total::default() };
    assert_eq!(most.checked_add(&Total::default()), Some(most));
    assert_eq!(most.checked_add(&Total { cost: Nanos(1), ..Total::default() }), None);
}

#[test]
fn a_page_ends_where_too_many_did_not_match() {
    let query = UsageQuery { key: Some("nobody".to_owned()), limit: 5, ..UsageQuery::default() };
    let mut paging = Paging::new(&query);
    let mut looked = 0;
    while !paging.full() {
        looked += 1;
        paging.show(UsageRecord { request: RequestId(looked), ..UsageRecord::default() });
    }
    assert_eq!(looked, u128::from(MAX_SCAN));
    let next = UsagePlace { at: UnixMillis(0), request: RequestId(looked) };
    assert_eq!(paging.done(), UsagePage { records: vec![], next: Some(next) });
}
