//! Single figures: how fast prompts are taken in and answers come out, and how soon.

use std::time::Duration;

use protocol::engine::Engine;
use protocol::ids::JobKey;

use crate::drive::Drive;
use crate::error::BenchError;
use crate::stats::per_second;
use crate::workload::Prompts;

/// Prompts and answers of the peers' measurements.
pub(crate) const PEER_PROMPT: usize = 128;
pub(crate) const PEER_ANSWER: usize = 64;
pub(crate) const PEER_PREFILL: usize = 512;
/// The prompt whose first token is waited for, and how much of it was asked before.
pub(crate) const TTFT_PROMPT: usize = 1032;
pub(crate) const TTFT_SHARED: usize = 1000;

/// A prefill as the peers measure it: the time from the question to its first token, best of three.
///
/// # Errors
/// The engine fails.
pub(crate) fn prefill(engine: &mut dyn Engine, prompts: &mut Prompts, tokens: usize) -> Result<f64, BenchError> {
    let mut drive = Drive::new(engine);
    drive.ask(prompts.next(tokens), 4)?;
    drive.finish()?;
    let mut best = 0.0_f64;
    for _ in 0..3 {
        best = best.max(per_second(tokens, answer_all(&mut drive, prompts, 1, tokens, 1)?));
    }
    Ok(best)
}

/// Decode as vLLM's script measures it: answers of 64 tokens to prompts of 128, less the time that
/// answers of one token take; best of two.
///
/// # Errors
/// The engine fails.
pub(crate) fn decode_as_peers(engine: &mut dyn Engine, prompts: &mut Prompts, batch: u32) -> Result<f64, BenchError> {
    let mut drive = Drive::new(engine);
    let (mut first, mut whole) = (Duration::MAX, Duration::MAX);
    for _ in 0..2 {
        // The shortest of each: a slow first would make the rest look quick.
        first = first.min(answer_all(&mut drive, prompts, batch, PEER_PROMPT, 1)?);
        whole = whole.min(answer_all(&mut drive, prompts, batch, PEER_PROMPT, PEER_ANSWER)?);
    }
    Ok(per_second(batch as usize * (PEER_ANSWER - 1), whole.saturating_sub(first)))
}

fn answer_all(
    drive: &mut Drive<'_>,
    prompts: &mut Prompts,
    batch: u32,
    prompt: usize,
    answer: usize,
) -> Result<Duration, BenchError> {
    let questions: Vec<_> = (0..batch).map(|_| prompts.next(prompt)).collect();
    let begin = drive.now();
    for question in questions {
        drive.ask(question, answer)?;
    }
    drive.finish()?;
    Ok(drive.now().saturating_sub(begin))
}

/// Steps in which every sequence of a batch gets a token: no prompt is computed beside them.
///
/// # Errors
/// The engine fails, or the answers end before enough of such steps.
pub(crate) fn steady_steps(
    engine: &mut dyn Engine,
    prompts: &mut Prompts,
    batch: u32,
    context: usize,
    wanted: usize,
) -> Result<Vec<Duration>, BenchError> {
    let mut drive = Drive::new(engine);
    let answer = steady_answer(drive.context(), context);
    let keys: Vec<JobKey> =
        (0..batch).map(|_| drive.ask(prompts.next(context), answer)).collect::<Result<_, BenchError>>()?;
    let mut steps = Vec::with_capacity(wanted);
    while steps.len() < wanted && !drive.load().is_idle() {
        let step = drive.step()?;
        // The first such step ends the last prompt: it is the next one that is nothing but decoding.
        if step.progress.prefill.0 == 0 && step.tokens.len() == batch as usize {
            steps.push(step.took);
        }
    }
    for key in keys {
        drive.cancel(key);
    }
    if steps.len() < wanted {
        let (steps, batch) = (steps.len(), batch as usize);
        return Err(BenchError::Nothing(format!(
            "{steps} steps had all {batch} sequences of {context} tokens, {wanted} are wanted: the KV cache is too small"
        )));
    }
    Ok(steps)
}

/// As long as the model allows: the answers are cut off once enough steps are measured.
fn steady_answer(limit: usize, context: usize) -> usize {
    limit.saturating_sub(context).max(1)
}

/// Time to the first token of a prompt whose first `shared` tokens were asked before, and how many of its
/// tokens were found in the cache. With nothing shared it is cold.
///
/// # Errors
/// The engine fails.
pub(crate) fn first_token(
    engine: &mut dyn Engine,
    prompts: &mut Prompts,
    tokens: usize,
    shared: usize,
) -> Result<(Duration, u64), BenchError> {
    let mut drive = Drive::new(engine);
    let mut prompt = prompts.next(tokens);
    if shared > 0 {
        drive.ask(prompt.clone(), 1)?;
        drive.finish()?;
        prompt.truncate(shared);
        prompt.extend(prompts.next(tokens.saturating_sub(shared)));
    }
    let begin = drive.now();
    drive.ask(prompt, 1)?;
    let mut cached = 0;
    loop {
        let step = drive.step()?;
        cached += step.started.iter().map(|(_, cached)| cached.0).sum::<u64>();
        if !step.tokens.is_empty() {
            return Ok((step.end.saturating_sub(begin), cached));
        }
    }
}
