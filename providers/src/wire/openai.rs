//! OpenAI's chat completions, and its older completions for plain text; what all who speak them understand.

use protocol::request::{ChatMessage, Input, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::{Ask, Written, plain, plain_id, schema, unknown_role};
use crate::call::Failure;

mod reader;

pub(super) use reader::Reader;

pub(super) fn write(ask: &Ask<'_>) -> Result<Written, Failure> {
    let mut body = Map::new();
    body.insert("model".into(), ask.model.into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({"include_usage": true}));
    let path = match &ask.request.input {
        Input::Text(text) => {
            if ask.request.params.logprobs.is_some() {
                return Err(Failure::invalid("logprobs", "of plain text are not handed on: send messages"));
            }
            body.insert("prompt".into(), text.as_str().into());
            body.insert("max_tokens".into(), ask.max_tokens.0.into());
            "completions"
        }
        _ => {
            let chat = ask.chat()?;
            let messages: Result<Vec<_>, _> =
                chat.iter().enumerate().map(|(place, turn)| message(ask, place, turn)).collect();
            body.insert("messages".into(), messages?.into());
            // OpenAI's newer models take only the one, and most who speak its API only the other.
            let longest = if is_openai(ask) { "max_completion_tokens" } else { "max_tokens" };
            body.insert(longest.into(), ask.max_tokens.0.into());
            if ask.config.vllm && ask.config.prefill && chat.last().is_some_and(|last| last.role == "assistant") {
                body.insert("continue_final_message".into(), true.into());
                body.insert("add_generation_prompt".into(), false.into());
            }
            tools(ask, &mut body)?;
            "chat/completions"
        }
    };
    params(ask, &mut body);
    Ok(Written { path: path.to_owned(), body: body.into(), reader: super::Reader::OpenAi(Reader::default()) })
}

/// Whether it is OpenAI itself, or its models at Azure.
fn is_openai(ask: &Ask<'_>) -> bool {
    let base = ask.config.base.as_deref().unwrap_or(ask.config.kind.base());
    let host = base.split("://").nth(1).unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
    ["openai.com", "openai.azure.com"]
        .iter()
        .any(|known| host.strip_suffix(known).is_some_and(|front| front.is_empty() || front.ends_with('.')))
}

fn params(ask: &Ask<'_>, body: &mut Map<String, Value>) {
    let params = &ask.request.params;
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|_| ask.sends(key)) {
            body.insert(key.to_owned(), value);
        }
    };
    put("n", params.n.filter(|n| *n > 1).map(Value::from));
    put("temperature", params.temperature.map(plain));
    put("top_p", params.top_p.map(plain));
    put("presence_penalty", params.presence_penalty.map(plain));
    put("frequency_penalty", params.frequency_penalty.map(plain));
    // It is a signed number there.
    put("seed", params.seed.map(|seed| Value::from(seed & (u64::MAX >> 1))));
    put("stop", (!params.stop.is_empty()).then(|| params.stop.as_slice().into()));
    let biases: Map<_, _> = params.logit_bias.iter().map(|(token, bias)| (token.to_string(), plain(*bias))).collect();
    put("logit_bias", (!biases.is_empty()).then(|| biases.into()));
    put("logprobs", params.logprobs.map(|_| true.into()));
    let top = params.logprobs.filter(|top| *top > 0 && ask.sends("logprobs"));
    put("top_logprobs", top.map(Value::from));
    put("top_k", params.top_k.map(Value::from));
    put("min_p", params.min_p.map(plain));
    put("repetition_penalty", params.repetition_penalty.map(plain));
    put("min_tokens", params.min_tokens.map(Value::from));
    let ids: Vec<_> = params.stop_token_ids.iter().map(|token| token.0).collect();
    put("stop_token_ids", (!ids.is_empty()).then(|| ids.into()));
    put("ignore_eos", params.ignore_eos.then(|| true.into()));
}

fn message(ask: &Ask<'_>, place: usize, turn: &ChatMessage) -> Result<Value, Failure> {
    let mut out = Map::new();
    out.insert("role".into(), turn.role.as_str().into());
    out.insert("content".into(), turn.content.as_str().into());
    match turn.role.as_str() {
        "tool" => {
            let call = turn.tool_call.as_deref().ok_or_else(|| {
                Failure::invalid(
                    format!("messages[{place}].tool_call_id"),
                    "is missing: name the call whose result it is",
                )
            })?;
            out.insert("tool_call_id".into(), plain_id(call).into());
            return Ok(out.into());
        }
        "assistant" if !turn.tool_calls.is_empty() => {
            if turn.content.is_empty() {
                out.insert("content".into(), Value::Null);
            }
            let calls = turn.tool_calls.iter().map(|call| {
                let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                json!({
                    "id": plain_id(&call.id),
                    "type": "function",
                    "function": {"name": call.name, "arguments": arguments},
                })
            });
            out.insert("tool_calls".into(), calls.collect());
        }
        "system" | "developer" | "user" | "assistant" => {}
        other => return Err(unknown_role(place, other)),
    }
    if let Some(name) = turn.name.as_deref().filter(|_| !ask.drops("name")) {
        out.insert("name".into(), name.into());
    }
    Ok(out.into())
}

fn tools(ask: &Ask<'_>, body: &mut Map<String, Value>) -> Result<(), Failure> {
    let tools = &ask.request.tools;
    if tools.list.is_empty() {
        return Ok(());
    }
    let list: Result<Vec<_>, _> =
        tools.list.iter().enumerate().map(|(place, tool)| function(ask, place, tool)).collect();
    body.insert("tools".into(), list?.into());
    if let Some(choice) = &tools.choice {
        let choice = match choice {
            ToolChoice::None => "none".into(),
            ToolChoice::Auto => "auto".into(),
            ToolChoice::Required => "required".into(),
            ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        };
        body.insert("tool_choice".into(), choice);
    }
    if let Some(parallel) = tools.parallel.filter(|_| !ask.drops("parallel_tool_calls")) {
        body.insert("parallel_tool_calls".into(), parallel.into());
    }
    Ok(())
}

fn function(ask: &Ask<'_>, place: usize, tool: &Tool) -> Result<Value, Failure> {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        function.insert("description".into(), description.as_str().into());
    }
    if let Some(schema) = schema(place, tool)? {
        function.insert("parameters".into(), schema);
    }
    if let Some(strict) = tool.strict.filter(|_| !ask.drops("strict")) {
        function.insert("strict".into(), strict.into());
    }
    Ok(json!({"type": "function", "function": function}))
}
