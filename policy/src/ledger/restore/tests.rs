use protocol::account::{Budget, Period, Scope, Window};

use super::*;
use crate::ledger::{ReservationId, ReserveError};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn ledger() -> Ledger {
    let budget = Budget {
        id: "all".into(),
        limit: Nanos(100),
        alerts: vec![50],
        window: Window { every: Period::Total, zone: None },
        ..Budget::default()
    };
    let other =
        Budget { id: "team".into(), scope: Scope { team: Some("red".into()), ..Scope::default() }, ..budget.clone() };
    Ledger::new([budget, other], []).unwrap()
}

#[test]
fn what_was_reserved_before_a_restart_is_spent_in_the_budgets_that_match() {
    let mut ledger = ledger();
    let subject = Subject { key: "k".into(), ..Subject::default() };
    let booked = ledger.book(NOW, &subject, Nanos(60));
    assert_eq!((booked.booked, booked.alerts.len(), booked.changes.len()), (Nanos(60), 1, 1));
    assert_eq!(ledger.check(), Ok(()));
    let spent: Vec<(String, Nanos)> = ledger.all_spent().map(|spent| (spent.budget, spent.settled)).collect();
    assert_eq!(spent, [("all".to_owned(), Nanos(60)), ("team".to_owned(), Nanos(0))]);
    let refused = ledger.reserve(NOW, ReservationId(1), &subject, Nanos(41)).unwrap_err();
    assert!(matches!(refused, ReserveError::OverBudget { .. }));
    ledger.reserve(NOW, ReservationId(1), &subject, Nanos(40)).unwrap();
}

#[test]
fn it_counts_beyond_a_limit_that_was_lowered_in_between() {
    let mut ledger = ledger();
    let subject = Subject { team: Some("red".into()), ..Subject::default() };
    let booked = ledger.book(NOW, &subject, Nanos(150));
    assert_eq!(booked.changes.iter().map(|spent| spent.settled).collect::<Vec<_>>(), [Nanos(150), Nanos(150)]);
    assert_eq!(ledger.check(), Ok(()));
    assert!(ledger.reserve(NOW, ReservationId(1), &subject, Nanos(1)).is_err());
}
