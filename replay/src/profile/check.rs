//! Figures no node can have: found here, in one place.

use std::time::Duration;

use protocol::money::Money;

use super::units::Time;
use super::{Profile, ProfileError};

/// Prompt tokens a second: beyond what any machine does with any model.
const FASTEST_PREFILL: Duration = Duration::from_nanos(100);
/// No machine reads a model's weights sooner.
const FASTEST_STEP: Duration = Duration::from_micros(10);
/// Whatever takes longer is a mistake in the unit.
const SLOWEST: Duration = Duration::from_secs(60);
/// Tokens in a block.
const LARGEST_BLOCK: u64 = 4096;
/// Tokens of a context, a step, all blocks: far beyond any machine, far below overflow.
const MOST_TOKENS: u64 = 1 << 26;
/// A thousand dollars.
const DEAREST: u64 = 1_000_000_000_000;

pub(super) fn check(file: &str, profile: &Profile) -> Result<(), ProfileError> {
    let fault = |field, value: String, remedy: &str| {
        Err(ProfileError::Field { file: file.to_owned(), field, value, remedy: remedy.to_owned() })
    };
    for (field, text) in [("name", &profile.name), ("source", &profile.source), ("price_source", &profile.price_source)]
    {
        if text.trim().is_empty() {
            return fault(field, "empty".to_owned(), "say it: a figure without a source cannot be checked");
        }
    }
    if profile.name.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\')) {
        return fault("name", format!("{:?}", profile.name), "give a name without spaces and slashes");
    }
    let time = |time| Time(time).to_string();
    if profile.prefill < FASTEST_PREFILL {
        let remedy = "no machine prefills ten million tokens a second: give the time of one token";
        return fault("prefill", time(profile.prefill), remedy);
    }
    if profile.step < FASTEST_STEP {
        let remedy = "no machine reads a model's weights in less than 10us: give the time of a step";
        return fault("step", time(profile.step), remedy);
    }
    for (field, value) in [
        ("prefill", profile.prefill),
        ("prefill_context", profile.prefill_context),
        ("step", profile.step),
        ("sequence", profile.sequence),
        ("sequence_context", profile.sequence_context),
    ] {
        if value > SLOWEST {
            return fault(field, time(value), "this is longer than a minute: look at its unit");
        }
    }
    counts(file, profile)?;
    if profile.hour.0 > DEAREST {
        return fault("hour", Money(profile.hour).to_string(), "give dollars for one hour of one node, at most 1000");
    }
    Ok(())
}

fn counts(file: &str, profile: &Profile) -> Result<(), ProfileError> {
    let fault = |field, value: u64, remedy: String| {
        Err(ProfileError::Field { file: file.to_owned(), field, value: value.to_string(), remedy })
    };
    let counts = [
        ("block", profile.block.0, LARGEST_BLOCK),
        ("blocks", profile.blocks.0, MOST_TOKENS),
        ("queue", profile.queue.into(), 1_000_000),
        ("batch", profile.batch.into(), 65_536),
        ("step_tokens", profile.step_tokens.0, MOST_TOKENS),
        ("chunk", profile.chunk.0, MOST_TOKENS),
        ("context", profile.context.0, MOST_TOKENS),
    ];
    for (field, value, most) in counts {
        if value == 0 {
            return fault(field, value, "give at least 1".to_owned());
        }
        if value > most {
            return fault(field, value, format!("give at most {most}"));
        }
    }
    if profile.block > profile.context {
        let remedy = format!("a block cannot be larger than context, {}", profile.context.0);
        return fault("block", profile.block.0, remedy);
    }
    if profile.batch > profile.queue {
        let remedy = format!("no more than queue, {}, can run at once", profile.queue);
        return fault("batch", profile.batch.into(), remedy);
    }
    if u64::from(profile.batch) > profile.step_tokens.0 {
        let remedy = format!("a step has no more sequences than step_tokens, {}", profile.step_tokens.0);
        return fault("batch", profile.batch.into(), remedy);
    }
    if profile.chunk > profile.step_tokens {
        let remedy = format!("a chunk is part of a step of step_tokens, {}", profile.step_tokens.0);
        return fault("chunk", profile.chunk.0, remedy);
    }
    if profile.capacity() < profile.context {
        let remedy = format!(
            "blocks of {} tokens hold {}: lower context, or give at least {} blocks",
            profile.block.0,
            profile.capacity(),
            profile.context.blocks(profile.block).0
        );
        return fault("context", profile.context.0, remedy);
    }
    Ok(())
}
