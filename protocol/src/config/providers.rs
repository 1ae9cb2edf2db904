//! Models of others: who serves them, by which API, under which key.
//!
//! Rules: a key never stands here, only where it is found; headers may hold secrets and are never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::check::count;
use super::parse::{ConfigFault, fault};
use super::source::is_base;
use super::{Config, secs};
use crate::units::Span;

/// The longest that an answer may take.
const LONGEST: Span = secs(24 * 3600);
/// The most providers.
const MAX_PROVIDERS: usize = 64;
/// The most models of a provider.
const MAX_MODELS: usize = 256;
/// The most additional headers.
const MAX_HEADERS: usize = 32;
/// Headers that the key and the body need.
const OURS: [&str; 8] = [
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
];
/// Parameters that need not be sent to a provider.
pub const DROPPABLE: [&str; 17] = [
    "frequency_penalty",
    "ignore_eos",
    "logit_bias",
    "logprobs",
    "min_p",
    "min_tokens",
    "name",
    "parallel_tool_calls",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "stop_token_ids",
    "strict",
    "temperature",
    "top_k",
    "top_p",
];

/// One provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// Which API it speaks.
    pub kind: ProviderKind,
    /// The front of its addresses; the kind's public one if left out.
    pub base: Option<String>,
    /// The environment variable that holds the key.
    pub key_env: Option<String>,
    /// The file that holds the key, where the variable does not.
    pub key_file: Option<PathBuf>,
    /// A PEM file of authorities that are trusted beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Its models: their names in the cluster, and at the provider.
    pub models: ProviderModels,
    /// Sent with each request.
    pub headers: BTreeMap<String, String>,
    /// Parameters that are never sent to it; what its API lacks and is not named here is refused.
    pub drop: Vec<String>,
    /// Whether a server of kind `openai` takes vLLM's additional parameters.
    pub vllm: bool,
    /// Whether it can go on with the beginning of an answer.
    pub prefill: bool,
    /// How long connecting may take.
    pub connect: Span,
    /// How long the first token may take.
    pub first_token: Span,
    /// How long it may be silent between tokens.
    pub stall: Span,
    /// How long an answer may take in all.
    pub timeout: Span,
    /// Requests at once; one more is refused, and goes elsewhere.
    pub parallel: u32,
    /// How often it is asked again after a fault, before its answer has begun.
    pub retries: u32,
}

/// An API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI's chat completions, and all who speak it.
    #[default]
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
}

impl ProviderKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Gemini];

    /// As it stands in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The front of the public addresses.
    pub fn base(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
        }
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            kind: ProviderKind::OpenAi,
            base: None,
            key_env: None,
            key_file: None,
            ca_file: None,
            models: ProviderModels::default(),
            headers: BTreeMap::new(),
            drop: Vec::new(),
            vllm: false,
            prefill: false,
            connect: secs(10),
            first_token: secs(60),
            stall: secs(30),
            timeout: secs(600),
            parallel: 64,
            retries: 1,
        }
    }
}

impl fmt::Debug for Provider {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("kind", &self.kind)
            .field("base", &self.base)
            .field("key_env", &self.key_env)
            .field("key_file", &self.key_file)
            .field("ca_file", &self.ca_file)
            .field("models", &self.models)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("drop", &self.drop)
            .field("vllm", &self.vllm)
            .field("prefill", &self.prefill)
            .field("connect", &self.connect)
            .field("first_token", &self.first_token)
            .field("stall", &self.stall)
            .field("timeout", &self.timeout)
            .field("parallel", &self.parallel)
            .field("retries", &self.retries)
            .finish()
    }
}

/// The models of a provider: `{ "name in the cluster" = "name there" }`, or a list of names that are the same in both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProviderModels(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for ProviderModels {
    /// By hand, so that a wrong entry is named and not just "no variant matched".
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ProviderModels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of models, or a table { \"NAME IN THE CLUSTER\" = \"NAME THERE\" }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ProviderModels, A::Error> {
                let mut models = BTreeMap::new();
                while let Some(name) = list.next_element::<String>()? {
                    models.insert(name.clone(), name);
                }
                Ok(ProviderModels(models))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ProviderModels, A::Error> {
                let mut models = BTreeMap::new();
                while let Some((name, there)) = map.next_entry()? {
                    models.insert(name, there);
                }
                Ok(ProviderModels(models))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Config {
    pub(super) fn check_providers(&self, found: &mut Vec<ConfigFault>) {
        if self.providers.len() > MAX_PROVIDERS {
            found.push(fault("providers", format!("has {}: give at most {MAX_PROVIDERS}", self.providers.len())));
        }
        for (name, provider) in &self.providers {
            if !is_name(name) {
                let problem = "a provider's name has 1 to 64 letters, digits, '-', '_' and '.'";
                found.push(fault(format!("providers.{name:?}"), problem));
            }
            provider.check(name, found);
            for model in provider.models.0.keys().filter(|model| self.models.contains_key(*model)) {
                let problem = format!("'{model}' is also a model of the cluster's own, [models.{model}]: rename one");
                found.push(fault(format!("providers.{name}.models"), problem));
            }
        }
    }
}

impl Provider {
    fn check(&self, name: &str, found: &mut Vec<ConfigFault>) {
        let path = |key: &str| format!("providers.{name}.{key}");
        let mut bad = |key: &str, problem: String| found.push(fault(path(key), problem));
        if let Some(base) = self.base.as_deref().filter(|base| !is_base(base)) {
            bad("base", format!("is '{base}': write https://HOST/PATH, without query or user"));
        }
        if let Some(key) = self.key_env.as_deref().filter(|key| !is_variable(key)) {
            // What stands there may be the key itself: it is not shown.
            let problem = format!("has {} characters that are no name of an environment variable", key.len());
            bad("key_env", format!("{problem}: name the variable, never write the key itself here"));
        }
        if self.key_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            bad("key_file", "is empty: name the file that holds the key".to_owned());
        }
        if self.ca_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            bad("ca_file", "is empty: name the file that holds the authorities".to_owned());
        }
        let models = &self.models.0;
        if models.is_empty() || models.len() > MAX_MODELS {
            bad("models", format!("has {}: name 1 to {MAX_MODELS} models", models.len()));
        }
        for (model, there) in models {
            if !is_model(model) {
                bad("models", format!("{model:?}: a model's name has 1 to 128 characters and no spaces"));
            }
            if !is_plain(there) {
                let problem = format!("{there:?} is no provider's name of a model: write 1 to 200 characters of ");
                bad("models", problem + "letters, digits and \"-_.:/@+\", without \"..\"");
            }
        }
        if self.headers.len() > MAX_HEADERS {
            bad("headers", format!("has {}: give at most {MAX_HEADERS}", self.headers.len()));
        }
        for (header, value) in &self.headers {
            if OURS.contains(&header.to_ascii_lowercase().as_str()) {
                bad("headers", format!("'{header}' is set by Troupe: a key is named by key_env or key_file"));
            } else if !is_header(header) || value.len() > 4096 || !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                bad("headers", format!("{header:?} or its value cannot be sent: write plain ASCII"));
            }
        }
        for drop in self.drop.iter().filter(|drop| !DROPPABLE.contains(&drop.as_str())) {
            bad("drop", format!("'{drop}' cannot be left out: name some of {}", DROPPABLE.join(", ")));
        }
        if self.kind != ProviderKind::OpenAi && self.vllm {
            bad("vllm", format!("is for kind \"openai\", and this is \"{}\": leave it out", self.kind.as_str()));
        }
        if self.kind == ProviderKind::OpenAi && self.prefill && !self.vllm {
            let problem = "OpenAI's own API cannot go on with a text: set vllm if the server can, or leave it out";
            bad("prefill", problem.to_owned());
        }
        for (key, value) in [
            ("connect", self.connect),
            ("first_token", self.first_token),
            ("stall", self.stall),
            ("timeout", self.timeout),
        ] {
            if value.0.is_zero() || value > LONGEST {
                bad(key, format!("is {value}: give more than 0s and at most {LONGEST}"));
            }
        }
        if self.first_token > self.timeout {
            bad("first_token", format!("is {}: it must not be above timeout, {}", self.first_token, self.timeout));
        }
        if self.retries > 10 {
            bad("retries", format!("is {}: give at most 10", self.retries));
        }
        count(found, path("parallel"), self.parallel, 100_000);
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_variable(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&text.len()) && text.chars().all(known) && !text.starts_with(|c: char| c.is_ascii_digit())
}

pub(super) fn is_model(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// What means the same in an address and in JSON.
fn is_plain(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.:/@+".contains(c);
    (1..=200).contains(&text.len()) && text.chars().all(known) && !text.contains("..") && !text.starts_with('/')
}

fn is_header(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests;
