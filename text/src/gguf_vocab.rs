//! From the tokenizer keys of a GGUF file to a [`TextBundle`].
//!
//! Two kinds of vocabulary are known. `gpt2` is byte-level BPE with merges and a rule that cuts words.
//! `llama` is SentencePiece: BPE by score, whose merges are all the ways in which a piece is made of two
//! others, best score first. Anything else is refused by name.

use std::collections::HashMap;

use protocol::ids::TokenId;
use serde_json::{Value, json};

use crate::bundle::{TextBundle, TokenNames};
use crate::pretokenizer::PreTokenizer;

/// What a GGUF file says about its tokenizer. The comments name the keys below `tokenizer.ggml.`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GgufVocab {
    /// `model`.
    pub model: String,
    /// `pre`.
    pub pre: Option<String>,
    /// `tokens`.
    pub tokens: Vec<String>,
    /// `token_type`; empty if absent.
    pub token_types: Vec<i32>,
    /// `scores`; empty if absent.
    pub scores: Vec<f32>,
    /// `merges`; empty if absent.
    pub merges: Vec<String>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `eot_token_id`: end of turn.
    pub eot: Option<u32>,
    /// `eom_token_id`: end of message.
    pub eom: Option<u32>,
    /// `unknown_token_id`.
    pub unk: Option<u32>,
    /// `padding_token_id`.
    pub pad: Option<u32>,
    /// `add_bos_token`.
    pub add_bos: Option<bool>,
    /// `add_space_prefix`.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
}

/// A vocabulary that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabError {
    /// A kind of tokenizer that is not known.
    #[error("tokenizer.ggml.model is '{0}': only 'gpt2' and 'llama' are supported")]
    Model(String),
    /// A rule that is not in the table.
    #[error("tokenizer.ggml.pre is '{0}', which is not known; known are: {known}", known = PreTokenizer::names().collect::<Vec<_>>().join(", "))]
    PreTokenizer(String),
    /// The file does not name its rule.
    #[error("tokenizer.ggml.pre is missing: convert the model again with a current converter")]
    NoPreTokenizer,
    /// A list has another length than the tokens.
    #[error("tokenizer.ggml.{key} has {found} entries for {tokens} tokens")]
    Length {
        /// The key's last part.
        key: &'static str,
        /// Its length.
        found: usize,
        /// The number of tokens.
        tokens: usize,
    },
    /// No tokens at all.
    #[error("tokenizer.ggml.tokens is missing or empty")]
    NoTokens,
    /// No merges.
    #[error("tokenizer.ggml.merges is missing or empty")]
    NoMerges,
    /// An id beyond the vocabulary.
    #[error("tokenizer.ggml.{key} is {id}, beyond the vocabulary of {tokens} tokens")]
    Id {
        /// The key's last part.
        key: &'static str,
        /// Its value.
        id: u32,
        /// The number of tokens.
        tokens: usize,
    },
    /// Two tokens with the same text.
    #[error("tokenizer.ggml.tokens holds '{0}' twice")]
    Twice(String),
    /// A merge that is not two pieces.
    #[error("tokenizer.ggml.merges holds '{0}', which is not two pieces")]
    Merge(String),
}

const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// Control tokens that end a turn, whatever the file's ids say.
const ENDS: [&str; 6] = ["<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>"];

impl GgufVocab {
    /// The bundle of this vocabulary.
    ///
    /// # Errors
    /// What is missing, contradictory or not supported, by key.
    pub fn bundle(&self) -> Result<TextBundle, VocabError> {
        self.check()?;
        let (tokenizer, add_bos) = match self.model.as_str() {
            "gpt2" => {
                let name = self.pre.as_deref().ok_or(VocabError::NoPreTokenizer)?;
                let rule = PreTokenizer::named(name).ok_or_else(|| VocabError::PreTokenizer(name.to_owned()))?;
                // Files of the Llama 3 family leave the flag out and mean it.
                (self.byte_level(rule)?, rule.ignore_merges)
            }
            "llama" => (self.pieces()?, true),
            other => return Err(VocabError::Model(other.to_owned())),
        };
        let text = |id: Option<u32>| id.and_then(|id| self.tokens.get(id as usize)).cloned();
        Ok(TextBundle {
            tokenizer_json: tokenizer.to_string(),
            chat_template: self.chat_template.clone().filter(|template| !template.is_empty()),
            bos: self.bos.map(TokenId),
            eos: self.ends(),
            add_bos: self.add_bos.unwrap_or(add_bos) && self.bos.is_some(),
            names: TokenNames { bos: text(self.bos), eos: text(self.eos), unk: text(self.unk), pad: text(self.pad) },
        })
    }

    fn check(&self) -> Result<(), VocabError> {
        let tokens = self.tokens.len();
        if tokens == 0 {
            return Err(VocabError::NoTokens);
        }
        for (key, found) in [("token_type", self.token_types.len()), ("scores", self.scores.len())] {
            if found != 0 && found != tokens {
                return Err(VocabError::Length { key, found, tokens });
            }
        }
        for (key, id) in [
            ("bos_token_id", self.bos),
            ("eos_token_id", self.eos),
            ("eot_token_id", self.eot),
            ("eom_token_id", self.eom),
            ("unknown_token_id", self.unk),
            ("padding_token_id", self.pad),
        ] {
            if let Some(id) = id
                && id as usize >= tokens
            {
                return Err(VocabError::Id { key, id, tokens });
            }
        }
        Ok(())
    }

    fn ends(&self) -> Vec<TokenId> {
        let mut ends: Vec<TokenId> = [self.eos, self.eot, self.eom].into_iter().flatten().map(TokenId).collect();
        for (id, token) in (0u32..).zip(&self.tokens) {
            if self.kind(id) == CONTROL && ENDS.contains(&token.as_str()) {
                ends.push(TokenId(id));
            }
        }
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    fn kind(&self, id: u32) -> i32 {
        self.token_types.get(id as usize).copied().unwrap_or(1)
    }

    fn byte_level(&self, rule: PreTokenizer) -> Result<Value, VocabError> {
        if self.merges.is_empty() {
            return Err(VocabError::NoMerges);
        }
        let vocabulary = self.vocabulary()?;
        let mut merges = Vec::with_capacity(self.merges.len());
        for merge in &self.merges {
            let pair = merge
                .split_once(' ')
                .filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '));
            let (left, right) = pair.ok_or_else(|| VocabError::Merge(merge.clone()))?;
            merges.push(json!([left, right]));
        }
        let decoder =
            json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
        let normalizer = if rule.compose { json!({ "type": "NFC" }) } else { Value::Null };
        let model = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": rule.ignore_merges, "vocab": vocabulary, "merges": merges,
        });
        Ok(self.tokenizer(&normalizer, &rule.json(), &decoder, &model))
    }

    fn pieces(&self) -> Result<Value, VocabError> {
        if self.scores.is_empty() {
            return Err(VocabError::Length { key: "scores", found: 0, tokens: self.tokens.len() });
        }
        let vocabulary = self.vocabulary()?;
        let prefix = self.add_space_prefix.unwrap_or(true);
        let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
        let mut normalizers = vec![replace];
        let mut decoders = vec![
            json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if prefix {
            normalizers.insert(0, json!({ "type": "Prepend", "prepend": "▁" }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        let unk = self.unk.and_then(|id| self.tokens.get(id as usize));
        let model = json!({
            "type": "BPE", "dropout": null, "unk_token": unk, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocabulary, "merges": self.merges_by_score(),
        });
        let normalizer = json!({ "type": "Sequence", "normalizers": normalizers });
        let decoder = json!({ "type": "Sequence", "decoders": decoders });
        Ok(self.tokenizer(&normalizer, &Value::Null, &decoder, &model))
    }

    /// All the ways in which a piece is made of two others: best score first, then longer parts first.
    fn merges_by_score(&self) -> Vec<[&str; 2]> {
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
        let mut merges = Vec::new();
        for (token, score) in self.tokens.iter().zip(&self.scores) {
            let mut ways: Vec<_> = token
                .char_indices()
                .skip(1)
                .map(|(at, _)| token.split_at(at))
                .filter_map(|(left, right)| Some(((ids.get(left)?, ids.get(right)?), left, right)))
                .collect();
            ways.sort_by(|a, b| b.0.cmp(&a.0));
            merges.extend(
                ways.into_iter()
                    .map(|(_, left, right)| (*score, left.chars().count(), right.chars().count(), [left, right])),
            );
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)));
        merges.into_iter().map(|merge| merge.3).collect()
    }

    fn vocabulary(&self) -> Result<serde_json::Map<String, Value>, VocabError> {
        let mut vocabulary = serde_json::Map::new();
        for (id, token) in self.tokens.iter().enumerate() {
            if vocabulary.insert(token.clone(), json!(id)).is_some() {
                return Err(VocabError::Twice(token.clone()));
            }
        }
        Ok(vocabulary)
    }

    fn tokenizer(&self, normalizer: &Value, pre_tokenizer: &Value, decoder: &Value, model: &Value) -> Value {
        let added: Vec<Value> = (0u32..)
            .zip(&self.tokens)
            .filter(|(id, _)| matches!(self.kind(*id), UNKNOWN | CONTROL | USER_DEFINED))
            .map(|(id, token)| {
                json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": self.kind(id) != USER_DEFINED,
                })
            })
            .collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model,
        })
    }
}

#[cfg(test)]
mod tests;
