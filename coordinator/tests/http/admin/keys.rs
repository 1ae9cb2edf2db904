//! Keys.

use protocol::account::{CacheUse, KeyLimits};
use protocol::job::Class;
use serde_json::{Value, json};

use super::{bed, refused, settings};
use crate::support::operate;

const KEYS: &str = "/v1/admin/keys";
const ONE: &str = "/v1/admin/keys/key-1";

fn full() -> Value {
    json!({
        "name": "ann", "organisation": "acme", "team": "red", "admin": true, "models": ["auto", "p/m"],
        "limits": {"requests_per_minute": 60, "tokens_per_minute": 10_000, "parallel": 4}, "class": "interactive",
        "tags": ["a", "b"], "expires": "2030-01-31T09:30:00+01:00", "guardrails": ["g"], "cache": "off",
        "fallbacks": {"big": ["small", "tiny"]},
    })
}

#[tokio::test]
async fn a_key_is_made_and_its_secret_shown_once() {
    let (door, kept) = bed();
    let got = operate(&door, "POST", KEYS, Some(full())).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let mut made = got.json();
    assert_eq!(made["secret"], "sk-troupe-fresh");
    made.as_object_mut().unwrap().remove("secret");
    let mut expected = full();
    let more = json!({
        "object": "key", "id": "key-1", "created": "2023-11-14T22:13:20.000Z", "revoked": false,
        "expires": "2030-01-31T08:30:00.000Z",
    });
    expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(made, expected);
    assert_eq!(operate(&door, "GET", ONE, None).await.json(), made);
    let list = operate(&door, "GET", KEYS, None).await;
    assert_eq!(list.json(), json!({"object": "list", "data": [made]}));
    assert!(!list.text.contains("secret") && !list.text.contains("hash"), "{list:?}");
    let kept = settings(&kept, 0);
    assert_eq!((kept.class, kept.cache, kept.admin), (Class::Interactive, CacheUse::Off, true));
    assert_eq!(kept.fallbacks["big"], ["small", "tiny"]);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_sets_it_back() {
    let (door, kept) = bed();
    operate(&door, "POST", KEYS, Some(full())).await;
    let before = settings(&kept, 0);
    let patch = json!({
        "name": "bob", "team": null, "tags": null, "limits": {"parallel": 8, "tokens_per_minute": null},
        "fallbacks": {"big": null, "huge": ["big"]}, "expires": null,
    });
    let got = operate(&door, "PATCH", ONE, Some(patch)).await;
    assert_eq!(got.status, 200, "{got:?}");
    let after = settings(&kept, 0);
    let mut expected = before.clone();
    (expected.name, expected.team, expected.expires) = ("bob".into(), None, None);
    expected.tags.clear();
    expected.limits = KeyLimits { requests_per_minute: Some(60), tokens_per_minute: None, parallel: Some(8) };
    expected.fallbacks = [("huge".to_owned(), vec!["big".to_owned()])].into();
    assert_eq!(after, expected);
    assert_eq!(got.json()["limits"], json!({"requests_per_minute": 60, "tokens_per_minute": null, "parallel": 8}));
    operate(&door, "PATCH", ONE, Some(json!({}))).await;
    assert_eq!(settings(&kept, 0), expected, "a patch of nothing changes nothing");
}

#[tokio::test]
async fn a_key_is_taken_back() {
    let (door, kept) = bed();
    operate(&door, "POST", KEYS, Some(json!({}))).await;
    let got = operate(&door, "DELETE", ONE, None).await;
    let expected = json!({"object": "key", "id": "key-1", "revoked": true, "message": "key-1 is revoked"});
    assert_eq!(got.json(), expected);
    assert!(kept.try_lock().unwrap().keys[0].revoked);
}

#[tokio::test]
async fn wrong_keys_are_refused_by_field() {
    let tags: Vec<String> = (0..1000).map(|at| format!("t{at}")).collect();
    let secret = "sk-troupe-0123456789abcdef";
    for method in ["POST", "PATCH"] {
        let path = if method == "POST" { KEYS } else { ONE };
        for (body, param, words) in [
            (json!({"tags": tags}), "tags", "has 1000 entries: give at most 64"),
            (json!({"name": "x".repeat(2 << 20)}), "name", "has 2097152 bytes: give at most 128"),
            (json!({"name": 7}), "name", "expected a string"),
            (json!({"name": secret}), "name", "looks like a secret"),
            (json!({"tags": [secret]}), "tags[0]", "looks like a secret"),
            (json!({"limits": {"requests_per_minute": 0}}), "limits.requests_per_minute", "is 0: give at least 1"),
            (json!({"limits": {"tokens_per_minute": -5}}), "limits.tokens_per_minute", "whole number"),
            (json!({"limits": {"parallel": 4_294_967_296_u64}}), "limits.parallel", "whole number"),
            (json!({"limits": {"rpm": 1}}), "limits.rpm", "unrecognized"),
            (json!({"limits": {"parallell": 1}}), "limits.parallell", "did you mean 'parallel'"),
            (json!({"class": "vip"}), "class", "unknown variant `vip`"),
            (json!({"cache": true}), "cache", "expected"),
            (json!({"expires": "soon"}), "expires", "is no time: write it as 2026-01-31T09:30:00Z"),
            (json!({"expires": 1_800_000_000}), "expires", "a time as text"),
            (json!({"expires": "2020-01-01"}), "expires", "which is past"),
            (json!({"models": "m"}), "models", "expected a list"),
            (json!({"fallbacks": {"m": "n"}}), "fallbacks.m", "expected a list"),
            (json!({"fallbacks": {"m": ["m"]}}), "fallbacks.m", "itself"),
            (json!({"organization": "acme"}), "organization", "did you mean 'organisation'"),
            (json!({"hash": "x"}), "hash", "unrecognized"),
            (json!({"id": "key-9"}), "id", "unrecognized"),
        ] {
            refused(method, path, Some(body), 400, &json!(param), words).await;
        }
        refused(method, path, Some(json!([])), 400, &Value::Null, "send a JSON object").await;
    }
}

#[tokio::test]
async fn keys_that_are_not_there_and_secrets_for_ids_are_refused() {
    let there_are = "GET /v1/admin/keys lists";
    for (method, body) in [("GET", None), ("PATCH", Some(json!({}))), ("DELETE", None)] {
        refused(method, "/v1/admin/keys/key-9", body.clone(), 404, &json!("id"), there_are).await;
        let secret = "/v1/admin/keys/sk-troupe-0123456789abcdef";
        refused(method, secret, body.clone(), 400, &json!("id"), "looks like a secret").await;
        refused(method, "/v1/admin/keys/%ff", body, 400, &Value::Null, "cannot be read").await;
    }
}

#[tokio::test]
async fn an_end_that_is_past_already_may_stay() {
    let (door, kept) = bed();
    operate(&door, "POST", KEYS, Some(json!({}))).await;
    let past = protocol::units::UnixMillis(1);
    kept.try_lock().unwrap().keys[0].settings.expires = Some(past);
    assert_eq!(operate(&door, "PATCH", ONE, Some(json!({"name": "old"}))).await.status, 200);
    assert_eq!(settings(&kept, 0).expires, Some(past));
}
