//! Everything a coordinator needs to speak a model's language, in one piece that can be sent.

use protocol::ids::TokenId;
use serde::{Deserialize, Serialize};

/// A tokenizer, a chat template, and the tokens with a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextBundle {
    /// A Hugging Face `tokenizer.json`.
    pub tokenizer_json: String,
    /// A Jinja template; a model without one cannot chat.
    pub chat_template: Option<String>,
    /// The token that begins a text.
    pub bos: Option<TokenId>,
    /// The tokens that end a turn: end of text, of turn, of message.
    pub eos: Vec<TokenId>,
    /// Whether plain text gets `bos` in front.
    pub add_bos: bool,
    /// The texts of tokens that templates use.
    pub names: TokenNames,
}

/// The texts of the tokens that templates use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenNames {
    /// `bos_token`.
    pub bos: Option<String>,
    /// `eos_token`.
    pub eos: Option<String>,
    /// `unk_token`.
    pub unk: Option<String>,
    /// `pad_token`.
    pub pad: Option<String>,
}

impl TextBundle {
    /// Tells one bundle from another: blake3 over every field, each with its length.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: Option<&[u8]>| {
            hasher.update(&[u8::from(bytes.is_some())]);
            let bytes = bytes.unwrap_or_default();
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(Some(self.tokenizer_json.as_bytes()));
        field(self.chat_template.as_deref().map(str::as_bytes));
        field(self.bos.map(|id| id.0.to_le_bytes()).as_ref().map(|bytes| bytes.as_slice()));
        field(Some(&self.eos.iter().flat_map(|id| id.0.to_le_bytes()).collect::<Vec<_>>()));
        field(Some(&[u8::from(self.add_bos)]));
        for name in [&self.names.bos, &self.names.eos, &self.names.unk, &self.names.pad] {
            field(name.as_deref().map(str::as_bytes));
        }
        *hasher.finalize().as_bytes()
    }
}
