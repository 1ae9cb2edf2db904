//! Whatever is sent, nothing panics and the fault is never ours.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::fake::{Fake, MODEL};
use crate::support::{CHAT, COMPLETIONS, Got, door, operate, post, send};

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3_i64..20).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("text")),
        Just(json!("user")),
        Just(json!("function")),
        Just(json!("5.00")),
        Just(json!("2030-01-31")),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let names = [
            "type",
            "text",
            "role",
            "content",
            "5",
            "x",
            "function",
            "name",
            "arguments",
            "parameters",
            "tool_calls",
            "tool_call_id",
            "id",
            "parallel",
            "every",
            "zone",
            "key",
            "amount",
            "until",
            "big",
        ];
        let name = prop::sample::select(names.to_vec());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|fields| fields
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

const NAMES: &[&str] = &[
    "messages",
    "prompt",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "min_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "stop",
    "stop_token_ids",
    "ignore_eos",
    "seed",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "best_of",
    "echo",
    "strange",
];

/// Known fields with any value, over a body that would be good.
fn bodies() -> impl Strategy<Value = Value> {
    let fields = prop::collection::vec((prop::sample::select(NAMES), anything()), 0..4);
    let good = prop_oneof![
        Just(json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]})),
        Just(json!({"model": MODEL, "prompt": ["x", "y"]})),
    ];
    (good, fields).prop_map(|(mut body, fields)| {
        if let Value::Object(body) = &mut body {
            body.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        body
    })
}

fn ask(path: &str, body: Vec<u8>) -> Got {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (fake, _seen) = Fake::well();
        send(&door(&fake), post(path, body)).await
    })
}

fn is_well(got: &Got) -> bool {
    match got.status.as_u16() {
        200 => !got.text.contains("\"error\":"),
        400..=499 => got.json()["error"]["message"].is_string(),
        _ => false,
    }
}

/// What operators send, and where to.
fn wishes() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    let routes = [
        ("POST", "/v1/admin/keys"),
        ("PATCH", "/v1/admin/keys/key-1"),
        ("PUT", "/v1/admin/budgets/b"),
        ("POST", "/v1/admin/budgets/b/increase"),
    ];
    let names = [
        "name",
        "organisation",
        "admin",
        "models",
        "limits",
        "class",
        "tags",
        "expires",
        "guardrails",
        "cache",
        "fallbacks",
        "limit",
        "scope",
        "window",
        "alerts",
        "soft",
        "increase",
        "amount",
        "until",
        "for",
        "id",
    ];
    let fields = prop::collection::vec((prop::sample::select(names.to_vec()), anything()), 0..4);
    (prop::sample::select(routes.to_vec()), fields, any::<bool>()).prop_map(|((method, path), fields, good)| {
        let mut body = Map::new();
        if good && method == "PUT" {
            body.insert("limit".to_owned(), json!("5.00"));
        }
        body.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
        (method, path, Value::Object(body))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_wish_of_an_operator((method, path, body) in wishes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let got = runtime.block_on(async {
            let (door, _kept) = crate::admin::bed();
            operate(&door, "POST", "/v1/admin/keys", Some(json!({"name": "ann"}))).await;
            operate(&door, "PUT", "/v1/admin/budgets/b", Some(json!({"limit": "1"}))).await;
            operate(&door, method, path, Some(body)).await
        });
        prop_assert!(is_well(&got), "{got:?}");
    }

    #[test]
    fn known_fields_with_any_value(body in bodies(), path in prop::sample::select(&[CHAT, COMPLETIONS][..])) {
        let got = ask(path, body.to_string().into_bytes());
        prop_assert!(is_well(&got), "{got:?}");
    }

    #[test]
    fn any_json(body in anything()) {
        let got = ask(CHAT, body.to_string().into_bytes());
        prop_assert!(is_well(&got), "{got:?}");
    }

    #[test]
    fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let got = ask(COMPLETIONS, body);
        prop_assert!(is_well(&got), "{got:?}");
    }

    /// A good body that was damaged on its way.
    #[test]
    fn damaged_bytes(at in 0_usize..70, byte in any::<u8>()) {
        let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).to_string().into_bytes();
        let at = at % body.len();
        body[at] = byte;
        let got = ask(CHAT, body);
        prop_assert!(is_well(&got), "{got:?}");
    }
}
