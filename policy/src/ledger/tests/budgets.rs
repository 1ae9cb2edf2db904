use super::*;

fn shares(alerts: &[AlertRaised]) -> Vec<u8> {
    alerts.iter().map(|alert| alert.share).collect()
}

fn spend(ledger: &mut Ledger, now: UnixMillis, amount: u64) -> Vec<u8> {
    ledger.reserve(now, id(77), &subject("k"), Nanos(amount)).unwrap();
    shares(&ledger.settle(now, id(77), Nanos(amount)).unwrap().alerts)
}

fn alerting(limit: u64) -> Budget {
    Budget { alerts: vec![50, 80, 100], ..of_all("all", limit) }
}

#[test]
fn each_share_is_told_once_in_a_window() {
    let mut ledger = ledger([alerting(100)]);
    assert_eq!(spend(&mut ledger, NOON, 49), []);
    assert_eq!(spend(&mut ledger, NOON, 1), [50]);
    assert_eq!(spend(&mut ledger, NOON, 29), []);
    assert_eq!(spend(&mut ledger, NOON, 21), [80, 100]);
    over(ledger.reserve(NOON, id(1), &subject("k"), Nanos(1)).unwrap_err());
    let next = UnixMillis(NOON.0 + 31 * 86_400_000);
    assert_eq!(spend(&mut ledger, next, 85), [50, 80]);
}

/// litellm #16185, #3738: alerts stopped after the first, or came in floods.
#[test]
fn regression_alerts_neither_stop_after_the_first_nor_repeat_after_a_restart() {
    let mut before = ledger([alerting(100)]);
    assert_eq!(spend(&mut before, NOON, 60), [50]);
    let mut after = Ledger::new([alerting(100)], before.spent("all")).unwrap();
    assert_eq!(stands(&after, NOON, "all"), (60, 0));
    assert_eq!(spend(&mut after, NOON, 1), []);
    assert_eq!(spend(&mut after, NOON, 19), [80]);
}

#[test]
fn a_request_that_does_not_fit_tells_once_that_all_is_gone() {
    let mut ledger = ledger([alerting(100)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(90)).unwrap();
    for told in [vec![100], vec![]] {
        match ledger.reserve(NOON, id(2), &subject("k"), Nanos(11)).unwrap_err() {
            ReserveError::OverBudget { alerts, .. } => assert_eq!(shares(&alerts), told),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ledger.spent("all").unwrap().alerted, 1 << 100);
    // Those below it come when they are reached.
    assert_eq!(shares(&ledger.settle(NOON, id(1), Nanos(90)).unwrap().alerts), [50, 80]);
}

/// litellm #35800: the alert of a soft budget was never sent.
#[test]
fn regression_a_soft_budget_tells_and_refuses_nothing() {
    let mut ledger = ledger([Budget { soft: true, ..alerting(100) }]);
    assert_eq!(shares(&ledger.reserve(NOON, id(1), &subject("k"), Nanos(100)).unwrap().alerts), []);
    let reserved = ledger.reserve(NOON, id(2), &subject("k"), Nanos(100)).unwrap();
    assert_eq!(shares(&reserved.alerts), [100]);
    assert_eq!((reserved.alerts[0].reserved, reserved.alerts[0].limit), (Nanos(200), Nanos(100)));
    assert_eq!(shares(&ledger.settle(NOON, id(1), Nanos(100)).unwrap().alerts), [50, 80]);
    assert_eq!(ledger.would_pass(NOON, &subject("k"), Nanos(1000)), Ok(()));
    assert_eq!(stands(&ledger, NOON, "all"), (100, 100));
}

#[test]
fn a_budget_lowered_below_what_is_open_refuses_and_lets_the_open_ones_settle() {
    let mut ledger = ledger([of_all("all", 100)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(40)).unwrap();
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(40)).unwrap();
    ledger.put_budget(NOON, of_all("all", 50)).unwrap();
    ledger.check().unwrap();
    for amount in [0, 1] {
        let refused = over(ledger.reserve(NOON, id(3), &subject("k"), Nanos(amount)).unwrap_err());
        assert_eq!((refused.limit, refused.reserved), (Nanos(50), Nanos(80)));
        over(ledger.extend(NOON, id(1), Nanos(amount)).unwrap_err());
    }
    assert_eq!(ledger.settle(NOON, id(1), Nanos(40)).unwrap().booked, Nanos(40));
    assert_eq!(ledger.settle(NOON, id(2), Nanos(5)).unwrap().booked, Nanos(5));
    assert_eq!(stands(&ledger, NOON, "all"), (45, 0));
    ledger.reserve(NOON, id(3), &subject("k"), Nanos(5)).unwrap();
}

#[test]
fn a_lowered_limit_tells_what_is_gone_of_it() {
    let mut ledger = ledger([alerting(100)]);
    assert_eq!(spend(&mut ledger, NOON, 40), []);
    let put = ledger.put_budget(NOON, alerting(50)).unwrap();
    assert_eq!((shares(&put.alerts), put.spent.settled), (vec![50, 80], Nanos(40)));
    assert_eq!(put.spent.alerted, (1 << 50) | (1 << 80));
}

#[test]
fn an_increase_ends_at_its_time_and_what_is_open_settles() {
    let until = UnixMillis(NOON.0 + 1000);
    let mut ledger = ledger([Budget { increase: Some(Increase { amount: Nanos(50), until }), ..of_all("all", 100) }]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(140)).unwrap();
    ledger.reserve(UnixMillis(until.0 - 1), id(2), &subject("k"), Nanos(10)).unwrap();
    ledger.release(id(2)).unwrap();
    let refused = over(ledger.reserve(until, id(2), &subject("k"), Nanos(1)).unwrap_err());
    assert_eq!((refused.limit, refused.reserved), (Nanos(100), Nanos(140)));
    // Nor does it come back with a clock that goes back.
    over(ledger.reserve(NOON, id(2), &subject("k"), Nanos(1)).unwrap_err());
    ledger.settle(until, id(1), Nanos(140)).unwrap();
    assert_eq!(stands(&ledger, until, "all"), (140, 0));
}

#[test]
fn a_new_budget_counts_what_is_open_and_a_removed_one_forgets_it() {
    let mut ledger = ledger([]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(30)).unwrap();
    ledger.reserve(NOON, id(2), &subject("l"), Nanos(30)).unwrap();
    ledger.put_budget(NOON, scoped("k", 40, |s| s.key = Some("k".into()))).unwrap();
    assert_eq!(stands(&ledger, NOON, "k"), (0, 30));
    over(ledger.reserve(NOON, id(3), &subject("k"), Nanos(11)).unwrap_err());
    ledger.put_budget(NOON, scoped("k", 40, |s| s.key = Some("l".into()))).unwrap();
    ledger.settle(NOON, id(1), Nanos(30)).unwrap();
    assert_eq!(stands(&ledger, NOON, "k"), (0, 30));
    assert!(ledger.remove_budget("k"));
    assert!(!ledger.remove_budget("k"));
    // Another takes its place and is not charged for what it did not see.
    ledger.put_budget(NOON, scoped("m", 40, |s| s.key = Some("m".into()))).unwrap();
    ledger.settle(NOON, id(2), Nanos(30)).unwrap();
    assert_eq!(stands(&ledger, NOON, "m"), (0, 0));
    assert_eq!(ledger.states(NOON).len(), 1);
}

#[test]
fn a_budget_that_cannot_be_is_refused_and_changes_nothing() {
    let good = || of_all("all", 100);
    let zone = |zone: &str| Window { every: Period::Day, zone: Some(zone.into()) };
    let cases = [
        (of_all("", 1), "budget id '' cannot be: use 1 to 128 characters without control characters"),
        (of_all("a\nb", 1), "budget id 'a\\nb' cannot be: use 1 to 128 characters without control characters"),
        (
            of_all(&"x".repeat(129), 1),
            "budget id 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' cannot be",
        ),
        (of_all("all", 0), "budget 'all' has a limit of zero"),
        (
            Budget { increase: Some(Increase { amount: Nanos(u64::MAX), until: NOON }), ..good() },
            "budget 'all': limit 0.0000001 and increase 18446744073.709551615 do not fit together: lower one",
        ),
        (
            Budget { alerts: vec![50, 0], ..good() },
            "budget 'all': an alert at 0 % cannot be: use whole shares from 1 to 100",
        ),
        (Budget { alerts: vec![101], ..good() }, "budget 'all': an alert at 101 % cannot be"),
        (Budget { alerts: vec![1; 17], ..good() }, "budget 'all' has 17 alerts: give at most 16"),
        (Budget { window: zone("Mars/Olympus"), ..good() }, "budget 'all': there is no time zone 'Mars/Olympus'"),
        (
            Budget { window: zone("../../etc/passwd"), ..good() },
            "budget 'all': there is no time zone '../../etc/passwd'",
        ),
        (Budget { window: zone("Etc/Unknown"), ..good() }, "budget 'all': there is no time zone 'Etc/Unknown'"),
    ];
    let mut ledger = ledger([good()]);
    for (budget, says) in cases {
        let error = ledger.put_budget(NOON, budget.clone()).unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
        assert_eq!(Ledger::new([budget], []).unwrap_err(), error);
        assert_eq!(ledger.states(NOON).len(), 1);
        assert_eq!(ledger.states(NOON)[0].budget, good());
    }
}

#[test]
fn open_reservations_that_do_not_fit_into_a_new_budget_keep_it_out() {
    let mut ledger = ledger([]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(u64::MAX)).unwrap();
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(1)).unwrap();
    assert_eq!(ledger.put_budget(NOON, of_all("all", 5)).unwrap_err(), BudgetError::Overflow("all".into()));
    assert!(ledger.states(NOON).is_empty());
    ledger.release(id(2)).unwrap();
    ledger.put_budget(NOON, of_all("all", 5)).unwrap();
    assert_eq!(stands(&ledger, NOON, "all"), (0, u64::MAX));
}
