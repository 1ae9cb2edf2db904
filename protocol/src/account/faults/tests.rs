use proptest::prelude::*;

use super::*;
use crate::account::{Increase, KeyLimits, Window};
use crate::units::{Nanos, UnixMillis};

const SECRET: &str = "sk-troupe-0123456789abcdef0123456789abcdef0123456789abcdef";

fn key(change: impl FnOnce(&mut KeySettings)) -> Vec<Fault> {
    let mut settings = KeySettings::default();
    change(&mut settings);
    settings.faults()
}

fn budget(change: impl FnOnce(&mut Budget)) -> Vec<Fault> {
    let mut budget = Budget { id: "b".into(), limit: Nanos(1), ..Budget::default() };
    change(&mut budget);
    budget.faults()
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("t{at}")).collect()
}

#[test]
fn good_settings_have_no_faults() {
    assert_eq!(KeySettings::default().faults(), []);
    let full = key(|settings| {
        settings.name = "Ann's laptop, größer".into();
        settings.organisation = Some("acme".into());
        settings.models = vec!["auto".into(), "openai/gpt-5".into()];
        settings.tags = many(MAX_KEY_TAGS);
        settings.limits = KeyLimits { requests_per_minute: Some(1), tokens_per_minute: Some(1), parallel: Some(1) };
        settings.fallbacks = [("big".to_owned(), vec!["small".to_owned()])].into();
        settings.expires = Some(UnixMillis(1));
    });
    assert_eq!(full, []);
    let window = Window { zone: Some("Europe/Berlin".into()), ..Window::default() };
    let increase = Increase { amount: Nanos(u64::MAX - 1), until: UnixMillis(1) };
    assert_eq!(budget(|b| (b.window, b.alerts, b.increase) = (window, vec![1, 50, 100], Some(increase))), []);
}

#[test]
fn every_wrong_field_is_named_with_a_remedy() {
    type Change = fn(&mut KeySettings);
    let table: [(Change, &str, &str); 14] = [
        (|s| s.name = "x".repeat(3 << 20), "name", "has 3145728 bytes: give at most 128"),
        (|s| s.name = "a\nb".into(), "name", "'a?b'"),
        (|s| s.organisation = Some(String::new()), "organisation", "is empty"),
        (|s| s.team = Some(" ".into()), "team", "is empty"),
        (|s| s.models = vec!["m".into(); 300], "models", "has 300 entries: give at most 256"),
        (|s| s.models = vec!["m".into(), String::new()], "models[1]", "is empty"),
        (|s| s.limits.requests_per_minute = Some(0), "limits.requests_per_minute", "is 0: give at least 1"),
        (|s| s.limits.tokens_per_minute = Some(0), "limits.tokens_per_minute", "is 0"),
        (|s| s.limits.parallel = Some(0), "limits.parallel", "is 0"),
        (|s| s.tags = many(1000), "tags", "has 1000 entries: give at most 64"),
        (|s| s.tags = vec!["a,b".into()], "tags[0]", "comma"),
        (|s| s.expires = Some(UnixMillis(u64::MAX)), "expires", "year 9999"),
        (|s| s.fallbacks = [("m".to_owned(), vec!["m".to_owned()])].into(), "fallbacks.m", "itself"),
        (|s| s.fallbacks = [("m".to_owned(), vec![])].into(), "fallbacks.m", "at least one"),
    ];
    for (change, field, words) in table {
        let faults = key(change);
        assert!(
            faults.iter().any(|fault| fault.field == field && fault.problem.contains(words)),
            "{field}: {faults:?}"
        );
    }
    type ChangeBudget = fn(&mut Budget);
    let table: [(ChangeBudget, &str, &str); 7] = [
        (|b| b.id = String::new(), "id", "is empty"),
        (|b| b.limit = Nanos(0), "limit", "is 0: give at least 0.000000001"),
        (|b| b.alerts = vec![50, 0], "alerts[1]", "is 0: give hundredths"),
        (|b| b.alerts = vec![101], "alerts[0]", "is 101"),
        (|b| b.alerts = vec![1; 17], "alerts", "at most 16"),
        (|b| b.scope.tag = Some("x".repeat(200)), "scope.tag", "has 200 bytes"),
        (
            |b| (b.limit, b.increase) = (Nanos(2), Some(Increase { amount: Nanos(u64::MAX), until: UnixMillis(1) })),
            "increase.amount",
            "does not fit on top of 0.000000002",
        ),
    ];
    for (change, field, words) in table {
        let faults = budget(change);
        assert!(
            faults.iter().any(|fault| fault.field == field && fault.problem.contains(words)),
            "{field}: {faults:?}"
        );
    }
}

#[test]
fn a_secret_in_the_place_of_a_name_is_refused_and_never_repeated() {
    let secret = || SECRET.to_owned();
    let all = key(|s| {
        (s.name, s.organisation, s.team) = (secret(), Some(secret()), Some(format!("x {SECRET}")));
        (s.models, s.tags, s.guardrails) = (vec![secret()], vec![format!("{SECRET},b")], vec![secret()]);
        s.fallbacks = [(secret(), vec![secret()])].into();
    });
    let more = budget(|b| (b.id, b.scope.key) = (secret(), Some(secret())));
    assert!(all.len() >= 8 && more.len() == 2, "{all:?} {more:?}");
    for fault in all.iter().chain(&more) {
        assert!(!fault.to_string().contains("0123456789abcdef"), "{fault}");
    }
    for plain in ["sk-test", "task-force-of-many-people", "key-0123456789abcdef", "", "sk-", "risk-averse-department-4"]
    {
        assert!(!looks_secret(plain), "{plain}");
    }
    assert_eq!(shown(SECRET), "(hidden: it looks like a secret)");
    assert_eq!(shown("a\u{7}b"), "'a?b'");
    assert_eq!(shown(&"é".repeat(41)), format!("'{}…'", "é".repeat(40)));
}

proptest! {
    /// Whatever a name is, a fault is short and plain.
    #[test]
    fn faults_are_short_whatever_the_names(name in any::<String>(), list in proptest::collection::vec(any::<String>(), 0..80)) {
        let faults = key(|s| {
            (s.name, s.team) = (name.repeat(20), Some(name.clone()));
            (s.models, s.tags) = (list.clone(), list.clone());
            s.fallbacks = [(name.clone(), list.clone())].into();
        });
        for fault in faults {
            prop_assert!(fault.to_string().chars().count() < MAX_MODEL_BYTES + 200, "{}", fault);
            prop_assert!(!fault.to_string().chars().any(char::is_control), "{}", fault);
        }
    }
}
