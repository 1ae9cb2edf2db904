//! What is sent to OpenAI against its published schema, where that is at hand.

use jsonschema::Validator;
use protocol::config::ProviderKind;
use protocol::ids::TokenId;
use protocol::request::{ChatMessage, Input, Params, Request, Tool, ToolCall, ToolChoice, Tools};
use providers::mock::{Mock, Specification};
use serde_json::{Value, json};

use crate::support::*;

fn validator(specification: &Specification, name: &str) -> Validator {
    jsonschema::validator_for(&specification.schema(name)).unwrap()
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
    let Some(specification) = Specification::openai() else { return };
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
