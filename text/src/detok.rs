//! Tokens to text, one by one, without ever splitting a character.
//!
//! A token's bytes need not be whole characters: what is incomplete waits for the next token. Bytes
//! that can no longer become a character turn into U+FFFD at once. Special tokens are no text.

use protocol::ids::TokenId;

use crate::Text;

/// The state of one text. Small: it can move with its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detokenizer {
    /// Bytes of a character that is not complete: at most three.
    pending: Vec<u8>,
    /// Something was said already.
    begun: bool,
}

impl Detokenizer {
    /// At the start of a text that follows a prompt.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text that is complete with this token: maybe none.
    pub fn push(&mut self, text: &Text, token: TokenId) -> String {
        if text.is_special(token) {
            return String::new();
        }
        let Some(mut piece) = text.piece(token) else { return String::new() };
        if !self.begun && text.strips_first_space() {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
        }
        self.begun = true;
        self.pending.extend_from_slice(piece);
        self.complete()
    }

    /// What is left at the end of the text.
    pub fn flush(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        rest
    }

    /// Takes whole characters out of what is pending.
    fn complete(&mut self) -> String {
        let mut out = String::new();
        let mut kept = 0;
        for chunk in self.pending.utf8_chunks() {
            out.push_str(chunk.valid());
            kept += chunk.valid().len();
            let invalid = chunk.invalid();
            let last = kept + invalid.len() == self.pending.len();
            if last && may_become_a_character(invalid) {
                break;
            }
            if !invalid.is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            kept += invalid.len();
        }
        self.pending.drain(..kept);
        out
    }
}

/// Whether these bytes are the beginning of a character.
fn may_become_a_character(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests;
