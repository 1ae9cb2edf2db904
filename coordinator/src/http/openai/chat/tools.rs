//! Functions that a model may call: `tools`, `tool_choice`, `parallel_tool_calls`.
//!
//! Whether the model can call any is not known here.

use std::collections::BTreeSet;

use protocol::account::shown;
use protocol::request::{MAX_TOOLS, Tool, ToolChoice, Tools};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::openai::error::{ApiError, to_json};

/// The most characters of a function's name, as OpenAI has it.
const MAX_NAME: usize = 64;

/// A tool as it is offered. Its type was checked with its fields.
#[derive(Deserialize)]
pub(super) struct Offered {
    r#type: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    description: Option<String>,
    /// A JSON schema: passed on as it is.
    parameters: Option<Map<String, Value>>,
    strict: Option<bool>,
}

/// What the model may call, and what it must.
///
/// # Errors
/// What is missing, out of range, or does not fit together, by path.
pub(super) fn read(
    offered: Option<Vec<Offered>>,
    choice: Option<Value>,
    parallel: Option<bool>,
) -> Result<Tools, ApiError> {
    let offered = offered.unwrap_or_default();
    if offered.len() > MAX_TOOLS {
        let message = format!("tools has {} tools: offer at most {MAX_TOOLS}", offered.len());
        return Err(ApiError::invalid("tools", message));
    }
    let list = offered.into_iter().enumerate().map(tool).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    for (i, tool) in list.iter().enumerate() {
        if !names.insert(tool.name.as_str()) {
            let path = format!("tools[{i}].function.name");
            let message = format!("{path} is '{}', as of an earlier tool: give each a name of its own", tool.name);
            return Err(ApiError::invalid(path, message));
        }
    }
    let choice = choice.filter(|choice| !choice.is_null()).map(chosen).transpose()?;
    if list.is_empty() {
        // With nothing to choose from, `auto` is `none`.
        return match choice {
            None | Some(ToolChoice::None | ToolChoice::Auto) => Ok(Tools::default()),
            Some(ToolChoice::Required | ToolChoice::Named(_)) => Err(ApiError::invalid(
                "tool_choice",
                "tool_choice wants a call, but there are no tools: offer some, or leave it out",
            )),
        };
    }
    if let Some(ToolChoice::Named(name)) = &choice
        && !names.contains(name.as_str())
    {
        let path = "tool_choice.function.name";
        let message = format!("{path} is {}, which no tool has: name one of tools", shown(name));
        return Err(ApiError::invalid(path, message));
    }
    Ok(Tools { list, choice, parallel })
}

fn tool((i, given): (usize, Offered)) -> Result<Tool, ApiError> {
    let at = format!("tools[{i}]");
    if given.r#type.is_none() {
        let path = format!("{at}.type");
        return Err(ApiError::missing(path.clone(), format!("{path} is missing: set it to 'function'")));
    }
    let missing = |path: String| {
        let message =
            format!("{path} is missing: send tools as {{\"type\": \"function\", \"function\": {{\"name\": ...}}}}");
        ApiError::missing(path, message)
    };
    let function = given.function.ok_or_else(|| missing(format!("{at}.function")))?;
    let path = format!("{at}.function.name");
    let name = function.name.ok_or_else(|| missing(path.clone()))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        let message =
            format!("{path} is {}: use 1 to {MAX_NAME} letters, digits, underscores and dashes", shown(&name));
        return Err(ApiError::invalid(path, message));
    }
    let parameters = function.parameters.map(|schema| to_json(&schema));
    Ok(Tool { name, description: function.description, parameters, strict: function.strict })
}

fn chosen(choice: Value) -> Result<ToolChoice, ApiError> {
    let remedy = "choose none, auto, required, or {\"type\": \"function\", \"function\": {\"name\": ...}}";
    match choice {
        Value::String(word) => match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => Ok(ToolChoice::Required),
            _ => Err(ApiError::invalid("tool_choice", format!("tool_choice is {}: {remedy}", shown(&word)))),
        },
        Value::Object(fields) => {
            let name = fields.get("function").and_then(|function| function.get("name")).and_then(Value::as_str);
            match (fields.get("type").and_then(Value::as_str), name) {
                (Some("function"), Some(name)) => Ok(ToolChoice::Named(name.to_owned())),
                _ => Err(ApiError::invalid("tool_choice", format!("tool_choice names no function: {remedy}"))),
            }
        }
        _ => Err(ApiError::invalid("tool_choice", format!("tool_choice is neither a word nor an object: {remedy}"))),
    }
}
