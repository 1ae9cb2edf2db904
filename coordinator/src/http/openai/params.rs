//! The fields that chats and completions share, to [`Params`].

use std::collections::BTreeMap;
use std::fmt;

use protocol::ids::TokenId;
use protocol::request::{Fault, MAX_LOGPROBS, Params};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::error::ApiError;

/// What both kinds of request have.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Shared {
    pub(crate) model: Option<String>,
    pub(crate) n: Option<u32>,
    max_tokens: Option<u32>,
    min_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    /// -1 means all, as elsewhere.
    top_k: Option<i64>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    stop: Option<Stop>,
    stop_token_ids: Option<Vec<u32>>,
    ignore_eos: Option<bool>,
    seed: Option<Seed>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one piece.
    Whole,
    /// As server-sent events.
    Stream {
        /// With a last chunk that counts the tokens.
        include_usage: bool,
    },
}

/// The names by which a route's clients know what [`Params`] calls otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) max_tokens: &'static str,
    pub(crate) logprobs: &'static str,
}

impl Names {
    fn of(self, field: &str) -> &str {
        match field {
            "max_tokens" => self.max_tokens,
            "top_logprobs" => self.logprobs,
            other => other,
        }
    }
}

impl Shared {
    /// The model's name.
    ///
    /// # Errors
    /// If it is missing or empty.
    pub(crate) fn model(&self) -> Result<String, ApiError> {
        match self.model.as_deref().map(str::trim) {
            Some("") => Err(ApiError::invalid("model", "model is empty: name one that GET /v1/models lists")),
            Some(model) => Ok(model.to_owned()),
            None => Err(ApiError::missing("model", "model is missing: name one that GET /v1/models lists")),
        }
    }

    /// How many answers to each prompt.
    pub(crate) fn choices(&self) -> u32 {
        self.n.unwrap_or(1)
    }

    /// How to send the answer.
    ///
    /// # Errors
    /// If `stream_options` come without `stream`.
    pub(crate) fn delivery(&self) -> Result<Delivery, ApiError> {
        match (self.stream.unwrap_or(false), &self.stream_options) {
            (true, options) => Ok(Delivery::Stream {
                include_usage: options.as_ref().and_then(|options| options.include_usage).unwrap_or(false),
            }),
            (false, None) => Ok(Delivery::Whole),
            (false, Some(_)) => Err(ApiError::invalid(
                "stream_options",
                "stream_options is given without a stream: set stream to true, or leave it out",
            )),
        }
    }

    /// The parameters, checked, with the two that each route spells its own way.
    ///
    /// # Errors
    /// Everything out of range; the first of it is the error's `param`.
    pub(crate) fn params(
        self,
        max_completion_tokens: Option<u32>,
        logprobs: Option<u32>,
        names: Names,
    ) -> Result<Params, ApiError> {
        let max_tokens = match (self.max_tokens, max_completion_tokens) {
            (Some(old), Some(new)) if old != new => {
                return Err(ApiError::invalid(
                    "max_tokens",
                    format!("max_tokens is {old} and max_completion_tokens is {new}: give one of them"),
                ));
            }
            (old, new) => new.or(old),
        };
        let mut faults = Vec::new();
        let params = Params {
            n: self.n,
            max_tokens,
            min_tokens: self.min_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: top_k(self.top_k, &mut faults),
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias: biases(self.logit_bias, &mut faults),
            stop: self.stop.map(|stop| stop.0).unwrap_or_default(),
            stop_token_ids: self.stop_token_ids.unwrap_or_default().into_iter().map(TokenId).collect(),
            ignore_eos: self.ignore_eos.unwrap_or(false),
            seed: self.seed.map(|seed| seed.0),
            logprobs: alternatives(logprobs, &mut faults),
        };
        faults.extend(params.faults());
        refuse(&faults, names).map_or(Ok(params), Err)
    }
}

/// All faults in one error, or none.
fn refuse(faults: &[Fault], names: Names) -> Option<ApiError> {
    let first = faults.first()?;
    let text: Vec<String> =
        faults.iter().map(|fault| format!("{} {}", names.of(&fault.field), fault.problem)).collect();
    Some(ApiError::invalid(names.of(&first.field), text.join("; ")))
}

fn fault(field: impl Into<String>, problem: impl Into<String>) -> Fault {
    Fault { field: field.into(), problem: problem.into() }
}

fn top_k(given: Option<i64>, faults: &mut Vec<Fault>) -> Option<u32> {
    match given? {
        -1 => Some(0),
        k => u32::try_from(k)
            .map_err(|_| faults.push(fault("top_k", format!("is {k}: choose a number above 0, or 0 for all tokens"))))
            .ok(),
    }
}

fn alternatives(given: Option<u32>, faults: &mut Vec<Fault>) -> Option<u8> {
    let given = given?;
    u8::try_from(given)
        .map_err(|_| faults.push(fault("top_logprobs", format!("is {given}: choose at most {MAX_LOGPROBS}"))))
        .ok()
}

fn biases(given: Option<BTreeMap<String, f32>>, faults: &mut Vec<Fault>) -> Vec<(TokenId, f32)> {
    let mut biases = Vec::new();
    for (key, bias) in given.unwrap_or_default() {
        match key.parse() {
            Ok(id) => biases.push((TokenId(id), bias)),
            Err(_) => faults.push(fault(format!("logit_bias.{key}"), "is not a token id: write it as \"1234\"")),
        }
    }
    biases.sort_by_key(|(token, _)| *token);
    biases
}

/// One stop text or several.
#[derive(Debug, Default)]
struct Stop(Vec<String>);

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StopVisitor;

        impl<'de> Visitor<'de> for StopVisitor {
            type Value = Stop;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<Stop, E> {
                Ok(Stop(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Stop, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Stop(texts))
            }
        }

        deserializer.deserialize_any(StopVisitor)
    }
}

/// Any whole number of 64 bits: OpenAI's seeds may be negative.
#[derive(Clone, Copy, Debug)]
struct Seed(u64);

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SeedVisitor;

        impl Visitor<'_> for SeedVisitor {
            type Value = Seed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of 64 bits")
            }

            fn visit_u64<E>(self, seed: u64) -> Result<Seed, E> {
                Ok(Seed(seed))
            }

            fn visit_i64<E>(self, seed: i64) -> Result<Seed, E> {
                Ok(Seed(seed.cast_unsigned()))
            }
        }

        deserializer.deserialize_any(SeedVisitor)
    }
}
