use super::*;
use protocol::account::{Budget, Increase, Period, Scope, Window};

mod budgets;
mod concurrent;
mod random;
mod windows;

pub(super) const DOLLAR: u64 = 1_000_000_000;
/// 2026-11-28T12:00:00Z, a Saturday.
pub(super) const NOON: UnixMillis = UnixMillis(1_795_867_200_000);

pub(super) fn scoped(id: &str, limit: u64, scope: impl FnOnce(&mut Scope)) -> Budget {
    let mut budget = Budget { id: id.into(), limit: Nanos(limit), ..Budget::default() };
    scope(&mut budget.scope);
    budget
}

pub(super) fn of_all(id: &str, limit: u64) -> Budget {
    scoped(id, limit, |_| ())
}

pub(super) fn ledger(budgets: impl IntoIterator<Item = Budget>) -> Ledger {
    Ledger::new(budgets, []).unwrap()
}

pub(super) fn subject(key: &str) -> Subject {
    Subject { organisation: Some("acme".into()), team: Some("red".into()), key: key.into(), ..Subject::default() }
}

pub(super) fn id(id: u128) -> ReservationId {
    ReservationId(id)
}

/// What is settled and reserved.
pub(super) fn stands(ledger: &Ledger, now: UnixMillis, budget: &str) -> (u64, u64) {
    ledger.check().unwrap();
    let state = ledger.state(now, budget).unwrap();
    (state.settled.0, state.reserved.0)
}

fn over(error: ReserveError) -> OverBudget {
    match error {
        ReserveError::OverBudget { over, .. } => *over,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_reserves_settles_and_gives_back_the_rest_in_every_budget_that_matches() {
    let mut ledger = ledger([
        of_all("all", 100),
        scoped("key", 50, |s| s.key = Some("k".into())),
        scoped("other", 50, |s| s.key = Some("l".into())),
        scoped("team", 60, |s| (s.organisation, s.team) = (Some("acme".into()), Some("red".into()))),
        scoped("tag", 70, |s| s.tag = Some("t".into())),
    ]);
    let subject = Subject { tags: vec!["s".into(), "t".into(), "t".into()], ..subject("k") };
    ledger.reserve(NOON, id(1), &subject, Nanos(40)).unwrap();
    for (budget, reserved) in [("all", 40), ("key", 40), ("other", 0), ("team", 40), ("tag", 40)] {
        assert_eq!(stands(&ledger, NOON, budget), (0, reserved), "{budget}");
    }
    let settled = ledger.settle(NOON, id(1), Nanos(30)).unwrap();
    assert_eq!((settled.booked, settled.disputed), (Nanos(30), Nanos(0)));
    let mut changed: Vec<_> = settled.changes.iter().map(|spent| (spent.budget.as_str(), spent.settled.0)).collect();
    changed.sort_unstable();
    assert_eq!(changed, [("all", 30), ("key", 30), ("tag", 30), ("team", 30)]);
    assert_eq!(stands(&ledger, NOON, "key"), (30, 0));
    assert_eq!(stands(&ledger, NOON, "other"), (0, 0));
}

#[test]
fn all_budgets_pass_or_nothing_is_reserved() {
    let mut ledger = ledger([of_all("all", 100), scoped("key", 50, |s| s.key = Some("k".into()))]);
    let refused = over(ledger.reserve(NOON, id(1), &subject("k"), Nanos(51)).unwrap_err());
    assert_eq!((refused.budget.as_str(), refused.limit, refused.asked), ("key", Nanos(50), Nanos(51)));
    assert_eq!(stands(&ledger, NOON, "all"), (0, 0));
    assert_eq!(stands(&ledger, NOON, "key"), (0, 0));
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(50)).unwrap();
    let refused = over(ledger.reserve(NOON, id(2), &subject("k"), Nanos(1)).unwrap_err());
    assert_eq!((refused.reserved, refused.settled), (Nanos(50), Nanos(0)));
    assert_eq!(ledger.open(), 1);
}

#[test]
fn a_refusal_says_what_stands_there_and_when_to_come_again() {
    let day = Window { every: Period::Day, zone: None };
    let mut ledger = ledger([Budget { window: day, ..of_all("daily", 5 * DOLLAR) }, of_all("monthly", 5 * DOLLAR)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(4 * DOLLAR)).unwrap();
    ledger.settle(NOON, id(1), Nanos(3 * DOLLAR)).unwrap();
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(DOLLAR)).unwrap();
    let refused = over(ledger.reserve(NOON, id(3), &subject("k"), Nanos(DOLLAR + 1)).unwrap_err());
    // Tomorrow would be too early: the month is spent as well.
    assert_eq!(
        refused.to_string(),
        "budget 'monthly' has no room for 1.000000001: of 5.00 are 3.00 spent and 1.00 reserved; it begins anew at \
         2026-12-01T00:00:00Z: come again then, or raise it"
    );
    assert!(
        ledger
            .put_budget(NOON, Budget { window: Window { every: Period::Total, zone: None }, ..of_all("ever", 1) })
            .is_ok()
    );
    let refused = over(ledger.reserve(NOON, id(3), &subject("k"), Nanos(DOLLAR + 1)).unwrap_err());
    assert_eq!((refused.budget.as_str(), refused.resets), ("ever", None));
}

#[test]
fn a_second_settlement_is_an_error_and_changes_nothing() {
    let mut ledger = ledger([of_all("all", 100)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(10)).unwrap();
    assert_eq!(
        ledger.reserve(NOON, id(1), &subject("k"), Nanos(10)).unwrap_err(),
        ReserveError::Duplicate(id(1)),
        "an id that is open is not reserved again"
    );
    ledger.settle(NOON, id(1), Nanos(10)).unwrap();
    let before = ledger.spent("all").unwrap();
    assert_eq!(ledger.settle(NOON, id(1), Nanos(10)).unwrap_err(), UnknownReservation(id(1)));
    assert_eq!(ledger.release(id(1)).unwrap_err(), UnknownReservation(id(1)));
    assert_eq!(ledger.extend(NOON, id(1), Nanos(1)).unwrap_err(), UnknownReservation(id(1)).into());
    assert_eq!(ledger.spent("all").unwrap(), before);
    assert_eq!(stands(&ledger, NOON, "all"), (10, 0));
}

#[test]
fn what_is_claimed_beyond_a_reservation_is_told_and_not_booked() {
    let mut ledger = ledger([of_all("all", 100)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(10)).unwrap();
    let settled = ledger.settle(NOON, id(1), Nanos(u64::MAX)).unwrap();
    assert_eq!((settled.booked, settled.disputed), (Nanos(10), Nanos(u64::MAX - 10)));
    assert_eq!(stands(&ledger, NOON, "all"), (10, 0));
}

#[test]
fn a_request_that_goes_on_reserves_more_or_keeps_what_it_has() {
    let mut ledger = ledger([of_all("all", 100)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(60)).unwrap();
    ledger.extend(NOON, id(1), Nanos(40)).unwrap();
    assert_eq!(ledger.reserved(id(1)), Some(Nanos(100)));
    over(ledger.extend(NOON, id(1), Nanos(1)).unwrap_err());
    assert_eq!(stands(&ledger, NOON, "all"), (0, 100));
    assert_eq!(ledger.settle(NOON, id(1), Nanos(100)).unwrap().booked, Nanos(100));
    assert_eq!(stands(&ledger, NOON, "all"), (100, 0));
}

#[test]
fn what_is_released_is_free_again() {
    let mut ledger = ledger([of_all("all", 100)]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(100)).unwrap();
    assert_eq!(ledger.release(id(1)), Ok(Nanos(100)));
    assert_eq!(stands(&ledger, NOON, "all"), (0, 0));
    ledger.reserve(NOON, id(2), &subject("k"), Nanos(100)).unwrap();
}

#[test]
fn a_cheaper_model_is_tried_where_its_budget_has_room() {
    let mut ledger = ledger([of_all("all", 100), scoped("dear", 50, |s| s.model = Some("large".into()))]);
    let about = |model: &str| Subject { model: model.into(), ..subject("k") };
    ledger.reserve(NOON, id(1), &about("large"), Nanos(50)).unwrap();
    let refused = ledger.would_pass(NOON, &about("large"), Nanos(10)).unwrap_err();
    assert_eq!((refused.budget.as_str(), refused.reserved), ("dear", Nanos(50)));
    assert_eq!(ledger.would_pass(NOON, &about("small"), Nanos(10)), Ok(()));
    assert_eq!(ledger.would_pass(NOON, &about("small"), Nanos(51)).unwrap_err().budget, "all");
    assert_eq!(stands(&ledger, NOON, "all"), (0, 50));
}

#[test]
fn sums_that_do_not_fit_are_errors_even_where_nothing_is_refused() {
    let soft = Budget { soft: true, ..of_all("soft", 1) };
    let mut ledger = ledger([soft]);
    ledger.reserve(NOON, id(1), &subject("k"), Nanos(u64::MAX)).unwrap();
    let overflow = |error| assert!(matches!(error, ReserveError::Overflow { asked: Nanos(1), .. }), "{error:?}");
    overflow(ledger.reserve(NOON, id(2), &subject("k"), Nanos(1)).unwrap_err());
    overflow(ledger.extend(NOON, id(1), Nanos(1)).unwrap_err());
    ledger.settle(NOON, id(1), Nanos(u64::MAX)).unwrap();
    overflow(ledger.reserve(NOON, id(2), &subject("k"), Nanos(1)).unwrap_err());
    assert_eq!(stands(&ledger, NOON, "soft"), (u64::MAX, 0));
}
