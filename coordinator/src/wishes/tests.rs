use protocol::account::{Budget, KeySettings, Window};
use protocol::units::{Nanos, UnixMillis};

use super::*;

const SECRET: &str = "sk-troupe-0123456789abcdef0123456789abcdef";

#[test]
fn good_wishes_pass() {
    let budget = Budget { id: "b".into(), limit: Nanos(1), ..Budget::default() };
    for wish in [
        Manage::CreateKey(KeySettings::default()),
        Manage::ListKeys,
        Manage::UpdateKey { key: "key-1".into(), settings: KeySettings::default() },
        Manage::RevokeKey { key: "key-1".into() },
        Manage::PutBudget(budget),
        Manage::RemoveBudget { id: "b".into() },
        Manage::Usage(UsageQuery::default()),
        Manage::Prices,
    ] {
        assert_eq!(check(&wish), Ok(()), "{wish:?}");
    }
}

#[test]
fn all_faults_are_told_with_the_first_as_field() {
    let settings = KeySettings { name: "x".repeat(500), tags: vec![String::new()], ..KeySettings::default() };
    let error = check(&Manage::CreateKey(settings)).unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::Invalid, Some("name")));
    assert!(error.message.contains("name has 500 bytes") && error.message.contains("tags[0] is empty"), "{error}");
}

#[test]
fn a_zone_must_exist() {
    let budget = |zone: &str| Budget {
        id: "b".into(),
        limit: Nanos(1),
        window: Window { zone: Some(zone.into()), ..Window::default() },
        ..Budget::default()
    };
    assert_eq!(check(&Manage::PutBudget(budget("Asia/Tokyo"))), Ok(()));
    for zone in ["Mars/Olympus", "", "sk-troupe-0123456789abcdef"] {
        let error = check(&Manage::PutBudget(budget(zone))).unwrap_err();
        assert_eq!(error.field.as_deref(), Some("window.zone"));
        assert!(!error.message.contains("0123456789abcdef"), "{error}");
    }
}

#[test]
fn usage_between_turned_times_and_secrets_as_names_are_refused() {
    let turned = UsageQuery { since: Some(UnixMillis(5)), until: Some(UnixMillis(5)), ..UsageQuery::default() };
    assert_eq!(check(&Manage::Usage(turned)).unwrap_err().field.as_deref(), Some("until"));
    let query = UsageQuery { key: Some(SECRET.into()), ..UsageQuery::default() };
    for wish in [
        Manage::Usage(query),
        Manage::RevokeKey { key: SECRET.into() },
        Manage::RemoveBudget { id: SECRET.into() },
        Manage::UpdateKey { key: SECRET.into(), settings: KeySettings::default() },
    ] {
        let error = check(&wish).unwrap_err();
        assert!(error.message.contains("looks like a secret"), "{error}");
        assert!(!error.message.contains("0123456789abcdef"), "{error}");
    }
}
