//! A tokenizer with its chat template: text to tokens, tokens to bytes.

use protocol::ids::TokenId;
use protocol::request::ChatMessage;
use tokenizers::{Decoder, DecoderWrapper, Tokenizer};

use crate::bundle::TextBundle;
use crate::chat::{ChatError, ChatTemplate};

/// Whether the names of special tokens in a text become those tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// They do: for rendered templates.
    Parse,
    /// They are text like any other.
    Plain,
}

/// A text or a bundle cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The bundle holds no working tokenizer.
    #[error("the tokenizer cannot be read: {0}")]
    Tokenizer(String),
    /// The tokenizer refuses a text.
    #[error("the text cannot be tokenised: {0}")]
    Encode(String),
    /// The template, or what it was given, is wrong.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// Vocabularies have fewer ids than this; a file that claims more is not given the memory for them.
const MOST_IDS: u32 = 1 << 24;

/// How a vocabulary writes bytes into its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// Each byte as one printable character, as GPT-2 does.
    ByteLevel,
    /// `▁` for a space, `<0x0A>` for a byte without a character, as SentencePiece does.
    Pieces,
}

/// A model's language.
pub struct Text {
    parsing: Tokenizer,
    plain: Tokenizer,
    template: Option<ChatTemplate>,
    bundle: TextBundle,
    /// Bytes of each token by id; none for ids without a token.
    pieces: Vec<Option<Box<[u8]>>>,
    special: Vec<bool>,
    /// Whether the decoder takes the space away that the normaliser put in front.
    strips_first_space: bool,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("vocabulary", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl Text {
    /// Reads a bundle.
    ///
    /// # Errors
    /// A tokenizer or a template that cannot be read.
    pub fn new(bundle: TextBundle) -> Result<Self, TextError> {
        let parsing: Tokenizer = bundle
            .tokenizer_json
            .parse()
            .map_err(|error: tokenizers::Error| TextError::Tokenizer(error.to_string()))?;
        let mut plain = parsing.clone();
        plain.set_encode_special_tokens(true);
        let template = bundle.chat_template.as_deref().map(ChatTemplate::new).transpose()?;
        let spelling = match parsing.get_decoder() {
            Some(decoder) if is_byte_level(decoder) => Spelling::ByteLevel,
            _ => Spelling::Pieces,
        };
        let added = parsing.get_added_tokens_decoder();
        let last = parsing.get_vocab(true).into_values().max();
        if let Some(id) = last.filter(|id| *id >= MOST_IDS) {
            return Err(TextError::Tokenizer(format!("it holds the id {id}: ids are below {MOST_IDS}")));
        }
        let size = last.map_or(0, |id| id as usize + 1);
        let mut pieces = Vec::with_capacity(size);
        let mut special = Vec::with_capacity(size);
        for id in 0..u32::try_from(size).unwrap_or(u32::MAX) {
            let added = added.get(&id);
            special.push(added.is_some_and(|token| token.special));
            pieces.push(match added {
                // Added text that is no special token takes the way of all pieces when it is decoded.
                Some(token) if !token.special && spelling == Spelling::Pieces => Some(spell(&token.content, spelling)),
                Some(token) => Some(token.content.as_bytes().into()),
                None => parsing.id_to_token(id).map(|token| spell(&token, spelling)),
            });
        }
        let strips_first_space = spelling == Spelling::Pieces && strips_space(parsing.get_decoder());
        Ok(Self { parsing, plain, template, bundle, pieces, special, strips_first_space })
    }

    /// The bundle this was built from.
    pub fn bundle(&self) -> &TextBundle {
        &self.bundle
    }

    /// Tokens of a text; `bos` in front where the model wants it.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode(&self, text: &str, special: Special) -> Result<Vec<TokenId>, TextError> {
        let tokenizer = if special == Special::Parse { &self.parsing } else { &self.plain };
        let encoding = tokenizer.encode_fast(text, false).map_err(|error| TextError::Encode(error.to_string()))?;
        let mut ids: Vec<TokenId> = Vec::with_capacity(encoding.len() + 1);
        if let Some(bos) = self.bundle.bos
            && self.bundle.add_bos
            && encoding.get_ids().first() != Some(&bos.0)
        {
            ids.push(bos);
        }
        ids.extend(encoding.get_ids().iter().copied().map(TokenId));
        Ok(ids)
    }

    /// Tokens of a conversation, ready for the model's turn. Names of special tokens inside the
    /// messages are parsed too, as the reference implementations do.
    ///
    /// # Errors
    /// A model without a template, or messages that its template refuses.
    pub fn chat(&self, messages: &[ChatMessage]) -> Result<Vec<TokenId>, TextError> {
        let template = self.template.as_ref().ok_or(ChatError::NoTemplate)?;
        let rendered = template.render(messages, &self.bundle.names)?;
        let encoding =
            self.parsing.encode_fast(rendered.as_str(), false).map_err(|error| TextError::Encode(error.to_string()))?;
        Ok(encoding.get_ids().iter().copied().map(TokenId).collect())
    }

    /// The bytes that a token adds to a text; none if there is no such token.
    pub fn piece(&self, id: TokenId) -> Option<&[u8]> {
        self.pieces.get(id.0 as usize)?.as_deref()
    }

    /// Whether a token steers the model and is no text.
    pub fn is_special(&self, id: TokenId) -> bool {
        self.special.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// The tokens that end a turn.
    pub fn eos(&self) -> &[TokenId] {
        &self.bundle.eos
    }

    /// Ids are below this.
    pub fn vocabulary(&self) -> u32 {
        u32::try_from(self.pieces.len()).unwrap_or(u32::MAX)
    }

    /// Whether a text loses the space that stands before its first word.
    pub(crate) fn strips_first_space(&self) -> bool {
        self.strips_first_space
    }
}

fn is_byte_level(decoder: &DecoderWrapper) -> bool {
    // "Ġ" is how byte-level vocabularies write a space: whoever decodes it so is one of them.
    decoder.decode(vec!["Ġ".to_owned()]).is_ok_and(|text| text == " ")
}

fn strips_space(decoder: Option<&DecoderWrapper>) -> bool {
    decoder.is_some_and(|decoder| decoder.decode(vec!["▁a".to_owned()]).is_ok_and(|text| text == "a"))
}

fn spell(token: &str, spelling: Spelling) -> Box<[u8]> {
    match spelling {
        Spelling::ByteLevel => match token.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
            Some(bytes) => bytes.into(),
            // Not written byte by byte: an added token in all but name.
            None => token.as_bytes().into(),
        },
        Spelling::Pieces => match byte_piece(token) {
            Some(byte) => [byte].into(),
            None => token.replace('▁', " ").into_bytes().into(),
        },
    }
}

/// `<0x0A>` is the byte 10.
fn byte_piece(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The byte that GPT-2 writes as this character: printable Latin-1 is itself, the 68 others follow 255
/// in the order of their values.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x143 => {
            let hidden = (0..=0x20u8).chain(0x7f..=0xa0).chain([0xad]);
            hidden.into_iter().nth((code - 0x100) as usize)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
