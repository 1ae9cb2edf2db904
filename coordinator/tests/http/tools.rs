//! Functions: offered, called, answered, whole and streamed.

use protocol::answer::{Answer, CallDelta, Delta, FinishReason};
use protocol::request::{ChatMessage, Input, Request, Tool, ToolCall, ToolChoice, Tools};
use serde_json::{Value, json};

use crate::bad_input::refused;
use crate::fake::{Fake, Script, Seen, delta, done, started};
use crate::support::{CHAT, body, door, post_json};

/// An answer that calls two functions, in pieces as providers send them.
pub(crate) fn calls(text: Option<&str>) -> Vec<Answer> {
    let piece = |index, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let call = CallDelta {
            index,
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        };
        Answer::Delta(Delta { choice: 0, text: String::new(), logprobs: Vec::new(), calls: vec![call] })
    };
    let mut pieces = vec![started()];
    pieces.extend(text.map(|text| delta(0, text)));
    pieces.extend([
        piece(0, Some("call_1"), Some("weather"), ""),
        piece(0, None, None, "{\"city\":"),
        piece(0, None, None, "\"Rome\"}"),
        piece(1, Some("call_2"), Some("time"), "{}"),
        Answer::Finished { choice: 0, reason: FinishReason::ToolCalls },
        done(1),
    ]);
    pieces
}

pub(crate) fn calling(text: Option<&'static str>) -> (std::sync::Arc<Fake>, Seen) {
    Fake::new(move |_| Script::Pieces(calls(text)))
}

fn weather() -> Value {
    json!({"type": "function", "function": {
        "name": "weather", "description": "How it is there.", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }})
}

/// What the service was asked.
async fn asked(extra: Value) -> Request {
    let (fake, mut seen) = calling(None);
    let got = post_json(&door(&fake), CHAT, &body(CHAT, extra)).await;
    assert_eq!(got.status, 200, "{got:?}");
    seen.asked.try_recv().unwrap()
}

#[tokio::test]
async fn a_whole_answer_has_its_calls() {
    for (text, content) in [(None, Value::Null), (Some("Let me see."), json!("Let me see."))] {
        let (fake, _seen) = calling(text);
        let json = post_json(&door(&fake), CHAT, &body(CHAT, json!({"tools": [weather()]}))).await.json();
        let expected = json!({"role": "assistant", "content": content, "refusal": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ]});
        assert_eq!(json["choices"][0]["message"], expected);
        assert_eq!(json["choices"][0]["finish_reason"], "tool_calls");
    }
}

#[tokio::test]
async fn a_stream_has_the_pieces_of_its_calls() {
    let (fake, _seen) = calling(None);
    let extra = json!({"tools": [weather()], "stream": true});
    let chunks = post_json(&door(&fake), CHAT, &body(CHAT, extra)).await.chunks();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"tool_calls": [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
        ]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\":"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"Rome\"}"}}]}),
        json!({"tool_calls": [
            {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
        ]}),
        json!({}),
    ];
    assert_eq!(deltas, expected.iter().collect::<Vec<_>>());
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_filtered_answer_says_so() {
    let (fake, _seen) = Fake::new(|_| {
        let end = Answer::Finished { choice: 0, reason: FinishReason::ContentFilter };
        Script::Pieces(vec![started(), delta(0, "I"), end, done(1)])
    });
    let door = door(&fake);
    let json = post_json(&door, CHAT, &body(CHAT, json!({}))).await.json();
    assert_eq!(json["choices"][0]["finish_reason"], "content_filter");
    let chunks = post_json(&door, CHAT, &body(CHAT, json!({"stream": true}))).await.chunks();
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "content_filter");
}

#[tokio::test]
async fn tools_arrive_as_they_were_offered() {
    let named = json!({"type": "function", "function": {"name": "weather"}});
    for (choice, wanted) in [
        (Value::Null, None),
        (json!("none"), Some(ToolChoice::None)),
        (json!("auto"), Some(ToolChoice::Auto)),
        (json!("required"), Some(ToolChoice::Required)),
        (named, Some(ToolChoice::Named("weather".to_owned()))),
    ] {
        let request = asked(json!({"tools": [weather()], "tool_choice": choice, "parallel_tool_calls": false})).await;
        let [tool] = request.tools.list.as_slice() else { panic!("{request:?}") };
        let schema: Value = serde_json::from_str(tool.parameters.as_ref().unwrap()).unwrap();
        assert_eq!(schema, weather()["function"]["parameters"]);
        assert_eq!((tool.name.as_str(), tool.strict), ("weather", Some(true)));
        assert_eq!(tool.description.as_deref(), Some("How it is there."));
        assert_eq!((request.tools.choice, request.tools.parallel), (wanted, Some(false)));
    }
    let bare = json!({"type": "function", "function": {"name": "now"}});
    let request = asked(json!({ "tools": [bare] })).await;
    assert_eq!(request.tools.list, [Tool { name: "now".to_owned(), ..Tool::default() }]);
    let nothing = json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "functions": []});
    assert_eq!(asked(nothing).await.tools, Tools::default());
}

#[tokio::test]
async fn calls_and_their_results_arrive_with_the_conversation() {
    // As clients send back what they got, whole or put together from a stream.
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}});
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "refusal": null, "tool_calls": [call], "function_call": null},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "42"}]},
    ]);
    let Input::Chat(turns) = asked(json!({ "messages": messages })).await.input else { panic!("no chat") };
    let call = ToolCall { id: "call_1".to_owned(), name: "f".to_owned(), arguments: String::new() };
    let expected = [
        ChatMessage::new("user", "hi"),
        ChatMessage { tool_calls: vec![call], ..ChatMessage::new("assistant", "") },
        ChatMessage { tool_call: Some("call_1".to_owned()), ..ChatMessage::new("tool", "42") },
    ];
    assert_eq!(turns, expected);
}

#[tokio::test]
async fn wrong_tools_are_refused_by_path() {
    let tool = |function: Value| json!({"tools": [weather(), {"type": "function", "function": function}]});
    let many: Vec<Value> =
        (0..129).map(|i| json!({"type": "function", "function": {"name": format!("f{i}")}})).collect();
    for (extra, param, words) in [
        (json!({"tools": "all"}), "tools", "expected a list"),
        (json!({"tools": [7]}), "tools[0]", "expected an object"),
        (json!({"tools": many}), "tools", "has 129 tools: offer at most 128"),
        (json!({"tools": [{"function": {"name": "f"}}]}), "tools[0].type", "missing"),
        (json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}), "tools[0].type", "use 'function'"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function", "missing"),
        (json!({"tools": [{"type": "function", "functions": {}}]}), "tools[0].functions", "did you mean 'function'"),
        (tool(json!({})), "tools[1].function.name", "missing"),
        (tool(json!({"name": "a b"})), "tools[1].function.name", "letters, digits"),
        (tool(json!({"name": "x".repeat(65)})), "tools[1].function.name", "1 to 64"),
        (tool(json!({"name": "weather"})), "tools[1].function.name", "earlier tool"),
        (tool(json!({"name": "f", "parameters": "{}"})), "tools[1].function.parameters", "expected an object"),
        (tool(json!({"name": "f", "strict": "yes"})), "tools[1].function.strict", "true or false"),
        (tool(json!({"name": "f", "arguments": {}})), "tools[1].function.arguments", "unrecognized"),
        (json!({"tool_choice": "required"}), "tool_choice", "no tools"),
        (json!({"tools": [weather()], "tool_choice": "must"}), "tool_choice", "'must'"),
        (json!({"tools": [weather()], "tool_choice": 7}), "tool_choice", "neither a word"),
        (json!({"tools": [weather()], "tool_choice": {"type": "function"}}), "tool_choice", "names no function"),
        (
            json!({"tools": [weather()], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}),
            "tool_choice.type",
            "allowed_tools",
        ),
        (
            json!({"tools": [weather()], "tool_choice": {"type": "function", "function": {"name": "other"}}}),
            "tool_choice.function.name",
            "'other'",
        ),
        (json!({"tools": [weather()], "parallel_tool_calls": 1}), "parallel_tool_calls", "true or false"),
        (json!({"functions": [{"name": "f"}]}), "functions", "send tools instead"),
        (json!({"function_call": {"name": "f"}}), "function_call", "send tool_choice instead"),
    ] {
        refused(CHAT, extra, param, words).await;
    }
}

#[tokio::test]
async fn wrong_calls_and_results_are_refused_by_path() {
    let turns = |turn: Value| json!({"messages": [{"role": "user", "content": "x"}, turn]});
    let calls = |calls: Value| turns(json!({"role": "assistant", "content": null, "tool_calls": calls}));
    let at = |rest: &str| format!("messages[1].tool_calls{rest}");
    let many: Vec<Value> = (0..129).map(|_| json!({"id": "1", "function": {"name": "f", "arguments": ""}})).collect();
    for (extra, param, words) in [
        (calls(json!("f")), at(""), "expected a list"),
        (calls(json!(many)), at(""), "at most 128"),
        (calls(json!([{"function": {"name": "f", "arguments": ""}}])), at("[0].id"), "missing"),
        (calls(json!([{"id": "", "function": {"name": "f", "arguments": ""}}])), at("[0].id"), "missing"),
        (calls(json!([{"id": "1"}])), at("[0].function.name"), "missing"),
        (calls(json!([{"id": "1", "function": {"name": "f"}}])), at("[0].function.arguments"), "missing"),
        (
            calls(json!([{"id": "1", "function": {"name": "f", "arguments": {}}}])),
            at("[0].function.arguments"),
            "string",
        ),
        (calls(json!([{"id": "1", "type": "custom"}])), at("[0].type"), "use 'function'"),
        (
            turns(json!({"role": "user", "content": "x", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}},
            ]})),
            at(""),
            "only an assistant",
        ),
        (
            turns(json!({"role": "assistant", "content": "x", "function_call": {"name": "f"}})),
            "messages[1].function_call".to_owned(),
            "send tool_calls instead",
        ),
        (turns(json!({"role": "tool", "content": "42"})), "messages[1].tool_call_id".to_owned(), "missing"),
        (
            turns(json!({"role": "tool", "content": "42", "tool_call_id": "call_9"})),
            "messages[1].tool_call_id".to_owned(),
            "'call_9', but no earlier message",
        ),
        (
            turns(json!({"role": "user", "content": "42", "tool_call_id": "call_9"})),
            "messages[1].tool_call_id".to_owned(),
            "only role 'tool'",
        ),
        (turns(json!({"role": "function", "content": "42"})), "messages[1].role".to_owned(), "send role 'tool'"),
    ] {
        refused(CHAT, extra, &param, words).await;
    }
}
