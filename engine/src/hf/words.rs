//! Tokenizer and chat template of a Hugging Face folder.

use std::path::Path;

use protocol::ids::TokenId;
use serde_json::Value;
use text::bundle::{TextBundle, TokenNames};

use super::{read_json, read_text};
use crate::source::LoadError;

pub(super) fn bundle(folder: &Path) -> Result<TextBundle, LoadError> {
    let path = folder.join("tokenizer.json");
    let missing = || LoadError::Tokenizer {
        path: path.clone(),
        problem: "it is missing: a slow tokenizer must be converted to tokenizer.json first".to_owned(),
    };
    let tokenizer_json = read_text(&path)?.ok_or_else(missing)?;
    let tokenizer: Value = serde_json::from_str(&tokenizer_json)
        .map_err(|error| LoadError::Tokenizer { path: path.clone(), problem: format!("not valid JSON: {error}") })?;
    let settings = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or(Value::Null);
    let generation = read_json(&folder.join("generation_config.json"))?.unwrap_or(Value::Null);
    let config = read_json(&folder.join("config.json"))?.unwrap_or(Value::Null);
    let name = |key: &str| token_name(settings.get(key));
    let names =
        TokenNames { bos: name("bos_token"), eos: name("eos_token"), unk: name("unk_token"), pad: name("pad_token") };
    let id = |name: &Option<String>| name.as_deref().and_then(|name| token_id(&tokenizer, name));
    let mut eos: Vec<TokenId> =
        [&generation, &config].into_iter().flat_map(|json| ids(json.get("eos_token_id"))).collect();
    eos.extend(id(&names.eos));
    eos.sort_unstable();
    eos.dedup();
    let bos = id(&names.bos).or_else(|| ids(config.get("bos_token_id")).first().copied());
    let template = match read_text(&folder.join("chat_template.jinja"))? {
        Some(template) => Some(template),
        None => template(settings.get("chat_template")),
    };
    // Without the flag the tokenizer's own post-processor says whether texts begin with `bos`.
    let adds = settings.get("add_bos_token").and_then(Value::as_bool);
    let adds = adds.unwrap_or_else(|| names.bos.as_deref().is_some_and(|bos| processor_adds(&tokenizer, bos)));
    Ok(TextBundle { tokenizer_json, chat_template: template, bos, eos, add_bos: adds && bos.is_some(), names })
}

/// `"<s>"` or `{"content": "<s>", …}`.
fn token_name(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str)).map(str::to_owned)
}

/// One id or a list of them.
fn ids(value: Option<&Value>) -> Vec<TokenId> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).map(TokenId);
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn token_id(tokenizer: &Value, name: &str) -> Option<TokenId> {
    let added = tokenizer.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = added
        .filter(|token| token.get("content").and_then(Value::as_str) == Some(name))
        .find_map(|token| token.get("id"));
    let id = added.or_else(|| tokenizer.pointer("/model/vocab").and_then(|vocabulary| vocabulary.get(name)));
    ids(id).first().copied()
}

/// The default of a list of named templates, or the only one.
fn template(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(template) => Some(template.clone()),
        Value::Array(named) => {
            let default = named.iter().find(|one| one.get("name").and_then(Value::as_str) == Some("default"));
            default.or_else(|| named.first())?.get("template").and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    }
}

fn processor_adds(tokenizer: &Value, bos: &str) -> bool {
    let single = |processor: &Value| {
        let first =
            processor.get("single").and_then(|single| single.get(0)).and_then(|first| first.get("SpecialToken"));
        first.and_then(|token| token.get("id")).and_then(Value::as_str) == Some(bos)
    };
    let Some(processor) = tokenizer.get("post_processor") else { return false };
    let parts = processor.get("processors").and_then(Value::as_array).into_iter().flatten();
    single(processor) || parts.into_iter().any(single)
}
