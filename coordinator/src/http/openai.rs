//! OpenAI's API: request bodies to [`protocol::request::Request`], answers to OpenAI's shapes.
//!
//! A field is either used, ignored because it changes nothing here, or refused by name; [`fields`] lists
//! them all. Nothing that a client asked for is dropped in silence.

pub(super) mod answers;
pub(super) mod asked;
pub(super) mod chat;
pub(super) mod completions;
pub(super) mod error;
pub(super) mod fields;
pub(super) mod json;
pub(super) mod logprobs;
pub(super) mod models;
pub(super) mod nearest;
pub(super) mod params;
pub(super) mod respond;
pub(super) mod sse;
