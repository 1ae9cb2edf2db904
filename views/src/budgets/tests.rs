use protocol::account::Period;
use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Budget, serde_json::Error> {
    serde_json::from_str::<BudgetForm>(text).map(|form| form.named("b".into()))
}

#[test]
fn a_budget_is_read_with_defaults() {
    let budget = read(r#"{"limit": "5.00"}"#).unwrap();
    let expected = Budget { id: "b".into(), limit: Nanos(5_000_000_000), alerts: ALERTS.to_vec(), ..Budget::default() };
    assert_eq!(budget, expected);
    let full = read(
        r#"{"limit": "0.000000001", "scope": {"team": "red"}, "window": {"every": "day", "zone": "Europe/Berlin"},
            "alerts": [], "soft": true, "increase": {"amount": "1", "until": "2026-01-31"}}"#,
    )
    .unwrap();
    assert_eq!((full.limit, full.window.every, full.soft), (Nanos(1), Period::Day, true));
    assert_eq!((full.scope.team.as_deref(), full.window.zone.as_deref()), (Some("red"), Some("Europe/Berlin")));
    assert_eq!(full.increase.unwrap().amount, Nanos(1_000_000_000));
    assert!(full.alerts.is_empty());
}

#[test]
fn wrong_amounts_and_fields_are_refused_with_a_remedy() {
    for (text, words) in [
        ("{}", "missing field `limit`"),
        (r#"{"limit": 5}"#, "as text, such as \"12.50\""),
        (r#"{"limit": 5.0}"#, "as text"),
        (r#"{"limit": "-1"}"#, "not negative"),
        (r#"{"limit": "1e3"}"#, "not an amount"),
        (r#"{"limit": "0.0000000001"}"#, "at most nine decimals"),
        (r#"{"limit": "18446744074"}"#, "at most 18000000000"),
        (r#"{"limit": "5", "spent": "1"}"#, "unknown field `spent`"),
        (r#"{"limit": "5", "scope": {"user": "x"}}"#, "unknown field `user`"),
        (r#"{"limit": "5", "window": {"every": "year"}}"#, "unknown variant `year`"),
        (r#"{"limit": "5", "increase": {"amount": "1"}}"#, "missing field `until`"),
        (r#"{"limit": "5", "alerts": [300]}"#, "300"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_remains_counts_an_increase_until_it_ends_and_never_falls_below_nothing() {
    let increase = Some(Increase { amount: Nanos(3_000_000_000), until: UnixMillis(100) });
    let budget = Budget { id: "b".into(), limit: Nanos(5_000_000_000), increase, ..Budget::default() };
    let state = BudgetState {
        budget,
        settled: Nanos(6_000_000_000),
        reserved: Nanos(500_000_000),
        since: UnixMillis(1),
        resets: None,
    };
    let shown = serde_json::to_value(BudgetView::new(state.clone(), UnixMillis(99))).unwrap();
    let expected = json!({
        "object": "budget", "id": "b", "limit": "5.00", "alerts": [], "soft": false,
        "scope": {"organisation": null, "team": null, "key": null, "model": null, "tag": null, "provider": null},
        "window": {"every": "month", "zone": null},
        "increase": {"amount": "3.00", "until": "1970-01-01T00:00:00.100Z"},
        "spent": "6.00", "reserved": "0.50", "remaining": "1.50", "since": "1970-01-01T00:00:00.001Z", "resets": null,
    });
    assert_eq!(shown, expected);
    assert_eq!(remaining(&state, UnixMillis(100)), Nanos::ZERO);
}
