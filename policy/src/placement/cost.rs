//! What a prompt costs on a node, in time.
//!
//! The formula is Dynamo's (prefill that is left after the cache, plus what decodes there) with each part
//! brought to one unit by the node's measured rates:
//!
//! ```text
//! cost    = prefill + queue + decode
//! prefill = (prompt - cached) / rate
//! queue   = (prefill that is due there, reported and sent) / rate
//! decode  = answer x step(b + 1)                              step(b) = base + b sequence
//! ```
//!
//! `b` are the jobs there. What these wait longer because of the new one, which would be as much again, is not counted:
//! who decodes there now will be gone before the answer is long. Measured by replay, to count it costs 3 % of the time
//! to the first token where nothing is shared, and gains no latency there.
//!
//! Rates are measured, so equal machines differ by chance. Differences of less than a fifth from the fastest
//! count as none: otherwise the one with the luckiest measurement would get all that comes while all are idle.
//! Decoding is compared by whole steps, with as many sequences as nodes have at the time. The two parts of a step are
//! told apart badly where the batch hardly changes: one is too small by as much as the other is too large. Compared
//! each by itself, they made of equal nodes cheap and dear ones, by more than prompts that queue: that cost 14 % of the
//! time to the first token where nothing is shared.
//! A node that has measured nothing yet counts as fast as the fastest, so that it gets work and can measure;
//! one that claims what cannot be, as slow as the slowest.

use std::time::Duration;

use protocol::engine::Load;
use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

use super::ledger::Sent;
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
    /// To decode, beside those that are there.
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
    /// Steps that decode.
    decode: Decode,
    /// Sequences, beside one, with which these are compared.
    batch: u64,
}

/// From the best to the worst that is believed.
#[derive(Clone, Copy, Debug)]
struct Span {
    best: u64,
    worst: u64,
}

/// Steps that decode, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// With one sequence.
    step: u64,
    /// What one more adds.
    sequence: u64,
}

impl Pace {
    /// A step with so many sequences beside one.
    fn with(&self, more: u64) -> u64 {
        self.step.saturating_add(self.sequence.saturating_mul(more))
    }
}

/// The fastest and the slowest steps that are believed, the shortest of any with one sequence, and the least that any
/// takes for one more.
#[derive(Clone, Copy, Debug)]
struct Decode {
    best: Pace,
    worst: Pace,
    least: u64,
    least_each: u64,
}

impl From<Pace> for Decode {
    fn from(only: Pace) -> Self {
        Self { best: only, worst: only, least: only.step, least_each: only.sequence }
    }
}

/// A figure as a node claims it.
#[derive(Clone, Copy)]
enum Claim<T> {
    Unmeasured,
    Absurd,
    Measured(T),
}

/// How fast a node claims to be, as far as it has measured it and it can be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claimed {
    /// Prompt tokens a second; 0 if it does not count.
    prefill: u64,
    /// A step of 0 if it does not count.
    pace: Pace,
}

impl From<&Rates> for Claimed {
    fn from(rates: &Rates) -> Self {
        let prefill = if let Claim::Measured(rate) = claimed_prefill(rates) { rate } else { 0 };
        let pace = if let Claim::Measured(pace) = claimed_pace(rates) { pace } else { Pace::default() };
        Self { prefill, pace }
    }
}

/// What those who may be asked claim of themselves, gathered while they are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    /// How many they are.
    pub count: u64,
    /// Sequences, beside one, with which steps are compared.
    batch: u64,
    /// Jobs of all of them.
    jobs: u64,
    prefill: Option<Span>,
    decode: Option<Decode>,
}

impl Claims {
    /// None yet. Steps will be compared with so many sequences: about as many as nodes have.
    pub fn new(batch: u64) -> Self {
        Self { batch: batch.min(CROWDED), ..Self::default() }
    }

    /// Of all of them.
    pub fn of(candidates: &[Candidate]) -> Self {
        let asked = || candidates.iter().filter(|candidate| !candidate.open);
        let count = asked().count().max(1) as u64;
        let mut claims = Self::new(asked().map(|candidate| u64::from(jobs(candidate))).sum::<u64>() / count);
        asked().for_each(|candidate| claims.note(&Claimed::from(&candidate.rates), jobs(candidate)));
        claims
    }

    /// One more, who has so many jobs.
    #[inline]
    pub(super) fn note(&mut self, claimed: &Claimed, jobs: u32) {
        self.count += 1;
        self.jobs += u64::from(jobs);
        let Claimed { prefill: rate, pace } = *claimed;
        if rate > 0 {
            let span = self.prefill.get_or_insert(Span { best: rate, worst: rate });
            (span.best, span.worst) = (span.best.max(rate), span.worst.min(rate));
        }
        if pace.step > 0 {
            let step = pace.with(self.batch);
            let decode = self.decode.get_or_insert(pace.into());
            if step < decode.best.with(self.batch) {
                decode.best = pace;
            }
            if step > decode.worst.with(self.batch) {
                decode.worst = pace;
            }
            decode.least = decode.least.min(pace.step);
            decode.least_each = decode.least_each.min(pace.sequence);
        }
    }

    /// Jobs that each of them has, in the mean.
    pub fn mean_jobs(&self) -> u64 {
        self.jobs / self.count.max(1)
    }
}

/// What a node costs at least, by what is due there and its jobs; in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    token: u64,
    job: u64,
    most: u64,
}

impl Bar {
    /// Whether such a node costs more in any case.
    pub(super) fn excludes(&self, due: Tokens, jobs: u32) -> bool {
        due.0.saturating_mul(self.token).saturating_add(self.job.saturating_mul(jobs.into())) > self.most
    }
}

impl Yardstick {
    /// For a prompt, by what those claim who may be asked.
    pub fn new(prompt: &Prompt, claims: &Claims, settings: &Settings) -> Self {
        let answer = prompt.answer.min(settings.answer).0.clamp(1, 1 << 16);
        let Rates { prefill: rate, step: base, sequence: each } = settings.rates;
        let rate = rate.clamp(1, FASTEST).into();
        let prefill = claims.prefill.unwrap_or(Span { best: rate, worst: rate });
        let pace = Pace { step: nanos(base.saturating_add(each)), sequence: nanos(each) };
        Self {
            prompt: Prompt { tokens: bounded(prompt.tokens), ..*prompt },
            answer,
            prefill,
            decode: claims.decode.unwrap_or(pace.into()),
            batch: claims.batch,
        }
    }

    /// Prompt tokens that need not be computed there, as far as anybody knows. The last is computed always.
    pub fn cached(&self, candidate: &Candidate) -> Tokens {
        self.believed(candidate.cached.or(candidate.session))
    }

    /// Likewise, where so much is believed to be cached.
    pub(super) fn believed(&self, cached: Option<Tokens>) -> Tokens {
        let believed = cached.unwrap_or_default();
        believed.min(self.prompt.tokens - Tokens(1))
    }

    /// What the prompt costs there.
    pub fn price(&self, candidate: &Candidate) -> Price {
        let rate = self.rate(candidate);
        let uncached = self.prompt.tokens - self.cached(candidate);
        let Pace { step, sequence } = match claimed_pace(&candidate.rates) {
            Claim::Measured(pace) if slower(pace.with(self.batch), self.decode.best.with(self.batch)) => pace,
            Claim::Absurd => self.decode.worst,
            _ => self.decode.best,
        };
        // Batches that were always small do not show what a sequence costs; it is never nothing.
        let sequence = sequence.max(step / LEAST_SHARE);
        let jobs = jobs(candidate);
        let each = step.saturating_add(sequence.saturating_mul(jobs.into()));
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

    /// What those must be below who have nothing cached and cost no more than so many microseconds: what everybody is
    /// spared who cannot be among the best.
    pub(super) fn bar(&self, cost: u64) -> Bar {
        let token = 1_000_000_000 / self.prefill.best.max(1);
        let Decode { least, least_each, .. } = self.decode;
        let job = self.answer.saturating_mul(least_each.max(least / LEAST_SHARE));
        let base = token.saturating_mul(self.prompt.tokens.0).saturating_add(self.answer.saturating_mul(least));
        // The three parts of a price are rounded down to microseconds.
        let most = cost.saturating_add(3).saturating_mul(1_000).saturating_sub(base);
        Bar { token, job, most }
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

/// Steps are compared with no more sequences.
const CROWDED: u64 = 1_024;
/// A sequence takes at least so small a part of a decode step: its keys, its values and its sampling.
const LEAST_SHARE: u64 = 128;

/// Whether it takes longer by more than a fifth of itself.
fn slower(time: u64, best: u64) -> bool {
    time.saturating_mul(4) > best.saturating_mul(5)
}

fn claimed_prefill(rates: &Rates) -> Claim<u64> {
    match rates.prefill {
        0 => Claim::Unmeasured,
        rate if rate > FASTEST => Claim::Absurd,
        rate => Claim::Measured(rate.into()),
    }
}

/// That a sequence adds nothing is fair where a step was measured: some machines decode many as fast as one.
fn claimed_pace(rates: &Rates) -> Claim<Pace> {
    // In nanoseconds at once: each candidate's is looked at in every decision.
    let sequence = nanos(rates.sequence);
    match nanos(rates.step).saturating_add(sequence) {
        0 => Claim::Unmeasured,
        step if step < const { nanos(SHORTEST) } || step > const { nanos(LONGEST) } => Claim::Absurd,
        step => Claim::Measured(Pace { step, sequence }),
    }
}

fn due(candidate: &Candidate) -> Tokens {
    due_by(&candidate.load, &candidate.sent)
}

fn jobs(candidate: &Candidate) -> u32 {
    jobs_by(&candidate.load, &candidate.sent, candidate.jobs)
}

/// Prefill that is due there. A queue longer than its card can hold is as long as that: the node is full.
pub(super) fn due_by(load: &Load, sent: &Sent) -> Tokens {
    bounded(sent.due(bounded(load.prefill)))
}

/// Jobs there, at most as many as its card holds.
pub(super) fn jobs_by(load: &Load, sent: &Sent, most: u32) -> u32 {
    sent.held(load.running.saturating_add(load.waiting)).min(most)
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

const fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}
