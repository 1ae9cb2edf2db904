//! Single points: how long a step takes that does so much.

use std::time::Duration;

use engine::EngineOptions;
use protocol::engine::Engine;
use protocol::ids::JobKey;

use crate::drive::Drive;
use crate::error::BenchError;
use crate::workload::Prompts;

/// Steps that are measured of each batch, each time.
const STEPS: usize = 8;
/// Tokens of context that a time for context is named for.
const CONTEXT_UNIT: f64 = 1024.0;

/// The least time of steps that do the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// Tokens computed.
    pub(super) tokens: usize,
    /// Of so many sequences.
    pub(super) sequences: usize,
    /// Tokens before the first of them, of all sequences together.
    pub(super) before: usize,
    pub(super) least: Duration,
    /// How often each term of the line counts.
    pub(super) terms: Vec<f64>,
}

impl Point {
    /// A chunk of one prompt: its tokens, and what each has before it.
    pub(super) fn prefill(tokens: usize, before: usize, least: Duration) -> Self {
        let (count, first) = (tokens as f64, before as f64);
        let pairs = count * first + count * (count - 1.0) / 2.0;
        Self { tokens, sequences: 1, before, least, terms: vec![count, pairs / CONTEXT_UNIT] }
    }

    /// A step in which all sequences decode: the step, the sequences, and what they have before them.
    pub(super) fn decode(sequences: usize, before: usize, least: Duration) -> Self {
        let terms = vec![1.0, sequences as f64, before as f64 / CONTEXT_UNIT];
        Self { tokens: sequences, sequences, before, least, terms }
    }

    /// What a line with these values says of it.
    pub(super) fn told(&self, values: &[Duration]) -> Duration {
        let seconds: f64 = self.terms.iter().zip(values).map(|(term, value)| term * value.as_secs_f64()).sum();
        Duration::from_secs_f64(seconds)
    }
}

/// Tokens that the first of so many sequences may have answered once all prompts are computed and all is measured.
pub(super) fn answer(engine: &EngineOptions, batches: &[u32], context: u32, repeats: u32) -> usize {
    let largest = largest(batches) as usize;
    // A step hands out its tokens to the answers first, and the rest to prompts.
    let per_step = (engine.step_tokens as usize).saturating_sub(largest).min(engine.prefill_chunk as usize).max(1);
    let fill = (largest * context as usize).div_ceil(per_step) + largest;
    fill + batches.len() * (STEPS * repeats as usize + 1) + 2 * engine.block as usize
}

pub(super) fn largest(batches: &[u32]) -> u32 {
    batches.iter().copied().max().unwrap_or(1)
}

/// Every chunk of a prompt, from its beginning to its end.
///
/// # Errors
/// The engine fails.
pub(super) fn prefill(
    engine: &mut dyn Engine,
    prompts: &mut Prompts,
    tokens: usize,
    repeats: u32,
) -> Result<Vec<Point>, BenchError> {
    let mut drive = Drive::new(engine);
    let mut points: Vec<Point> = Vec::new();
    // The first is for warmth alone.
    for round in 0..=repeats {
        drive.ask(prompts.next(tokens), 1)?;
        let mut before = 0;
        let mut number = 0;
        while !drive.load().is_idle() {
            let step = drive.step()?;
            let computed = step.progress.prefill.as_usize();
            if computed > 0 && round > 0 {
                match points.get_mut(number) {
                    Some(point) => point.least = point.least.min(step.took),
                    None => points.push(Point::prefill(computed, before, step.took)),
                }
                number += 1;
            }
            before += computed;
        }
    }
    Ok(points)
}

/// For each batch, a step in which all of it decode. The largest is filled once; the others are what is left of it.
///
/// # Errors
/// The engine fails, or the answers end before such a step.
pub(super) fn decode(
    engine: &mut dyn Engine,
    prompts: &mut Prompts,
    batches: &[u32],
    context: usize,
    answer: usize,
    repeats: u32,
) -> Result<Vec<Point>, BenchError> {
    let mut drive = Drive::new(engine);
    let mut keys: Vec<JobKey> = Vec::new();
    for _ in 0..largest(batches) {
        keys.push(drive.ask(prompts.next(context), answer)?);
    }
    let mut sizes: Vec<usize> = batches.iter().map(|batch| *batch as usize).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut points = Vec::new();
    for sequences in sizes.into_iter().rev() {
        for key in keys.drain(sequences.min(keys.len())..) {
            drive.cancel(key);
        }
        points.push(steady(&mut drive, sequences, context, STEPS * repeats as usize)?);
    }
    for key in keys {
        drive.cancel(key);
    }
    Ok(points)
}

/// The least of so many steps in which all sequences decode, and nothing else.
fn steady(drive: &mut Drive<'_>, sequences: usize, context: usize, steps: usize) -> Result<Point, BenchError> {
    let mut least: Option<(Duration, usize)> = None;
    let mut left = steps;
    while left > 0 && !drive.load().is_idle() {
        let before = drive.load().context.as_usize();
        let step = drive.step()?;
        if step.progress.prefill.0 > 0 || step.tokens.len() != sequences {
            continue;
        }
        left -= 1;
        if least.is_none_or(|(time, _)| step.took < time) {
            // A sequence's last token has no keys and values yet.
            least = Some((step.took, before.saturating_sub(sequences)));
        }
    }
    let (time, before) = least.ok_or_else(|| {
        BenchError::Nothing(format!(
            "no step had all {sequences} sequences of {context} tokens: the KV cache is too small"
        ))
    })?;
    Ok(Point::decode(sequences, before, time))
}
