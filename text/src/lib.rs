//! What words are to a model: tokenizers, chat templates, incremental detokenisation, stop texts.
//!
//! Rules: no input or output, no clock. Everything a coordinator needs to speak a model's language
//! stands in one [`bundle::TextBundle`], which a node takes out of its model file and hands on; from
//! it both sides build the same [`Text`]. Tokenisation itself is the `tokenizers` crate's work,
//! templates are `minijinja`'s: this crate translates between them and what model files hold.

pub mod bundle;
pub mod chat;
pub mod detok;
pub mod gguf_vocab;
pub mod pretokenizer;
pub mod stop;
mod words;

pub use words::{Special, Text, TextError};
