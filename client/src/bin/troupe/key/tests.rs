use protocol::account::{CacheUse, KeyLimits, Period};
use protocol::units::Nanos;

use super::*;

const NOW: UnixMillis = UnixMillis(1_769_848_200_000);

fn key(id: &str, change: impl FnOnce(&mut KeyRecord)) -> KeyRecord {
    let mut record = KeyRecord { id: id.into(), hash: [7; 32], created: NOW, ..KeyRecord::default() };
    change(&mut record);
    record
}

#[test]
fn the_table_shows_limits_and_which_keys_are_good() {
    let keys = [
        key("key-1", |key| {
            key.settings.name = "ann\u{7}".into();
            key.settings.admin = true;
            key.settings.limits = KeyLimits { requests_per_minute: Some(60), ..KeyLimits::default() };
        }),
        key("key-2", |key| key.settings.expires = Some(NOW)),
        key("key-3", |key| {
            key.revoked = true;
            key.settings.models = vec!["a".into(), "b".into()];
        }),
    ];
    let lines = listed(&keys, NOW);
    let cells: Vec<Vec<&str>> =
        lines.lines().map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect()).collect();
    assert_eq!(cells[1], ["key-1", "ann? (admin)", "-", "-", "all", "60", "-", "-", "standard", "-", "good"]);
    assert_eq!(cells[2], ["key-2", "-", "-", "-", "all", "-", "-", "-", "standard", "2026-01-31 08:30", "expired"]);
    assert_eq!(cells[3], ["key-3", "-", "-", "-", "a,b", "-", "-", "-", "standard", "-", "revoked"]);
    assert!(listed(&[], NOW).contains("troupe key create"));
}

#[test]
fn a_key_is_described_line_by_line() {
    let record = key("key-1", |key| {
        key.settings.cache = CacheUse::Off;
        key.settings.tags = vec!["a".into(), "b".into()];
        key.settings.fallbacks = [("big".to_owned(), vec!["c".to_owned(), "d".to_owned()])].into();
    });
    let text = described(&record, NOW);
    for line in [
        "state                good",
        "tags                 a,b",
        "cache                off",
        "fallbacks            big=c,d",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains('\u{7}') && !text.contains("hash"), "{text}");
}

#[test]
fn a_keys_budget_is_its_own() {
    let allowance: Allowance = "5.00/day".parse().unwrap();
    let budget = budget("key-1", &allowance);
    assert_eq!((budget.id.as_str(), budget.scope.key.as_deref()), ("key-1", Some("key-1")));
    assert_eq!((budget.limit, budget.window.every), (Nanos(5_000_000_000), Period::Day));
    assert_eq!(budget.alerts, ALERTS);
    assert_eq!(budget.faults(), []);
}

#[test]
fn faults_are_seen_before_anything_is_sent() {
    let error = checked(KeySettings { name: "x".repeat(200), ..KeySettings::default() }).unwrap_err().to_string();
    assert!(error.contains("name has 200 bytes"), "{error}");
}
