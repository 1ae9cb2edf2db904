//! A profile as it is written: TOML, every key known, every value with its unit.

use std::fmt::Write as _;

use protocol::money::Money;
use protocol::units::{Blocks, Tokens};
use serde::Deserialize;

use super::units::Time;
use super::{Profile, ProfileError};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    source: String,
    prefill: Time,
    prefill_context: Time,
    step: Time,
    sequence: Time,
    sequence_context: Time,
    blocks: u64,
    block: u64,
    queue: u32,
    batch: u32,
    step_tokens: u64,
    chunk: Option<u64>,
    context: u64,
    hour: Money,
    price_source: String,
}

pub(super) fn parse(file: &str, text: &str) -> Result<Profile, ProfileError> {
    let read: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ProfileError::Text {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            problem: error.message().lines().collect::<Vec<_>>().join(", "),
        }
    })?;
    Ok(Profile {
        name: read.name,
        source: read.source,
        prefill: read.prefill.0,
        prefill_context: read.prefill_context.0,
        step: read.step.0,
        sequence: read.sequence.0,
        sequence_context: read.sequence_context.0,
        blocks: Blocks(read.blocks),
        block: Tokens(read.block),
        queue: read.queue,
        batch: read.batch,
        step_tokens: Tokens(read.step_tokens),
        chunk: Tokens(read.chunk.unwrap_or(read.step_tokens)),
        context: Tokens(read.context),
        hour: read.hour.0,
        price_source: read.price_source,
    })
}

pub(super) fn write(profile: &Profile) -> String {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let time = |time| format!("\"{}\"", Time(time));
    let lines = [
        ("name", text(&profile.name), ""),
        ("source", text(&profile.source), ""),
        ("prefill", time(profile.prefill), "for each prompt token"),
        ("prefill_context", time(profile.prefill_context), "for each, for each 1,024 tokens before it"),
        ("step", time(profile.step), "for each step in which some sequence decodes"),
        ("sequence", time(profile.sequence), "for each sequence that decodes"),
        ("sequence_context", time(profile.sequence_context), "for each, for each 1,024 tokens of its context"),
        ("blocks", profile.blocks.0.to_string(), "of keys and values"),
        ("block", profile.block.0.to_string(), "tokens in one"),
        ("queue", profile.queue.to_string(), "jobs that may wait or run"),
        ("batch", profile.batch.to_string(), "sequences in one step"),
        ("step_tokens", profile.step_tokens.0.to_string(), "computed in one step"),
        ("chunk", profile.chunk.0.to_string(), "of one prompt in one step"),
        ("context", profile.context.0.to_string(), "the longest prompt and answer together"),
        ("hour", format!("\"{}\"", Money(profile.hour)), "dollars"),
        ("price_source", text(&profile.price_source), ""),
    ];
    let mut out = String::new();
    for (key, value, note) in lines {
        // Writing to a string cannot fail.
        let _ = match note {
            "" => writeln!(out, "{key} = {value}"),
            note => writeln!(out, "{key} = {value} # {note}"),
        };
    }
    out
}
