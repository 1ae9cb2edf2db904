//! How fast those who may be asked claim to be: what a price is measured by.

use super::pace::{Batch, Pace};
use super::standing::{Claim, Standing};

/// How fast a node claims to be, as far as it has measured it and it can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    /// Jobs there.
    pub(super) jobs: u32,
    /// Prompt tokens a second; 0 if it does not count.
    prefill: u32,
    /// [`Pace::NONE`] if it does not count.
    pace: Pace,
}

impl From<&Standing> for Claimed {
    fn from(standing: &Standing) -> Self {
        let prefill = if let Claim::Measured(rate) = standing.prefill { rate } else { 0 };
        let pace = if let Claim::Measured(pace) = standing.pace { pace } else { Pace::NONE };
        Self { jobs: standing.jobs, prefill, pace }
    }
}

/// From the best to the worst that is believed, in prompt tokens a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) best: u64,
    pub(super) worst: u64,
}

/// The fastest and the slowest steps that are believed, the shortest of any with one sequence, and the least that any
/// takes for one more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decode {
    pub(super) best: Pace,
    pub(super) worst: Pace,
    pub(super) least_step: u64,
    pub(super) least_each: u64,
    /// How long the fastest and the slowest take with as many sequences as are compared.
    pub(super) shortest: u64,
    longest: u64,
}

impl Span {
    /// Of nobody yet.
    const NONE: Self = Self { best: 0, worst: u64::MAX };

    fn note(&mut self, rate: u64) {
        (self.best, self.worst) = (self.best.max(rate), self.worst.min(rate));
    }
}

impl Decode {
    /// Of nobody yet.
    const NONE: Self = Self {
        best: Pace::NONE,
        worst: Pace::NONE,
        least_step: u64::MAX,
        least_each: u64::MAX,
        shortest: u64::MAX,
        longest: 0,
    };

    fn note(&mut self, pace: Pace, batch: Batch) {
        let step = pace.with(batch);
        if step < self.shortest {
            (self.best, self.shortest) = (pace, step);
        }
        if step > self.longest {
            (self.worst, self.longest) = (pace, step);
        }
        self.least_step = self.least_step.min(pace.step());
        self.least_each = self.least_each.min(pace.sequence());
    }
}

/// What those who may be asked claim of themselves, gathered while they are listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims {
    /// How many they are.
    pub(super) count: u64,
    /// Sequences, beside one, with which steps are compared.
    pub(super) batch: Batch,
    /// Jobs of all of them.
    jobs: u64,
    prefill: Span,
    decode: Decode,
}

impl Claims {
    /// None yet. Steps will be compared with so many sequences: about as many as nodes have.
    pub(super) fn new(batch: Batch) -> Self {
        Self { count: 0, batch, jobs: 0, prefill: Span::NONE, decode: Decode::NONE }
    }

    /// Of all of them.
    pub(super) fn of<'a>(asked: impl Iterator<Item = &'a Standing> + Clone) -> Self {
        let count = asked.clone().count().max(1) as u64;
        let mut claims =
            Self::new(Batch::of(asked.clone().map(|standing| u64::from(standing.jobs)).sum::<u64>() / count));
        asked.for_each(|standing| claims.note(&standing.into()));
        claims
    }

    /// One more.
    #[inline]
    pub(super) fn note(&mut self, claimed: &Claimed) {
        self.count += 1;
        self.jobs += u64::from(claimed.jobs);
        if claimed.prefill > 0 {
            self.prefill.note(claimed.prefill.into());
        }
        if !claimed.pace.is_none() {
            self.decode.note(claimed.pace, self.batch);
        }
    }

    /// With how many sequences the next are to be compared: as many jobs as each of them has, in the mean.
    pub(super) fn mean_jobs(&self) -> Batch {
        Batch::of(self.jobs / self.count.max(1))
    }

    /// How fast they compute prompts; so fast if nobody has measured it.
    pub(super) fn prefill(&self, rate: u64) -> Span {
        if self.prefill.best > 0 { self.prefill } else { Span { best: rate, worst: rate } }
    }

    /// How fast they decode; so fast if nobody has measured it.
    pub(super) fn decode(&self, pace: Pace) -> Decode {
        let mut decode = self.decode;
        if decode.longest == 0 {
            decode.note(pace, self.batch);
        }
        decode
    }
}
