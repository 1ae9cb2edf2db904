//! Calls of functions, there and back.

use protocol::answer::FinishReason;
use protocol::config::ProviderKind;
use protocol::request::{ChatMessage, Input, Request, Tool, ToolCall, ToolChoice, Tools};
use providers::FailureKind;
use providers::mock::{Beat, Mock, Reply};
use serde_json::{Value, json};

use crate::support::*;

const SCHEMA: &str = r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#;

fn weather() -> Request {
    let tool = Tool {
        name: "weather".into(),
        description: Some("The weather of a city.".into()),
        parameters: Some(SCHEMA.into()),
        strict: None,
    };
    let bare = Tool { name: "time".into(), ..Tool::default() };
    let tools = Tools { list: vec![tool, bare], choice: None, parallel: None };
    Request { tools, ..chat(&[("system", "Be brief."), ("user", "Weather in Oslo?")]) }
}

#[tokio::test]
async fn a_call_streams_and_its_result_goes_back() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let provider = provider(&mock, kind);
        mock.push(Reply::call("weather", &["{\"ci", "ty\":\"Oslo\"}"]));
        let got = ask(&provider, call(weather())).await;
        let choice = &got.choices[0];
        assert_eq!((choice.text.as_str(), choice.reason), ("", Some(FinishReason::ToolCalls)), "{kind:?}");
        let [made] = choice.calls.as_slice() else { panic!("{kind:?}: {choice:?}") };
        assert_eq!(made.name, "weather");
        assert_eq!(serde_json::from_str::<Value>(&made.arguments).unwrap(), json!({"city": "Oslo"}), "{kind:?}");
        assert_eq!(got.usage.unwrap().completion, mock.totals().completion, "{kind:?}");

        let mut next = weather();
        let Input::Chat(turns) = &mut next.input else { panic!("no chat") };
        turns.push(ChatMessage { tool_calls: vec![made.clone()], ..ChatMessage::new("assistant", "") });
        let id = Some(made.id.clone());
        turns.push(ChatMessage { tool_call: id, ..ChatMessage::new("tool", "{\"degrees\": -4}") });
        mock.push(Reply::text(&["Cold."]));
        let got = ask(&provider, call(next)).await;
        assert_eq!((got.text(), got.failure.as_ref()), ("Cold.", None), "{kind:?}");

        let body = &mock.asked()[1].body;
        match kind {
            ProviderKind::OpenAi => {
                let function = json!({"name": "weather", "arguments": "{\"city\":\"Oslo\"}"});
                let calls = json!([{"id": "call_0", "type": "function", "function": function}]);
                let turns = json!([
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Weather in Oslo?"},
                    {"role": "assistant", "content": null, "tool_calls": calls},
                    {"role": "tool", "tool_call_id": "call_0", "content": "{\"degrees\": -4}"},
                ]);
                assert_eq!(body["messages"], turns);
                assert_eq!(body["tools"][0]["function"]["parameters"]["required"], json!(["city"]));
                assert_eq!(body["tools"][1], json!({"type": "function", "function": {"name": "time"}}));
            }
            ProviderKind::Anthropic => {
                assert_eq!(body["system"], "Be brief.");
                let input = json!({"city": "Oslo"});
                let result = json!({"type": "tool_result", "tool_use_id": "toolu_0", "content": "{\"degrees\": -4}"});
                let turns = json!([
                    {"role": "user", "content": [{"type": "text", "text": "Weather in Oslo?"}]},
                    {"role": "assistant", "content": [
                        {"type": "tool_use", "id": "toolu_0", "name": "weather", "input": input}]},
                    {"role": "user", "content": [result]},
                ]);
                assert_eq!(body["messages"], turns);
                let empty = json!({"type": "object", "properties": {}});
                assert_eq!(body["tools"][1], json!({"name": "time", "input_schema": empty}));
            }
            ProviderKind::Gemini => {
                assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
                let call = json!({"name": "weather", "args": {"city": "Oslo"}});
                let result = json!({"name": "weather", "response": {"degrees": -4}});
                // The signature has come back, though the client knows only of an id.
                let turns = json!([
                    {"role": "user", "parts": [{"text": "Weather in Oslo?"}]},
                    {"role": "model", "parts": [{"functionCall": call, "thoughtSignature": "c2lnbmF0dXJl+/="}]},
                    {"role": "user", "parts": [{"functionResponse": result}]},
                ]);
                assert_eq!(body["contents"], turns);
                let declared = &body["tools"][0]["functionDeclarations"];
                assert_eq!(declared[0]["parametersJsonSchema"]["required"], json!(["city"]));
                assert_eq!(declared[1], json!({"name": "time"}));
            }
        }
    }
}

#[tokio::test]
async fn several_calls_and_text_before_them() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let call_of = |name: &str, arguments: &[&str]| Beat::Call {
            name: name.into(),
            arguments: arguments.iter().map(|piece| (*piece).into()).collect(),
        };
        mock.push(Reply::beats(vec![
            Beat::Text("Let me see.".into()),
            call_of("weather", &["{\"city\":", "\"Oslo\"}"]),
            call_of("time", &[]),
            // Who speaks OpenAI's API does not always say that it calls.
            Beat::Finish(FinishReason::Stop),
        ]));
        let got = ask(&provider(&mock, kind), call(weather())).await;
        let choice = &got.choices[0];
        assert_eq!((choice.text.as_str(), choice.reason), ("Let me see.", Some(FinishReason::ToolCalls)), "{kind:?}");
        let names: Vec<_> = choice.calls.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["weather", "time"], "{kind:?}");
        assert_ne!(choice.calls[0].id, choice.calls[1].id, "{kind:?}");
        // A call without arguments has an empty object of them, but where OpenAI itself sends nothing.
        let nothing = if kind == ProviderKind::OpenAi { "" } else { "{}" };
        assert_eq!(choice.calls[1].arguments, nothing, "{kind:?}");
    }
}

#[tokio::test]
async fn results_of_several_calls_are_one_turn_where_they_must_be() {
    let calls = ["a", "b"].map(|id| ToolCall { id: id.into(), name: "time".into(), arguments: String::new() });
    let result = |id: &str| ChatMessage { tool_call: Some(id.into()), ..ChatMessage::new("tool", "noon") };
    let asking = ChatMessage { tool_calls: calls.to_vec(), ..ChatMessage::new("assistant", "Wait.") };
    let turns = vec![ChatMessage::new("user", "?"), asking, result("a"), result("b"), ChatMessage::new("user", "So?")];
    let request = Request { input: Input::Chat(turns), ..weather() };
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        assert_eq!(ask(&provider(&mock, kind), call(request.clone())).await.failure, None);
        let body = &mock.asked()[0].body;
        let shape = |key: &str, parts: &str| -> Vec<(String, usize)> {
            let turns = body[key].as_array().unwrap().iter();
            turns
                .map(|turn| (turn["role"].as_str().unwrap().to_owned(), turn[parts].as_array().unwrap().len()))
                .collect()
        };
        let expected = |answer: &str| vec![("user".to_owned(), 1), (answer.to_owned(), 3), ("user".to_owned(), 3)];
        match kind {
            ProviderKind::OpenAi => assert_eq!(body["messages"].as_array().unwrap().len(), 5),
            ProviderKind::Anthropic => assert_eq!(shape("messages", "content"), expected("assistant")),
            ProviderKind::Gemini => assert_eq!(shape("contents", "parts"), expected("model")),
        }
    }
}

#[tokio::test]
async fn choices_of_tools_in_each_tongue() {
    let named = || ToolChoice::Named("time".into());
    let function = json!({"type": "function", "function": {"name": "time"}});
    for (choice, openai, anthropic, gemini) in [
        (ToolChoice::None, json!("none"), json!({"type": "none"}), json!({"mode": "NONE"})),
        (ToolChoice::Auto, json!("auto"), json!({"type": "auto"}), json!({"mode": "AUTO"})),
        (ToolChoice::Required, json!("required"), json!({"type": "any"}), json!({"mode": "ANY"})),
        (
            named(),
            function,
            json!({"type": "tool", "name": "time"}),
            json!({"mode": "ANY", "allowedFunctionNames": ["time"]}),
        ),
    ] {
        for (kind, path, expected) in [
            (ProviderKind::OpenAi, "/tool_choice", &openai),
            (ProviderKind::Anthropic, "/tool_choice", &anthropic),
            (ProviderKind::Gemini, "/toolConfig/functionCallingConfig", &gemini),
        ] {
            let mock = Mock::start().await.unwrap();
            let mut request = weather();
            request.tools.choice = Some(choice.clone());
            ask(&provider(&mock, kind), call(request)).await;
            assert_eq!(mock.asked()[0].body.pointer(path), Some(expected), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn one_call_at_a_time_where_the_api_has_it() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let mut request = weather();
        request.tools.parallel = Some(false);
        let got = ask(&provider(&mock, kind), call(request)).await;
        match kind {
            ProviderKind::OpenAi => assert_eq!(mock.asked()[0].body["parallel_tool_calls"], false),
            ProviderKind::Anthropic => {
                let expected = json!({"type": "auto", "disable_parallel_tool_use": true});
                assert_eq!(mock.asked()[0].body["tool_choice"], expected);
            }
            ProviderKind::Gemini => {
                let failure = got.failure.unwrap();
                assert_eq!(failure.field.as_deref(), Some("parallel_tool_calls"));
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_json_is_named_before_anybody_is_asked() {
    for kind in KINDS {
        let mock = Mock::start().await.unwrap();
        let mut request = weather();
        request.tools.list[1].parameters = Some("{".into());
        let failure = fail(&provider(&mock, kind), call(request)).await;
        let field = failure.field.as_deref();
        assert_eq!((failure.kind, field), (FailureKind::Invalid, Some("tools[1].function.parameters")), "{kind:?}");
        if kind != ProviderKind::OpenAi {
            let mut request = weather();
            let made = ToolCall { id: "a".into(), name: "time".into(), arguments: "{\"a\"".into() };
            let turn = ChatMessage { tool_calls: vec![made], ..ChatMessage::new("assistant", "") };
            let Input::Chat(turns) = &mut request.input else { panic!("no chat") };
            turns.push(turn);
            let failure = fail(&provider(&mock, kind), call(request)).await;
            assert_eq!(failure.field.as_deref(), Some("messages[2].tool_calls"), "{kind:?}");
        }
        assert!(mock.asked().is_empty());
    }
}

#[tokio::test]
async fn a_result_without_its_call_is_named() {
    for (kind, tool_call) in
        [(ProviderKind::OpenAi, None), (ProviderKind::Anthropic, None), (ProviderKind::Gemini, Some("nobody"))]
    {
        let mock = Mock::start().await.unwrap();
        let turn = ChatMessage { tool_call: tool_call.map(str::to_owned), ..ChatMessage::new("tool", "noon") };
        let request = Request { input: Input::Chat(vec![ChatMessage::new("user", "?"), turn]), ..weather() };
        let failure = fail(&provider(&mock, kind), call(request)).await;
        assert_eq!(failure.field.as_deref(), Some("messages[1].tool_call_id"), "{kind:?}");
    }
}

/// An id that one provider has made must do at another, when it stands in.
#[tokio::test]
async fn regression_ids_of_one_api_are_taken_by_the_others() {
    let gemini = Mock::start().await.unwrap();
    gemini.push(Reply::call("time", &["{}"]));
    let got = ask(&provider(&gemini, ProviderKind::Gemini), call(weather())).await;
    let made = got.choices[0].calls[0].clone();
    let result = ChatMessage { tool_call: Some(made.id.clone()), ..ChatMessage::new("tool", "noon") };
    let asking = ChatMessage { tool_calls: vec![made], ..ChatMessage::new("assistant", "") };
    let request = Request { input: Input::Chat(vec![ChatMessage::new("user", "?"), asking, result]), ..weather() };
    for (kind, made, told) in [
        (ProviderKind::OpenAi, "/messages/1/tool_calls/0/id", "/messages/2/tool_call_id"),
        (ProviderKind::Anthropic, "/messages/1/content/0/id", "/messages/2/content/0/tool_use_id"),
    ] {
        let mock = Mock::start().await.unwrap();
        ask(&provider(&mock, kind), call(request.clone())).await;
        let body = &mock.asked()[0].body;
        let id = body.pointer(made).and_then(Value::as_str).unwrap();
        assert!(id.len() <= 40 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{id}");
        assert_eq!(body.pointer(told).and_then(Value::as_str), Some(id), "{kind:?}");
    }
}

/// Some who speak OpenAI's API number no calls, or say id and name with each piece.
#[tokio::test]
async fn calls_as_others_stream_them() {
    let chunk =
        |calls: Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}));
    let unnumbered = [
        json!([{"id": "a", "function": {"name": "weather", "arguments": "{\"city\":"}}]),
        json!([{"function": {"arguments": "\"Oslo\"}"}}]),
        json!([{"id": "b", "function": {"name": "time", "arguments": "{}"}}]),
    ];
    let repeated = [
        json!([{"index": 0, "id": "a", "function": {"name": "weather", "arguments": "{\"city\":"}}]),
        json!([{"index": 0, "id": "a", "function": {"name": "weather", "arguments": "\"Oslo\"}"}}]),
        json!([{"index": 7, "id": "b", "function": {"name": "time", "arguments": "{}"}}]),
    ];
    for chunks in [unnumbered, repeated] {
        let mock = Mock::start().await.unwrap();
        let beats = chunks.into_iter().map(|calls| Beat::Raw(chunk(calls)));
        mock.push(Reply::beats(beats.chain([Beat::Finish(FinishReason::ToolCalls)]).collect()));
        let got = ask(&provider(&mock, ProviderKind::OpenAi), call(weather())).await;
        let made = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        let expected = [made("a", "weather", "{\"city\":\"Oslo\"}"), made("b", "time", "{}")];
        assert_eq!(got.choices[0].calls, expected, "{:?}", got.failure);
    }
}
