//! Google's `generateContent`.
//!
//! Rules: system messages are gathered in front; turns of one role that follow each other become one; calls have no
//! ids there, so ids are made up, and a result finds the name of its function by the call in the conversation. The
//! signature that newer models put on a call, and want back, travels in its id.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::request::{ChatMessage, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::{Ask, Written, arguments, plain, schema, unknown_role};
use crate::call::Failure;

mod reader;

pub(super) use reader::Reader;

/// What stands between a made-up id and the signature.
const MARK: &str = ".sig.";

pub(super) fn write(ask: &Ask<'_>) -> Result<Written, Failure> {
    let chat = ask.chat()?;
    let mut body = Map::new();
    let is_system = |turn: &ChatMessage| matches!(turn.role.as_str(), "system" | "developer");
    let text = |turn: &ChatMessage| json!({"text": turn.content});
    let system: Vec<_> = chat.iter().filter(|turn| is_system(turn)).map(text).collect();
    if !system.is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": system}));
    }
    let mut contents: Vec<(&str, Vec<Value>)> = Vec::new();
    let mut names = BTreeMap::new();
    for (place, turn) in chat.iter().enumerate().filter(|(_, turn)| !is_system(turn)) {
        let role = match turn.role.as_str() {
            "user" | "tool" => "user",
            "assistant" => "model",
            other => return Err(unknown_role(place, other)),
        };
        names.extend(turn.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str())));
        let parts = parts(ask, place, turn, &names)?;
        match contents.last_mut() {
            Some((last, all)) if *last == role => all.extend(parts),
            _ if parts.is_empty() => {}
            _ => contents.push((role, parts)),
        }
    }
    if contents.is_empty() {
        return Err(Failure::invalid("messages", "holds nothing but system messages: ask something"));
    }
    let contents: Vec<_> = contents.into_iter().map(|(role, parts)| json!({"role": role, "parts": parts})).collect();
    body.insert("contents".into(), contents.into());
    body.insert("generationConfig".into(), params(ask));
    tools(ask, &mut body)?;
    let model = if ask.model.contains('/') { ask.model.to_owned() } else { format!("models/{}", ask.model) };
    let path = format!("{model}:streamGenerateContent?alt=sse");
    Ok(Written { path, body: body.into(), reader: super::Reader::Gemini(Reader::new(ask.nonce)) })
}

fn parts(ask: &Ask<'_>, place: usize, turn: &ChatMessage, names: &BTreeMap<&str, &str>) -> Result<Vec<Value>, Failure> {
    if turn.role == "tool" {
        let call = turn.tool_call.as_deref();
        let name = call.and_then(|call| names.get(call)).ok_or_else(|| {
            let problem = "names no call of the conversation before it: send the assistant's message with the call too";
            Failure::invalid(format!("messages[{place}].tool_call_id"), problem)
        })?;
        let response = match serde_json::from_str(&turn.content) {
            Ok(object @ Value::Object(_)) => object,
            Ok(other) => json!({"result": other}),
            Err(_) => json!({"result": turn.content}),
        };
        return Ok(vec![json!({"functionResponse": {"name": name, "response": response}})]);
    }
    let mut parts = Vec::new();
    if !turn.content.is_empty() {
        parts.push(match turn.name.as_deref().filter(|_| turn.role == "user" && !ask.drops("name")) {
            Some(name) => json!({"text": format!("{name}: {}", turn.content)}),
            None => json!({"text": turn.content}),
        });
    }
    for call in &turn.tool_calls {
        let args = arguments(place, &call.arguments)?;
        let mut part = json!({"functionCall": {"name": call.name, "args": args}});
        if let (Some(signature), Some(part)) = (signature(&call.id), part.as_object_mut()) {
            part.insert("thoughtSignature".into(), signature.into());
        }
        parts.push(part);
    }
    Ok(parts)
}

/// An id that is made up, with the signature in it.
fn signed(id: String, signature: Option<&str>) -> String {
    match signature {
        Some(signature) => format!("{id}{MARK}{}", URL_SAFE_NO_PAD.encode(signature)),
        None => id,
    }
}

/// The signature in an id that [`signed`] has made.
fn signature(id: &str) -> Option<String> {
    let (_, text) = id.split_once(MARK)?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn params(ask: &Ask<'_>) -> Value {
    let params = &ask.request.params;
    let all = [
        ("maxOutputTokens", "max_tokens", Some(ask.max_tokens.0.into())),
        ("candidateCount", "n", params.n.filter(|n| *n > 1).map(Value::from)),
        ("temperature", "temperature", params.temperature.map(plain)),
        ("topP", "top_p", params.top_p.map(plain)),
        ("topK", "top_k", params.top_k.filter(|k| *k > 0).map(Value::from)),
        ("presencePenalty", "presence_penalty", params.presence_penalty.filter(|p| *p != 0.0).map(plain)),
        ("frequencyPenalty", "frequency_penalty", params.frequency_penalty.filter(|p| *p != 0.0).map(plain)),
        ("stopSequences", "stop", (!params.stop.is_empty()).then(|| params.stop.as_slice().into())),
        // It has 31 bits there.
        ("seed", "seed", params.seed.map(|seed| (seed & 0x7fff_ffff).into())),
    ];
    let sent = all.into_iter().filter(|(_, name, _)| ask.sends(name));
    sent.filter_map(|(key, _, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>().into()
}

fn tools(ask: &Ask<'_>, body: &mut Map<String, Value>) -> Result<(), Failure> {
    let tools = &ask.request.tools;
    if tools.list.is_empty() {
        return Ok(());
    }
    let list: Result<Vec<_>, _> = tools.list.iter().enumerate().map(|(place, tool)| function(place, tool)).collect();
    body.insert("tools".into(), json!([{"functionDeclarations": list?}]));
    let calling = match &tools.choice {
        None => return Ok(()),
        Some(ToolChoice::None) => json!({"mode": "NONE"}),
        Some(ToolChoice::Auto) => json!({"mode": "AUTO"}),
        Some(ToolChoice::Required) => json!({"mode": "ANY"}),
        Some(ToolChoice::Named(name)) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    body.insert("toolConfig".into(), json!({"functionCallingConfig": calling}));
    Ok(())
}

fn function(place: usize, tool: &Tool) -> Result<Value, Failure> {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        function.insert("description".into(), description.as_str().into());
    }
    if let Some(schema) = schema(place, tool)? {
        function.insert("parametersJsonSchema".into(), schema);
    }
    Ok(function.into())
}
