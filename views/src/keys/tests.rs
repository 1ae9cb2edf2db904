use protocol::units::UnixMillis;
use serde_json::json;

use super::*;

fn settings() -> KeySettings {
    KeySettings {
        name: "ann".into(),
        organisation: Some("acme".into()),
        limits: KeyLimits { requests_per_minute: Some(60), ..KeyLimits::default() },
        class: Class::Interactive,
        tags: vec!["a".into()],
        expires: Some(UnixMillis(1_769_848_200_000)),
        cache: CacheUse::Off,
        fallbacks: [("big".to_owned(), vec!["small".to_owned()])].into(),
        ..KeySettings::default()
    }
}

#[test]
fn a_key_is_shown_without_its_hash_and_its_secret_once() {
    let record =
        KeyRecord { id: "key-1".into(), hash: [7; 32], created: UnixMillis(1), revoked: false, settings: settings() };
    let view = KeyView::from(record);
    let shown = serde_json::to_value(&view).unwrap();
    let expected = json!({
        "object": "key", "id": "key-1", "created": "1970-01-01T00:00:00.001Z", "revoked": false,
        "name": "ann", "organisation": "acme", "team": null, "admin": false, "models": [],
        "limits": {"requests_per_minute": 60, "tokens_per_minute": null, "parallel": null},
        "class": "interactive", "tags": ["a"], "expires": "2026-01-31T08:30:00.000Z", "guardrails": [],
        "cache": "off", "fallbacks": {"big": ["small"]},
    });
    assert_eq!(shown, expected);
    assert_eq!(serde_json::to_value(view.with_secret("s".into())).unwrap()["secret"], "s");
}

#[test]
fn settings_come_back_as_they_were() {
    let text = serde_json::to_string(&KeyForm::from(settings())).unwrap();
    assert_eq!(KeySettings::from(serde_json::from_str::<KeyForm>(&text).unwrap()), settings());
    assert_eq!(KeySettings::from(serde_json::from_str::<KeyForm>("{}").unwrap()), KeySettings::default());
}

#[test]
fn what_is_not_known_is_refused() {
    for text in [
        r#"{"budget": "5"}"#,
        r#"{"limits": {"rpm": 1}}"#,
        r#"{"class": "vip"}"#,
        r#"{"expires": 5}"#,
        r#"{"hash": []}"#,
    ] {
        assert!(serde_json::from_str::<KeyForm>(text).is_err(), "{text}");
    }
}
