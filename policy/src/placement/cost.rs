//! What a prompt costs on a node, in time.
//!
//! The formula is Dynamo's (prefill that is left after the cache, plus what decodes there) with each part
//! brought to one unit by the node's measured rates:
//!
//! ```text
//! cost    = prefill + queue + decode
//! prefill = (prompt - cached) / rate
//! queue   = (prefill that is due there, reported and sent) / rate
//! decode  = answer x (base + sequence + 2 b sequence / 6)     step(b) = base + b sequence
//! ```
//!
//! `b` are the jobs there. `(b + 1) step(b + 1) - b step(b)`, which is the last line without its 6, is what all
//! sequences of the node wait longer in sum because of the new one. What depends on `b` counts a sixth of that: who
//! decodes there now will be gone before the answer is long, and prompts that queue hold up the decoding of all as well.
//! Replay says what the whole term costs and gains (docs/simulations.md).
//!
//! Rates are measured, so equal machines differ by chance. Differences of less than a fifth from the fastest
//! count as none: otherwise the one with the luckiest measurement would get all that comes while all are idle.
//! A node that has measured nothing yet counts as fast as the fastest, so that it gets work and can measure;
//! one that claims what cannot be, as slow as the slowest.

use std::time::Duration;

use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

use super::{Candidate, Prompt, Settings};
use crate::rates::{FASTEST, SHORTEST};

/// No engine that is of use takes longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Beyond any prompt and any queue, and far below overflow.
const MOST_TOKENS: u64 = 1 << 32;
/// A prompt's token costs a whole forward pass once; a context's token costs a read of its keys and values
/// in each step. So many of the latter weigh as one of the former, where tokens are counted.
const CONTEXT_SHARE: u64 = 16;

/// What a prompt costs on a node, part by part, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// To compute what is not cached.
    pub prefill: u64,
    /// To wait for what is due before it.
    pub queue: u64,
    /// To decode, for itself and the others.
    pub decode: u64,
    /// Age of the oldest job that waits there.
    pub oldest: u64,
    /// Whether there are blocks and a place for it.
    pub room: bool,
}

impl Price {
    /// All parts together.
    pub fn total(&self) -> u64 {
        self.prefill.saturating_add(self.queue).saturating_add(self.decode)
    }

    /// Whether a prompt waits there for so long.
    pub fn saturated(&self, wait: Duration) -> bool {
        let wait = micros(wait);
        !self.room || self.queue >= wait || self.oldest >= wait
    }
}

/// How a set of candidates is measured.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick {
    prompt: Prompt,
    /// Tokens that the answer is expected to have.
    answer: u64,
    /// Prompt tokens a second.
    prefill: Span,
    /// Nanoseconds of a step with one sequence.
    step: Span,
    /// Nanoseconds that one more sequence adds.
    sequence: Span,
    /// Microseconds that a prompt token takes at the best rate.
    per_token: f64,
}

/// From the best to the worst that is believed.
#[derive(Clone, Copy, Debug)]
struct Span {
    best: u64,
    worst: u64,
}

/// A figure as a node claims it.
#[derive(Clone, Copy)]
enum Claim {
    Unmeasured,
    Absurd,
    Measured(u64),
}

/// What those who may be asked claim of themselves, gathered while they are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    /// How many they are.
    pub count: u64,
    prefill: Option<Span>,
    step: Option<Span>,
    sequence: Option<Span>,
}

impl Claims {
    /// Of all of them.
    pub fn of(candidates: &[Candidate]) -> Self {
        let mut claims = Self::default();
        candidates.iter().filter(|candidate| !candidate.open).for_each(|candidate| claims.note(&candidate.rates));
        claims
    }

    /// One more.
    pub fn note(&mut self, rates: &Rates) {
        self.count += 1;
        note(&mut self.prefill, claimed_prefill(rates), u64::gt);
        note(&mut self.step, claimed_step(rates), u64::lt);
        note(&mut self.sequence, claimed_sequence(rates), u64::lt);
    }
}

impl Yardstick {
    /// For a prompt, by what those claim who may be asked.
    pub fn new(prompt: &Prompt, claims: &Claims, settings: &Settings) -> Self {
        let answer = prompt.answer.min(settings.answer).0.clamp(1, 1 << 16);
        let only = |value: u64| Span { best: value, worst: value };
        let Rates { prefill: rate, step: base, sequence: each } = settings.rates;
        let prefill = claims.prefill.unwrap_or(only(rate.clamp(1, FASTEST).into()));
        Self {
            prompt: Prompt { tokens: bounded(prompt.tokens), ..*prompt },
            answer,
            prefill,
            per_token: 1e6 / prefill.best.max(1) as f64,
            step: claims.step.unwrap_or(only(nanos(base.saturating_add(each)))),
            sequence: claims.sequence.unwrap_or(only(nanos(each))),
        }
    }

    /// Prompt tokens that need not be computed there, as far as anybody knows. The last is computed always.
    pub fn cached(&self, candidate: &Candidate) -> Tokens {
        let believed = candidate.cached.or(candidate.session).unwrap_or_default();
        believed.min(self.prompt.tokens - Tokens(1))
    }

    /// What the prompt costs there.
    pub fn price(&self, candidate: &Candidate) -> Price {
        let rate = self.rate(candidate);
        let uncached = self.prompt.tokens - self.cached(candidate);
        let step = match claimed_step(&candidate.rates) {
            Claim::Measured(step) if step.saturating_mul(4) > self.step.best.saturating_mul(5) => step,
            Claim::Absurd => self.step.worst,
            _ => self.step.best,
        };
        let sequence = match claimed_sequence(&candidate.rates) {
            Claim::Measured(sequence) => sequence,
            Claim::Absurd => self.sequence.worst,
            Claim::Unmeasured => self.sequence.best,
        };
        // Batches that were always small do not show what a sequence costs; it is never nothing.
        let sequence = sequence.max(step / LEAST_SHARE);
        let jobs = jobs(candidate);
        let each = step.saturating_add(sequence.saturating_mul(2 * u64::from(jobs)) / CROWD);
        let free = candidate.blocks - candidate.load.blocks_used - candidate.sent.fresh.blocks(self.prompt.block);
        Price {
            prefill: time(uncached, rate),
            queue: time(due(candidate), rate),
            decode: self.answer.saturating_mul(each) / 1_000,
            oldest: micros(candidate.oldest),
            // A prompt that is longer than the whole cache is refused anywhere alike.
            room: self.fits(uncached, free, candidate.blocks) && jobs < candidate.jobs,
        }
    }

    /// Less than this, in microseconds, nobody costs who has nothing cached and so much due: what everybody is spared
    /// who cannot be among the best.
    pub(super) fn floor(&self, candidate: &Candidate) -> u64 {
        let tokens = self.prompt.tokens.0.saturating_add(due(candidate).0) as f64;
        // Rounded down twice in a price, and floats are not exact: two microseconds cover both.
        let prefill = (tokens * self.per_token) as u64;
        (prefill + self.answer.saturating_mul(self.step.best) / 1_000).saturating_sub(2)
    }

    /// Whether so much fits into the free blocks of so many; what fills the whole cache needs all of it.
    fn fits(&self, uncached: Tokens, free: Blocks, all: Blocks) -> bool {
        let room = free.0.saturating_mul(self.prompt.block.0.max(1));
        all.max(Blocks(1)) <= free || (uncached + Tokens(self.answer)).0 <= room
    }

    /// The time that it takes there to compute so much.
    pub(super) fn worth(&self, candidate: &Candidate, tokens: Tokens) -> Duration {
        Duration::from_micros(time(tokens, self.rate(candidate)))
    }

    /// Tokens that it carries: what a prompt there would wait for, in tokens of prefill.
    pub(super) fn carries(&self, candidate: &Candidate) -> u64 {
        due(candidate).0.saturating_add(candidate.load.context.0.min(MOST_TOKENS) / CONTEXT_SHARE)
    }

    fn rate(&self, candidate: &Candidate) -> u64 {
        match claimed_prefill(&candidate.rates) {
            Claim::Measured(rate) if rate * 5 < self.prefill.best * 4 => rate,
            Claim::Absurd => self.prefill.worst,
            _ => self.prefill.best,
        }
    }
}

/// The part of what others wait that counts, as a divisor.
const CROWD: u64 = 6;
/// A sequence takes at least so small a part of a decode step: its keys, its values and its sampling.
const LEAST_SHARE: u64 = 128;

/// Widens a span by a figure; `better` says which of two is the better one.
#[inline]
fn note(span: &mut Option<Span>, claim: Claim, better: impl Fn(&u64, &u64) -> bool) {
    let Claim::Measured(value) = claim else { return };
    let span = span.get_or_insert(Span { best: value, worst: value });
    if better(&value, &span.best) {
        span.best = value;
    }
    if better(&span.worst, &value) {
        span.worst = value;
    }
}

fn claimed_prefill(rates: &Rates) -> Claim {
    match rates.prefill {
        0 => Claim::Unmeasured,
        rate if rate > FASTEST => Claim::Absurd,
        rate => Claim::Measured(rate.into()),
    }
}

fn claimed_step(rates: &Rates) -> Claim {
    match rates.step.saturating_add(rates.sequence) {
        Duration::ZERO => Claim::Unmeasured,
        step if step < SHORTEST || step > LONGEST => Claim::Absurd,
        step => Claim::Measured(nanos(step)),
    }
}

/// Nothing is a fair figure here where a step was measured: some machines decode many as fast as one.
fn claimed_sequence(rates: &Rates) -> Claim {
    match (rates.step, rates.sequence) {
        (Duration::ZERO, Duration::ZERO) => Claim::Unmeasured,
        (_, sequence) if sequence > LONGEST => Claim::Absurd,
        (_, sequence) => Claim::Measured(nanos(sequence)),
    }
}

/// Prefill that is due there. A queue longer than its card can hold is as long as that: the node is full.
fn due(candidate: &Candidate) -> Tokens {
    bounded(candidate.sent.due(bounded(candidate.load.prefill)))
}

/// Jobs there, at most as many as its card holds.
fn jobs(candidate: &Candidate) -> u32 {
    let reported = candidate.load.running.saturating_add(candidate.load.waiting);
    candidate.sent.held(reported).min(candidate.jobs)
}

fn bounded(tokens: Tokens) -> Tokens {
    tokens.min(Tokens(MOST_TOKENS))
}

/// Microseconds that so many tokens take.
fn time(tokens: Tokens, rate: u64) -> u64 {
    // Most queues are empty, and to divide is what costs most here.
    if tokens == Tokens::ZERO {
        return 0;
    }
    bounded(tokens).0 * 1_000_000 / rate.max(1)
}

// Not by way of 128 bits, for they are asked for each candidate several times.
fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(span.subsec_micros().into())
}

fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos().into())
}
