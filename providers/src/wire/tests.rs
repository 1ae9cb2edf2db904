use proptest::prelude::*;

use super::*;

fn ask<'a>(config: &'a config::Provider, request: &'a Request) -> Ask<'a> {
    Ask { provider: "p", config, model: "m", request, max_tokens: Tokens(9), nonce: 7 }
}

fn chat() -> Request {
    Request { input: Input::Chat(vec![ChatMessage::new("user", "Hi")]), ..Request::default() }
}

#[test]
fn openai_itself_has_another_name_for_the_longest_answer() {
    for (base, key) in [
        (None, "max_completion_tokens"),
        (Some("https://eu.api.openai.com/v1"), "max_completion_tokens"),
        (Some("https://mine.openai.azure.com/openai/v1"), "max_completion_tokens"),
        (Some("https://api.mistral.ai/v1"), "max_tokens"),
        (Some("https://notopenai.com/v1"), "max_tokens"),
        (Some("https://openai.com.evil.example/v1"), "max_tokens"),
        (Some("http://127.0.0.1:8000/v1"), "max_tokens"),
    ] {
        let config = config::Provider { base: base.map(str::to_owned), ..config::Provider::default() };
        let body = ask(&config, &chat()).write().unwrap().body;
        assert_eq!(body.get(key), Some(&Value::from(9)), "{base:?}: {body}");
    }
}

#[test]
fn models_of_google_may_stand_elsewhere() {
    let config = config::Provider { kind: ProviderKind::Gemini, ..config::Provider::default() };
    let request = chat();
    for (model, path) in [("g-2", "models/g-2:"), ("tunedModels/mine", "tunedModels/mine:")] {
        let ask = Ask { model, ..ask(&config, &request) };
        assert!(ask.write().unwrap().path.starts_with(path), "{model}");
    }
}

#[test]
fn numbers_are_written_as_they_were_meant() {
    let texts = [0.7, 1.0, 0.1, -1.5].map(|number| plain(number).to_string());
    assert_eq!(texts, ["0.7", "1.0", "0.1", "-1.5"]);
}

#[test]
fn ids_are_kept_where_they_do_and_stay_apart_where_they_do_not() {
    assert_eq!(plain_id("call_abc-1"), "call_abc-1");
    let long = ["x".repeat(41), "x".repeat(42), "a.b".into(), String::new()].map(|id| plain_id(&id));
    assert!(long.iter().all(|id| id.len() <= MAX_ID && plain_id(id) == *id));
    assert_eq!(long.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

/// JSON as strangers may send it.
fn json() -> impl Strategy<Value = Value> {
    let keys = "choices|delta|content|index|tool_calls|function|name|arguments|finish_reason|usage|prompt_tokens|type|\
        content_block|message|candidates|parts|text|functionCall|args|usageMetadata|error|code|details|promptFeedback|\
        blockReason|finishReason|stop_reason|output_tokens|input_tokens";
    let word = "message_start|content_block_start|content_block_delta|content_block_stop|message_delta|message_stop|\
        tool_use|text_delta|input_json_delta|stop|STOP|OTHER|error|[a-zé]{0,4}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..4).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_that_a_provider_sends_breaks_a_reader(events in proptest::collection::vec(json(), 0..8), n in 1u32..4) {
        for kind in ProviderKind::ALL {
            let config = config::Provider { kind, ..config::Provider::default() };
            let mut reader = ask(&config, &chat()).write().unwrap().reader;
            let mut out = Out::new(n);
            for event in &events {
                if reader.event(&event.to_string(), &mut out).is_err() {
                    break;
                }
            }
            prop_assert_eq!(out.end().is_ok(), out.is_finished());
        }
    }
}
