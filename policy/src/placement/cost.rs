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

use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

use super::claims::{Claims, Decode, Span};
use super::pace::{Batch, Pace};
use super::standing::{Claim, Standing, bounded, micros, nanos};
use super::{Prompt, Settings};
use crate::rates::FASTEST;

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
pub(super) struct Yardstick {
    prompt: Prompt,
    /// Tokens that the answer is expected to have.
    answer: u64,
    /// Prompt tokens a second.
    prefill: Span,
    /// Steps that decode.
    decode: Decode,
    /// Sequences, beside one, with which these are compared.
    batch: Batch,
    /// What everybody costs at least.
    least: Least,
}

/// What everybody costs at least, in nanoseconds: to compute a token of a prompt, to decode beside one more job, and to
/// decode at all.
#[derive(Clone, Copy, Debug)]
struct Least {
    token: u64,
    job: u64,
    answer: u64,
}

impl Least {
    /// More than that counts as so much for a job: figures of most nodes are not to run over, and that is not to be looked
    /// for with each.
    const MOST: u64 = 1 << 30;
}

/// What a node costs at least, by the tokens that are computed there before an answer comes and by its jobs; in
/// nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    token: u64,
    job: u64,
    most: u64,
}

impl Bar {
    /// Excludes nobody.
    pub(super) const NONE: Self = Self { token: 0, job: 0, most: u64::MAX };

    /// Whether such a node costs more in any case.
    pub(super) fn excludes(&self, tokens: Tokens, jobs: u32) -> bool {
        // At most 2^33 tokens and 2^32 jobs: far below overflow.
        tokens.0 * self.token + u64::from(jobs) * self.job > self.most
    }
}

impl Yardstick {
    /// For a prompt, by what those claim who may be asked.
    pub(super) fn new(prompt: &Prompt, claims: &Claims, settings: &Settings) -> Self {
        let answer = prompt.answer.min(settings.answer).0.clamp(1, 1 << 16);
        let Rates { prefill: rate, step: base, sequence: each } = settings.rates;
        let prefill = claims.prefill(rate.clamp(1, FASTEST).into());
        let decode = claims.decode(Pace::new(nanos(base.saturating_add(each)), nanos(each)));
        let least = Least {
            token: 1_000_000_000 / prefill.best.max(1),
            job: answer.saturating_mul(decode.least_each.max(decode.least_step / LEAST_SHARE)).min(Least::MOST),
            answer: answer.saturating_mul(decode.least_step),
        };
        let prompt = Prompt { tokens: bounded(prompt.tokens), ..*prompt };
        Self { prompt, answer, prefill, decode, batch: claims.batch, least }
    }

    /// Prompt tokens that need not be computed where so much is believed to be cached. The last is computed always.
    pub(super) fn believed(&self, cached: Option<Tokens>) -> Tokens {
        let believed = cached.unwrap_or_default();
        believed.min(self.prompt.tokens - Tokens(1))
    }

    /// What the prompt costs there, where so much of it need not be computed.
    pub(super) fn price(&self, standing: &Standing, cached: Tokens) -> Price {
        let rate = self.rate(standing);
        let uncached = self.prompt.tokens - cached;
        let pace = match standing.pace {
            Claim::Measured(pace) if slower(pace.with(self.batch), self.decode.shortest) => pace,
            Claim::Absurd => self.decode.worst,
            _ => self.decode.best,
        };
        // Batches that were always small do not show what a sequence costs; it is never nothing.
        let sequence = pace.sequence().max(pace.step() / LEAST_SHARE);
        let each = pace.step().saturating_add(sequence.saturating_mul(standing.jobs.into()));
        let free = standing.blocks - standing.used - standing.fresh.blocks(self.prompt.block);
        Price {
            prefill: time(uncached, rate),
            queue: time(standing.due, rate),
            decode: self.answer.saturating_mul(each) / 1_000,
            oldest: standing.oldest,
            // A prompt that is longer than the whole cache is refused anywhere alike.
            room: self.fits(uncached, free, standing.blocks) && !standing.full,
        }
    }

    /// What those must be below who cost no more than so many microseconds: what everybody is spared who cannot be among
    /// the best.
    pub(super) fn bar(&self, cost: u64) -> Bar {
        let Least { token, job, answer } = self.least;
        // The three parts of a price are rounded down to microseconds.
        let most = cost.saturating_add(3).saturating_mul(1_000).saturating_sub(answer);
        Bar { token, job, most }
    }

    /// Tokens that are computed there before an answer comes: those that are due, and of the prompt what is not cached.
    pub(super) fn before(&self, due: Tokens, cached: Tokens) -> Tokens {
        due + (self.prompt.tokens - cached)
    }

    /// Whether so much fits into the free blocks of so many; what fills the whole cache needs all of it.
    fn fits(&self, uncached: Tokens, free: Blocks, all: Blocks) -> bool {
        let room = free.0.saturating_mul(self.prompt.block.0.max(1));
        all.max(Blocks(1)) <= free || (uncached + Tokens(self.answer)).0 <= room
    }

    /// The time that it takes there to compute so much.
    pub(super) fn worth(&self, standing: &Standing, tokens: Tokens) -> Duration {
        Duration::from_micros(time(tokens, self.rate(standing)))
    }

    fn rate(&self, standing: &Standing) -> u64 {
        match standing.prefill {
            Claim::Measured(rate) if u64::from(rate) * 5 < self.prefill.best * 4 => rate.into(),
            Claim::Absurd => self.prefill.worst,
            _ => self.prefill.best,
        }
    }
}

/// A sequence takes at least so small a part of a decode step: its keys, its values and its sampling.
const LEAST_SHARE: u64 = 128;

/// Whether it takes longer by more than a fifth of itself.
fn slower(time: u64, best: u64) -> bool {
    time.saturating_mul(4) > best.saturating_mul(5)
}

/// Microseconds that so many tokens take.
fn time(tokens: Tokens, rate: u64) -> u64 {
    // Most queues are empty, and to divide is what costs most here.
    if tokens == Tokens::ZERO {
        return 0;
    }
    bounded(tokens).0 * 1_000_000 / rate.max(1)
}
