//! How byte-level vocabularies cut a text into words before they merge bytes: a strict table.
//!
//! A GGUF file names its rule in `tokenizer.ggml.pre`. A rule that is not in the table is refused by
//! name: to guess gives wrong tokens and a model that babbles, which nobody traces back to here.
//! The expressions are those that the models' own `tokenizer.json` files carry.

use serde_json::{Value, json};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const DIGIT: &str = r"\p{N}";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreTokenizer {
    /// Applied in turn; each cuts what the one before left.
    splits: &'static [&'static str],
    /// A word that is a token as it stands is not built from merges.
    pub(crate) ignore_merges: bool,
    /// Text is composed (NFC) first.
    pub(crate) compose: bool,
}

const TABLE: &[(&[&str], PreTokenizer)] = &[
    (
        &["gpt-2", "gpt2", "mpt", "olmo", "jais", "phi-2", "trillion", "roberta-bpe", "gigachat"],
        PreTokenizer { splits: &[GPT2], ignore_merges: false, compose: false },
    ),
    (
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
        PreTokenizer { splits: &[DIGIT, GPT2], ignore_merges: false, compose: false },
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"],
        PreTokenizer { splits: &[LLAMA3], ignore_merges: true, compose: false },
    ),
    (&["qwen2", "megrez"], PreTokenizer { splits: &[QWEN2], ignore_merges: false, compose: true }),
    (&["deepseek-r1-qwen"], PreTokenizer { splits: &[QWEN2], ignore_merges: false, compose: false }),
];

impl PreTokenizer {
    /// By the name in `tokenizer.ggml.pre`.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|(names, _)| names.contains(&name)).map(|(_, rule)| *rule)
    }

    /// All names, for messages.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().flat_map(|(names, _)| names.iter().copied())
    }

    /// As it stands in a `tokenizer.json`.
    pub(crate) fn json(self) -> Value {
        let split = |regex: &&str| json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
        let mut steps: Vec<Value> = self.splits.iter().map(split).collect();
        steps
            .push(json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false }));
        json!({ "type": "Sequence", "pretokenizers": steps })
    }
}
