//! Prompts of a file, a JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use policy::complexity::Prompt;
use policy::complexity::calibrate::Label;
use protocol::request::{ChatMessage, Input, Tools};
use serde_json::Value;

use super::shown;
use crate::failure::Failure;

/// The longest line: what fits a request.
const MAX_LINE: u64 = 8 << 20;
/// The most prompts; more make no threshold better.
const MAX_PROMPTS: usize = 200_000;
/// The most bytes of all.
const MAX_BYTES: u64 = 1 << 30;

/// A prompt of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Own(Input);

impl Own {
    pub(super) fn view(&self) -> Prompt<'_> {
        Prompt::of(&self.0, &Tools::default())
    }
}

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(super) struct Prompts {
    pub(super) prompts: Vec<Own>,
    /// One for each, or none at all.
    pub(super) labels: Vec<Label>,
}

/// All of them.
///
/// # Errors
/// The file cannot be read, or a line is no prompt.
pub(super) fn read(path: &Path) -> Result<Prompts, Failure> {
    let cannot = |error: std::io::Error| Failure::Usage(format!("{}: {error}", shown(path)));
    parse(BufReader::new(File::open(path).map_err(cannot)?), path)
}

pub(super) fn parse(mut lines: impl BufRead, path: &Path) -> Result<Prompts, Failure> {
    let mut found = Prompts { prompts: Vec::new(), labels: Vec::new() };
    let mut bytes = 0;
    for number in 1_u64.. {
        let fault = |what: String| Failure::Usage(format!("{} line {number}: {what}", shown(path)));
        let mut line = Vec::new();
        let read = lines.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|error| fault(error.to_string()))? as u64;
        if read == 0 {
            break;
        }
        bytes += read;
        if read > MAX_LINE {
            return Err(fault(format!("has more than {MAX_LINE} bytes: shorten the prompt")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = serde_json::from_slice(&line).map_err(|error| fault(format!("is no JSON: {error}")))?;
        let input = input(&value).ok_or_else(|| {
            fault("has no text: give `prompt` or `question`, or `messages` with role and content".to_owned())
        })?;
        found.prompts.push(Own(input));
        found.labels.extend(label(&value).map_err(fault)?);
        if found.prompts.len() > MAX_PROMPTS || bytes > MAX_BYTES {
            return Err(fault(format!(
                "the file has more than {MAX_PROMPTS} prompts or {MAX_BYTES} bytes: take a sample of it"
            )));
        }
    }
    let (prompts, labels) = (found.prompts.len(), found.labels.len());
    if prompts == 0 {
        return Err(Failure::Usage(format!("{} holds no prompt: give one JSON object a line", shown(path))));
    }
    if labels != 0 && labels != prompts {
        return Err(Failure::Usage(format!(
            "{}: {labels} of {prompts} prompts have `small` and `large`: give them to all or to none",
            shown(path)
        )));
    }
    Ok(found)
}

fn input(value: &Value) -> Option<Input> {
    let text = ["prompt", "question"].iter().find_map(|key| value.get(*key)?.as_str());
    if let Some(text) = text {
        return Some(Input::Text(text.to_owned()));
    }
    let messages = value.get("messages")?.as_array().filter(|messages| !messages.is_empty())?;
    let message = |message: &Value| {
        let role = message.get("role")?.as_str()?;
        Some(ChatMessage::new(role, content(message.get("content").unwrap_or(&Value::Null))?))
    };
    messages.iter().map(message).collect::<Option<Vec<_>>>().map(Input::Chat)
}

/// A string, or a list of parts of which the texts count; nothing where a message only calls functions.
fn content(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

fn label(value: &Value) -> Result<Option<Label>, String> {
    let of = |key: &str| match value.get(key) {
        None => Ok(None),
        Some(number) => {
            let within = number.as_f64().filter(|number| (0.0..=1.0).contains(number));
            within.map(Some).ok_or_else(|| format!("`{key}` is {number}: give a number from 0 to 1"))
        }
    };
    Ok(of("small")?.zip(of("large")?).map(|(small, large)| Label { small, large }))
}
