//! The reference's answers, and how ours are compared with them.

use std::path::{Path, PathBuf};

use engine::source;
use protocol::ids::TokenId;
use protocol::request::ChatMessage;
use serde::Deserialize;
use text::{Special, Text};

/// One prompt and what the reference made of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) prompt_ids: Vec<u32>,
    pub(crate) greedy_ids: Vec<u32>,
    /// The first logit less the second, at each step.
    pub(crate) greedy_margin: Vec<f64>,
    /// Ids and log-probabilities after the prompt.
    pub(crate) next_top8: Vec<(u32, f64)>,
}

impl Case {
    pub(crate) fn encode(&self, text: &Text) -> Vec<u32> {
        let ids = match self.kind.as_str() {
            "chat" => text.chat(&[ChatMessage::new("user", &self.text)]),
            _ => text.encode(&self.text, Special::Plain),
        };
        ids.unwrap().iter().map(|token| token.0).collect()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let lines = include_str!("../data/smollm2-greedy.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The small model of `cargo xtask setup`.
pub(crate) fn model() -> PathBuf {
    let folder = std::env::var_os("TROUPE_MODELS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.models"), PathBuf::from);
    let path = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(path.exists(), "the small model is not at {}: run `cargo xtask setup`", path.display());
    path
}

pub(crate) fn text() -> Text {
    Text::new(source::open(&model()).unwrap().bundle().unwrap()).unwrap()
}

/// Compares up to the first step whose margin is too small to be sure. Returns how many were compared.
pub(crate) fn compare(case: &Case, answer: &[u32], margin: f64) -> usize {
    let sure = case.greedy_margin.iter().take_while(|found| **found >= margin).count();
    let expected = &case.greedy_ids[..sure];
    let found = &answer[..sure.min(answer.len())];
    assert_eq!(found, expected, "{:?}", case.text);
    sure
}

/// The tokens that end the reference's answers.
pub(crate) fn stops() -> Vec<TokenId> {
    vec![TokenId(2)]
}
