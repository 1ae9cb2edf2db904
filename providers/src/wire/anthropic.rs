//! Anthropic's messages.
//!
//! Rules: system messages are gathered in front, since they stand apart there; turns of one role that follow each
//! other become one, as results of calls must; empty texts are left out, since they are refused.

use protocol::request::{ChatMessage, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::{Ask, Written, arguments, plain, plain_id, schema, unknown_role};
use crate::call::Failure;

mod reader;

pub(super) use reader::Reader;

pub(super) fn write(ask: &Ask<'_>) -> Result<Written, Failure> {
    let chat = ask.chat()?;
    let mut body = Map::new();
    body.insert("model".into(), ask.model.into());
    body.insert("stream".into(), true.into());
    body.insert("max_tokens".into(), ask.max_tokens.0.into());
    let system: Vec<&str> = chat.iter().filter(|turn| is_system(turn)).map(|turn| turn.content.as_str()).collect();
    if !system.is_empty() {
        body.insert("system".into(), system.join("\n\n").into());
    }
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for (place, turn) in chat.iter().enumerate().filter(|(_, turn)| !is_system(turn)) {
        let role = match turn.role.as_str() {
            "user" | "tool" => "user",
            "assistant" => "assistant",
            other => return Err(unknown_role(place, other)),
        };
        let blocks = blocks(ask, place, turn)?;
        match messages.last_mut() {
            Some((last, all)) if *last == role => all.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => messages.push((role, blocks)),
        }
    }
    if messages.is_empty() {
        return Err(Failure::invalid("messages", "holds nothing but system messages: ask something"));
    }
    let cut = cut_end(&mut messages);
    let messages: Vec<_> =
        messages.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    body.insert("messages".into(), messages.into());
    params(ask, &mut body);
    tools(ask, &mut body)?;
    let reader = super::Reader::Anthropic(Reader::new(cut));
    Ok(Written { path: "messages".into(), body: body.into(), reader })
}

fn is_system(turn: &ChatMessage) -> bool {
    matches!(turn.role.as_str(), "system" | "developer")
}

fn blocks(ask: &Ask<'_>, place: usize, turn: &ChatMessage) -> Result<Vec<Value>, Failure> {
    if turn.role == "tool" {
        let call = turn.tool_call.as_deref().ok_or_else(|| {
            Failure::invalid(format!("messages[{place}].tool_call_id"), "is missing: name the call whose result it is")
        })?;
        return Ok(vec![json!({"type": "tool_result", "tool_use_id": plain_id(call), "content": turn.content})]);
    }
    let mut blocks = Vec::new();
    if !turn.content.is_empty() {
        let text = match turn.name.as_deref().filter(|_| turn.role == "user" && !ask.drops("name")) {
            Some(name) => format!("{name}: {}", turn.content),
            None => turn.content.clone(),
        };
        blocks.push(json!({"type": "text", "text": text}));
    }
    for call in &turn.tool_calls {
        let input = arguments(place, &call.arguments)?;
        blocks.push(json!({"type": "tool_use", "id": plain_id(&call.id), "name": call.name, "input": input}));
    }
    Ok(blocks)
}

/// Takes the blanks off the end of an answer that is to go on, since they are refused there; they are what the
/// answer then begins with.
fn cut_end(messages: &mut Vec<(&str, Vec<Value>)>) -> String {
    let Some(("assistant", blocks)) = messages.last_mut() else { return String::new() };
    let Some(Value::String(text)) = blocks.last_mut().and_then(|block| block.get_mut("text")) else {
        return String::new();
    };
    let kept = text.trim_end().len();
    let cut = text.split_off(kept);
    if text.is_empty() {
        blocks.pop();
    }
    if blocks.is_empty() {
        messages.pop();
    }
    cut
}

fn params(ask: &Ask<'_>, body: &mut Map<String, Value>) {
    let params = &ask.request.params;
    for (key, name, value) in [
        ("temperature", "temperature", params.temperature.map(plain)),
        ("top_p", "top_p", params.top_p.map(plain)),
        ("top_k", "top_k", params.top_k.filter(|k| *k > 0).map(Value::from)),
        ("stop_sequences", "stop", (!params.stop.is_empty()).then(|| params.stop.as_slice().into())),
    ] {
        if let Some(value) = value.filter(|_| ask.sends(name)) {
            body.insert(key.to_owned(), value);
        }
    }
}

fn tools(ask: &Ask<'_>, body: &mut Map<String, Value>) -> Result<(), Failure> {
    let tools = &ask.request.tools;
    if tools.list.is_empty() {
        return Ok(());
    }
    let list: Result<Vec<_>, _> =
        tools.list.iter().enumerate().map(|(place, tool)| function(ask, place, tool)).collect();
    body.insert("tools".into(), list?.into());
    let mut choice = match &tools.choice {
        Some(ToolChoice::None) => json!({"type": "none"}),
        Some(ToolChoice::Required) => json!({"type": "any"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        None if tools.parallel.is_none() => return Ok(()),
        None => json!({"type": "auto"}),
    };
    if let (Some(parallel), Some(choice)) = (tools.parallel, choice.as_object_mut())
        && tools.choice != Some(ToolChoice::None)
    {
        choice.insert("disable_parallel_tool_use".into(), (!parallel).into());
    }
    body.insert("tool_choice".into(), choice);
    Ok(())
}

fn function(ask: &Ask<'_>, place: usize, tool: &Tool) -> Result<Value, Failure> {
    let schema = schema(place, tool)?.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    let mut function = Map::new();
    function.insert("name".into(), tool.name.as_str().into());
    function.insert("input_schema".into(), schema);
    if let Some(description) = &tool.description {
        function.insert("description".into(), description.as_str().into());
    }
    if tool.strict == Some(true) && !ask.drops("strict") {
        function.insert("strict".into(), true.into());
    }
    Ok(function.into())
}
