//! How a node stands: what its price is made of, worked out when something of it changes and not in each decision.

use std::time::Duration;

use protocol::engine::Load;
use protocol::message::Rates;
use protocol::units::{Blocks, Tokens};

use super::Candidate;
use super::ledger::Sent;
use super::pace::{LONGEST, Pace};
use crate::rates::{FASTEST, SHORTEST};

/// Beyond any prompt and any queue, and far below overflow.
const MOST_TOKENS: u64 = 1 << 32;
/// A prompt's token costs a whole forward pass once; a context's token costs a read of its keys and values
/// in each step. So many of the latter weigh as one of the former, where tokens are counted.
const CONTEXT_SHARE: u64 = 16;

/// What a price is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Prefill that is due there.
    pub(super) due: Tokens,
    /// Jobs there, at most as many as its card holds.
    pub(super) jobs: u32,
    /// It holds as many as its card says.
    pub(super) full: bool,
    /// Age of the oldest job that waits there, in microseconds.
    pub(super) oldest: u64,
    /// Tokens that it carries: what a prompt there would wait for, in tokens of prefill.
    pub(super) carries: u64,
    /// Blocks it has, those that are used as it says,
    pub(super) blocks: Blocks,
    pub(super) used: Blocks,
    /// and tokens that it does not know of yet.
    pub(super) fresh: Tokens,
    /// Prompt tokens a second.
    pub(super) prefill: Claim<u32>,
    pub(super) pace: Claim<Pace>,
}

/// A figure as a node claims it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim<T> {
    Unmeasured,
    Absurd,
    Measured(T),
}

impl Standing {
    pub(super) fn of(candidate: &Candidate) -> Self {
        let Candidate { load, oldest, rates, sent, jobs, blocks, .. } = candidate;
        Self::new(load, sent, rates, *oldest, (*jobs, *blocks))
    }

    /// By its report, by what was sent there, and by its card: jobs that it can hold, and blocks that it has.
    pub(super) fn new(load: &Load, sent: &Sent, rates: &Rates, oldest: Duration, card: (u32, Blocks)) -> Self {
        let (most, blocks) = card;
        // A queue longer than its card can hold is as long as that: the node is full.
        let due = bounded(sent.due(bounded(load.prefill)));
        let jobs = sent.held(load.running.saturating_add(load.waiting)).min(most);
        Self {
            due,
            jobs,
            full: jobs >= most,
            oldest: micros(oldest),
            carries: due.0.saturating_add(load.context.0.min(MOST_TOKENS) / CONTEXT_SHARE),
            blocks,
            used: load.blocks_used,
            fresh: sent.fresh,
            prefill: claimed_prefill(rates),
            pace: claimed_pace(rates),
        }
    }
}

fn claimed_prefill(rates: &Rates) -> Claim<u32> {
    match rates.prefill {
        0 => Claim::Unmeasured,
        rate if rate > FASTEST => Claim::Absurd,
        rate => Claim::Measured(rate),
    }
}

/// That a sequence adds nothing is fair where a step was measured: some machines decode many as fast as one.
fn claimed_pace(rates: &Rates) -> Claim<Pace> {
    let sequence = nanos(rates.sequence);
    match nanos(rates.step).saturating_add(sequence) {
        0 => Claim::Unmeasured,
        step if step < const { nanos(SHORTEST) } || step > LONGEST => Claim::Absurd,
        step => Claim::Measured(Pace::new(step, sequence)),
    }
}

pub(super) fn bounded(tokens: Tokens) -> Tokens {
    tokens.min(Tokens(MOST_TOKENS))
}

// Not by way of 128 bits, which would be slower.
pub(super) fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(span.subsec_micros().into())
}

pub(super) const fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}
