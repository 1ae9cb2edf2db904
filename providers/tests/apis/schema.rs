//! What is sent to OpenAI against its published schema, where that is at hand.

use std::path::PathBuf;

use jsonschema::Validator;
use protocol::config::ProviderKind;
use protocol::ids::TokenId;
use protocol::request::{ChatMessage, Input, Params, Request, Tool, ToolCall, ToolChoice, Tools};
use providers::mock::Mock;
use serde_json::{Value, json};

use crate::support::*;

/// OpenAI's specification. It is not ours to publish, so it lies beside the repository.
fn specification() -> Option<Value> {
    let shared = std::env::var_os("TROUPE_SHARED").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let path = shared.unwrap_or_else(beside).join("openai/openapi_core.json");
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: {}: {error}; TROUPE_SHARED names the folder that holds openai/", path.display());
            None
        }
    }
}

/// OpenAPI 3.0's `nullable` in the words of JSON Schema.
fn modern(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: serde_json::Map<_, _> = fields.into_iter().map(|(k, v)| (k, modern(v))).collect();
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                json!({"anyOf": [Value::Object(fields), {"type": "null"}]})
            } else {
                Value::Object(fields)
            }
        }
        Value::Array(list) => list.into_iter().map(modern).collect(),
        other => other,
    }
}

fn validator(specification: &Value, name: &str) -> Validator {
    let components = modern(specification["components"].clone());
    assert!(!components["schemas"][name].is_null(), "the specification has no {name}");
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": components,
    });
    jsonschema::validator_for(&schema).unwrap()
}

async fn sent(request: Request) -> Value {
    let mock = Mock::start().await.unwrap();
    let got = ask(&provider(&mock, ProviderKind::OpenAi), call(request)).await;
    assert_eq!(got.failure, None);
    mock.asked().remove(0).body
}

fn rich() -> Request {
    let made = ToolCall { id: "call_1".into(), name: "weather".into(), arguments: "{}".into() };
    let result = ChatMessage { tool_call: Some("call_1".into()), ..ChatMessage::new("tool", "cold") };
    let turns = vec![
        ChatMessage::new("developer", "Be brief."),
        ChatMessage { name: Some("ann".into()), ..ChatMessage::new("user", "?") },
        ChatMessage { tool_calls: vec![made], ..ChatMessage::new("assistant", "") },
        result,
    ];
    let tool = Tool {
        name: "weather".into(),
        description: Some("d".into()),
        parameters: Some(r#"{"type": "object", "properties": {}}"#.into()),
        strict: Some(true),
    };
    let params = Params {
        n: Some(2),
        temperature: Some(0.3),
        top_p: Some(0.9),
        presence_penalty: Some(0.1),
        frequency_penalty: Some(0.1),
        logit_bias: vec![(TokenId(5), 1.0)],
        stop: vec!["a".into(), "b".into()],
        seed: Some(u64::MAX),
        logprobs: Some(3),
        ..Params::default()
    };
    let tools = Tools { list: vec![tool], choice: Some(ToolChoice::Named("weather".into())), parallel: Some(false) };
    Request { model: MODEL.into(), input: Input::Chat(turns), params, tools, ..Request::default() }
}

#[tokio::test]
async fn what_is_sent_is_openais() {
    let Some(specification) = specification() else { return };
    let chat = validator(&specification, "CreateChatCompletionRequest");
    let completion = validator(&specification, "CreateCompletionRequest");
    let text = Request { input: Input::Text("Once".into()), ..hello().request };
    for (validator, request) in [(&chat, hello().request), (&chat, rich()), (&completion, text)] {
        let body = sent(request).await;
        let faults: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(faults.is_empty(), "{body:#}\n{faults:#?}");
    }
    assert!(
        !chat.is_valid(&json!({"model": "m", "messages": [{"role": "user", "content": 3}]})),
        "it takes everything"
    );
}
