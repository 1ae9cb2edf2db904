use super::*;
use crate::ledger::window::{Calendar, Span};
use proptest::prelude::*;

fn calendar(every: Period, zone: &str) -> Calendar {
    Calendar::new(&Window { every, zone: Some(zone.into()) }).unwrap()
}

fn at(text: &str) -> UnixMillis {
    let moment: jiff::Timestamp = text.parse().unwrap();
    UnixMillis(u64::try_from(moment.as_millisecond()).unwrap())
}

/// The window of a moment, as its two ends.
fn window(every: Period, zone: &str, moment: &str) -> (UnixMillis, Option<UnixMillis>) {
    let Span { since, until } = calendar(every, zone).window(at(moment));
    (since, until)
}

#[test]
fn windows_follow_the_calendar_of_their_zone() {
    for (every, zone, moment, since, until) in [
        (Period::Hour, "UTC", "2026-11-28T12:59:59.999Z", "2026-11-28T12:00Z", "2026-11-28T13:00Z"),
        (Period::Hour, "Asia/Kolkata", "2026-11-28T12:29:00Z", "2026-11-28T11:30Z", "2026-11-28T12:30Z"),
        (Period::Hour, "Asia/Kathmandu", "2026-11-28T12:15:00Z", "2026-11-28T12:15Z", "2026-11-28T13:15Z"),
        (Period::Day, "Asia/Kolkata", "2026-11-28T18:30:00Z", "2026-11-28T18:30Z", "2026-11-29T18:30Z"),
        (Period::Day, "Asia/Kolkata", "2026-11-28T18:29:59.999Z", "2026-11-27T18:30Z", "2026-11-28T18:30Z"),
        (Period::Day, "Asia/Kathmandu", "2026-11-28T18:15:00Z", "2026-11-28T18:15Z", "2026-11-29T18:15Z"),
        // 23 and 25 hours.
        (Period::Day, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        (Period::Day, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        // Weeks from Monday, over both changes of the clocks.
        (Period::Week, "America/New_York", "2026-03-08T12:00:00Z", "2026-03-02T05:00Z", "2026-03-09T04:00Z"),
        (Period::Week, "America/New_York", "2026-11-01T12:00:00Z", "2026-10-26T04:00Z", "2026-11-02T05:00Z"),
        (Period::Week, "UTC", "2026-11-30T00:00:00Z", "2026-11-30T00:00Z", "2026-12-07T00:00Z"),
        (Period::Week, "UTC", "2026-11-29T23:59:59.999Z", "2026-11-23T00:00Z", "2026-11-30T00:00Z"),
        // Months of 28, 29, 30 and 31 days, and over the new year.
        (Period::Month, "UTC", "2026-02-15T00:00:00Z", "2026-02-01T00:00Z", "2026-03-01T00:00Z"),
        (Period::Month, "UTC", "2028-02-29T23:00:00Z", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        (Period::Month, "Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00Z", "2026-04-30T22:00Z"),
        (Period::Month, "Pacific/Kiritimati", "2026-12-31T10:00:00Z", "2026-12-31T10:00Z", "2027-01-31T10:00Z"),
        // Clocks that go forward at midnight: the day begins at one.
        (Period::Day, "America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00Z", "2026-09-07T03:00Z"),
        // Clocks that went back over midnight: a date that came twice is one day.
        (Period::Day, "America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17T02:00Z", "2018-02-18T03:00Z"),
        (Period::Day, "America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"),
        // A day that was left out.
        (Period::Day, "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        (Period::Day, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),
        // Clocks that change by half an hour: short hours.
        (Period::Hour, "Australia/Lord_Howe", "2026-04-04T14:59:00Z", "2026-04-04T14:00Z", "2026-04-04T15:00Z"),
        (Period::Hour, "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T15:00Z", "2026-04-04T15:30Z"),
        (Period::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
    ] {
        let date = |text: &str| at(&text.replace('Z', ":00Z"));
        assert_eq!(window(every, zone, moment), (date(since), Some(date(until))), "{every:?} {zone} {moment}");
    }
}

#[test]
fn a_total_never_ends_and_neither_does_the_last_window_of_the_calendar() {
    let total = calendar(Period::Total, "UTC").window(NOON);
    assert_eq!((total.since, total.until), (UnixMillis(0), None));
    for every in [Period::Hour, Period::Day, Period::Week, Period::Month] {
        let last = calendar(every, "Europe/Berlin").window(UnixMillis(u64::MAX));
        assert_eq!((last.since, last.until), (UnixMillis(u64::MAX), None));
        let first = calendar(every, "America/New_York").window(UnixMillis(0));
        assert!(first.since == UnixMillis(0) && !first.is_over(UnixMillis(0)), "{first:?}");
    }
}

const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Antarctica/Troll",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Windows follow each other without gap or overlap, in every zone with odd habits.
    #[test]
    fn every_moment_is_in_one_window(zone in 0..ZONES.len(), every in 0..4_usize, moment in 0..2_200_000_000_000_u64) {
        let every = [Period::Hour, Period::Day, Period::Week, Period::Month][every];
        let calendar = calendar(every, ZONES[zone]);
        let span = calendar.window(UnixMillis(moment));
        let until = span.until.unwrap();
        prop_assert!(span.since.0 <= moment && moment < until.0, "{span:?}");
        for inside in [span.since, UnixMillis(until.0 - 1), UnixMillis(span.since.0 + (until.0 - span.since.0) / 2)] {
            prop_assert_eq!(calendar.window(inside), span);
        }
        prop_assert_eq!(calendar.window(until).since, until);
    }
}

fn daily(zone: &str) -> Budget {
    Budget { window: Window { every: Period::Day, zone: Some(zone.into()) }, ..of_all("all", 100) }
}

#[test]
fn what_is_open_when_a_window_ends_is_reserved_in_the_next_and_counts_where_it_settles() {
    let mut ledger = ledger([daily("UTC")]);
    let midnight = at("2026-11-29T00:00:00Z");
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(60)).unwrap();
    ledger.settle(NOON, id(1), Nanos(60)).unwrap();
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(40)).unwrap();
    assert_eq!(stands(&ledger, UnixMillis(midnight.0 - 1), "all"), (60, 40));
    assert_eq!(stands(&ledger, midnight, "all"), (0, 40));
    over(ledger.reserve(midnight, id(3), &subject("k"), Nanos(61)).unwrap_err());
    ledger.reserve(midnight, id(3), &subject("k"), Nanos(60)).unwrap();
    ledger.settle(midnight, id(2), Nanos(30)).unwrap();
    assert_eq!(stands(&ledger, midnight, "all"), (30, 60));
    assert_eq!(ledger.spent("all").unwrap().since, midnight);
}

#[test]
fn a_clock_that_jumps_back_opens_no_window_again_and_one_that_jumps_forward_begins_the_next() {
    let mut ledger = ledger([daily("UTC")]);
    let tomorrow = at("2026-11-29T12:00:00Z");
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(100)).unwrap();
    ledger.settle(NOON, id(1), Nanos(100)).unwrap();
    ledger.reserve(tomorrow, id(2), &subject("k"), Nanos(70)).unwrap();
    ledger.settle(tomorrow, id(2), Nanos(70)).unwrap();
    for earlier in [NOON, UnixMillis(0), at("2026-11-29T00:00:00Z")] {
        assert_eq!(stands(&ledger, earlier, "all"), (70, 0));
        over(ledger.reserve(earlier, id(3), &subject("k"), Nanos(31)).unwrap_err());
    }
    // Nor does a restart on a clock that is behind.
    let mut restarted = Ledger::new([daily("UTC")], ledger.spent("all")).unwrap();
    assert_eq!(stands(&restarted, NOON, "all"), (70, 0));
    let ahead = at("2027-06-01T00:00:00Z");
    assert_eq!(stands(&restarted, ahead, "all"), (0, 0));
    // Who only looks does not make time go on.
    assert_eq!(stands(&restarted, NOON, "all"), (70, 0));
    restarted.reserve(ahead, id(1), &subject("k"), Nanos(100)).unwrap();
    assert_eq!(restarted.state(NOON, "all").unwrap().since, ahead);
    // A budget that a wrong clock has led far ahead is set right by hand.
    restarted.remove_budget("all");
    restarted.put_budget(NOON, daily("UTC")).unwrap();
    assert_eq!(restarted.state(NOON, "all").unwrap().since, at("2026-11-28T00:00:00Z"));
}

#[test]
fn spending_that_was_stored_in_a_window_long_over_is_forgotten() {
    let spent = Spent { budget: "all".into(), since: at("2026-11-01T00:00:00Z"), settled: Nanos(99), alerted: 1 << 50 };
    let budget = || Budget { alerts: vec![50], ..daily("UTC") };
    let mut ledger = Ledger::new([budget()], [spent.clone()]).unwrap();
    assert_eq!(stands(&ledger, NOON, "all"), (0, 0));
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(50)).unwrap();
    assert_eq!(ledger.settle(NOON, id(1), Nanos(50)).unwrap().alerts.len(), 1);
    // In its own window it counts.
    let ledger = Ledger::new([budget()], [Spent { since: at("2026-11-28T00:00:00Z"), ..spent }]).unwrap();
    assert_eq!(stands(&ledger, NOON, "all"), (99, 0));
}

#[test]
fn another_window_keeps_what_was_spent() {
    let mut ledger = ledger([daily("UTC")]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(60)).unwrap();
    ledger.settle(NOON, id(1), Nanos(60)).unwrap();
    let put = ledger.put_budget(NOON, of_all("all", 100)).unwrap();
    assert_eq!((put.spent.since, put.spent.settled), (at("2026-11-01T00:00:00Z"), Nanos(60)));
    let hourly = Budget { window: Window { every: Period::Hour, zone: None }, ..of_all("all", 100) };
    assert_eq!(ledger.put_budget(NOON, hourly).unwrap().spent.settled, Nanos(60));
    assert_eq!(stands(&ledger, UnixMillis(NOON.0 + 3_600_000), "all"), (0, 0));
}

/// wso2 api-platform #2936: a bucket that refills all the time let a monthly budget never add up.
#[test]
fn regression_a_monthly_budget_adds_up_over_the_whole_month() {
    let mut ledger = ledger([of_all("all", 30)]);
    for day in 0..30 {
        let now = UnixMillis(at("2026-11-01T00:00:00Z").0 + day * 86_400_000);
        ledger.reserve(now, id(1), &subject("k"), Nanos(1)).unwrap();
        ledger.settle(now, id(1), Nanos(1)).unwrap();
    }
    let last = UnixMillis(at("2026-12-01T00:00:00Z").0 - 1);
    assert_eq!(over(ledger.reserve(last, id(1), &subject("k"), Nanos(1)).unwrap_err()).settled, Nanos(30));
    ledger.reserve(UnixMillis(last.0 + 1), id(1), &subject("k"), Nanos(30)).unwrap();
}
