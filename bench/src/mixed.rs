//! A load of mixed lengths, and what an engine carries of it.
//!
//! Lengths are log-uniform: short ones are common, long ones rare, as in the traffic of a chat. A
//! continuous run hands all requests in at once and lets the engine batch them; a static run hands in a
//! batch, waits until all of it has ended, and hands in the next.

use std::collections::HashMap;
use std::time::Duration;

use protocol::engine::Load;
use protocol::ids::JobKey;

use crate::drive::{Drive, Step};
use crate::error::BenchError;
use crate::workload::Prompts;

/// A request, by its lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) prompt: usize,
    pub(crate) answer: usize,
}

/// How requests are handed to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batching {
    /// All at once: whoever ends makes room for the next.
    Continuous,
    /// So many at a time; who ends early leaves the batch and nobody takes the place.
    Static(usize),
    /// So many at a time; who ends early is computed on as padding until the longest has ended, as the
    /// batches of Hugging Face's `generate` are.
    Padded(usize),
}

/// What was carried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    /// Tokens of answers that somebody asked for.
    pub(crate) tokens: usize,
    pub(crate) time: Duration,
    /// The most requests that ran at once.
    pub(crate) most: u32,
    /// Requests that ran at once while others waited, on average over the steps.
    pub(crate) mean: f64,
    /// Share of the KV slots taken that held no token; none if never all running requests were at their answers.
    pub(crate) waste: Option<f64>,
    pub(crate) preempted: u32,
}

/// Requests of random lengths, each within its bounds.
pub(crate) fn requests(
    random: &mut Prompts,
    count: usize,
    prompt: (usize, usize),
    answer: (usize, usize),
) -> Vec<Request> {
    let mut length = |(least, most): (usize, usize)| {
        let (least, most) = (least.max(1) as f64, most.max(least).max(1) as f64);
        let share = random.within(0, 1 << 20) as f64 / (1 << 20) as f64;
        (least * (most / least).powf(share)).round() as usize
    };
    (0..count).map(|_| Request { prompt: length(prompt), answer: length(answer) }).collect()
}

/// Runs the load to its end.
///
/// # Errors
/// As of [`Drive::step`].
pub(crate) fn run(
    drive: &mut Drive<'_>,
    prompts: &mut Prompts,
    requests: &[Request],
    batching: Batching,
) -> Result<Carried, BenchError> {
    let batch = match batching {
        Batching::Continuous => requests.len(),
        Batching::Static(batch) | Batching::Padded(batch) => batch,
    };
    let mut book = Book::default();
    let begin = drive.now();
    for part in requests.chunks(batch.max(1)) {
        let longest = part.iter().map(|request| request.answer).max().unwrap_or(1);
        for request in part {
            let answer = if matches!(batching, Batching::Padded(_)) { longest } else { request.answer };
            let key = drive.ask(prompts.next(request.prompt), answer)?;
            book.prompts.insert(key, request.prompt);
        }
        while !drive.load().is_idle() {
            let step = drive.step()?;
            book.note(&step, &drive.load(), drive.block());
        }
    }
    let tokens = requests.iter().map(|request| request.answer).sum();
    Ok(book.carried(tokens, drive.now().saturating_sub(begin)))
}

/// What each running request holds, step by step.
#[derive(Debug, Default)]
struct Book {
    prompts: HashMap<JobKey, usize>,
    answers: HashMap<JobKey, usize>,
    most: u32,
    crowded_steps: u64,
    crowd: u64,
    held: u64,
    slots: u64,
    preempted: u32,
}

impl Book {
    fn note(&mut self, step: &Step, load: &Load, block: u64) {
        for key in &step.tokens {
            *self.answers.entry(*key).or_default() += 1;
        }
        for key in &step.ended {
            self.prompts.remove(key);
            self.answers.remove(key);
        }
        self.preempted += step.progress.preempted;
        self.most = self.most.max(load.running);
        if load.waiting > 0 {
            self.crowded_steps += 1;
            self.crowd += u64::from(load.running);
        }
        // Only where each running request got a token are all of their other tokens computed, and so in their blocks.
        let at_answers: Vec<_> = step.tokens.iter().filter(|key| self.prompts.contains_key(key)).collect();
        if load.running > 0 && at_answers.len() == load.running as usize {
            let held = |key: &JobKey| {
                let of = |all: &HashMap<JobKey, usize>| all.get(key).copied().unwrap_or(0);
                (of(&self.prompts) + of(&self.answers)).saturating_sub(1) as u64
            };
            self.held += at_answers.into_iter().map(held).sum::<u64>();
            self.slots += load.blocks_used.0 * block;
        }
    }

    fn carried(&self, tokens: usize, time: Duration) -> Carried {
        let share = |part: u64, whole: u64| if whole == 0 { None } else { Some(part as f64 / whole as f64) };
        Carried {
            tokens,
            time,
            most: self.most,
            mean: share(self.crowd, self.crowded_steps).unwrap_or(f64::from(self.most)),
            waste: share(self.held, self.slots).map(|used| 1.0 - used),
            preempted: self.preempted,
        }
    }
}

#[cfg(test)]
mod tests;
