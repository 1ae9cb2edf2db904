//! The four shapes of `prompt`: a string, a list of strings, a list of token ids, a list of such lists.

use std::fmt;

use protocol::ids::TokenId;
use protocol::request::Input;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

const TOO_MIXED: &str = "strings, token ids and lists are mixed in one list: send one kind";

/// All prompts of a request, in order.
#[derive(Debug)]
pub(super) struct Prompts(pub(super) Vec<Input>);

/// One element of a list: its kind is known only once it is read.
enum Element {
    Text(String),
    Token(TokenId),
    Tokens(Vec<TokenId>),
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PromptsVisitor;

        impl<'de> Visitor<'de> for PromptsVisitor {
            type Value = Prompts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a list of strings, a list of token ids, or a list of such lists")
            }

            fn visit_str<E>(self, text: &str) -> Result<Prompts, E> {
                Ok(Prompts(vec![Input::Text(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
                let mut prompts = Vec::new();
                let mut ids = Vec::new();
                while let Some(element) = list.next_element()? {
                    match element {
                        Element::Token(id) if prompts.is_empty() => ids.push(id),
                        Element::Text(text) if ids.is_empty() && !is_tokens(prompts.first()) => {
                            prompts.push(Input::Text(text));
                        }
                        Element::Tokens(tokens) if ids.is_empty() && !is_text(prompts.first()) => {
                            prompts.push(Input::Tokens(tokens));
                        }
                        _ => return Err(A::Error::custom(TOO_MIXED)),
                    }
                }
                if !ids.is_empty() {
                    prompts.push(Input::Tokens(ids));
                }
                Ok(Prompts(prompts))
            }
        }

        deserializer.deserialize_any(PromptsVisitor)
    }
}

fn is_text(prompt: Option<&Input>) -> bool {
    matches!(prompt, Some(Input::Text(_)))
}

fn is_tokens(prompt: Option<&Input>) -> bool {
    matches!(prompt, Some(Input::Tokens(_)))
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor;

        impl<'de> Visitor<'de> for ElementVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a token id from 0 to 4294967295, or a list of token ids")
            }

            fn visit_str<E>(self, text: &str) -> Result<Element, E> {
                Ok(Element::Text(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<Element, E> {
                let small = u32::try_from(id);
                small
                    .map(|id| Element::Token(TokenId(id)))
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(id), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Element, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = list.next_element::<u32>()? {
                    ids.push(TokenId(id));
                }
                Ok(Element::Tokens(ids))
            }
        }

        deserializer.deserialize_any(ElementVisitor)
    }
}
