//! How fast those who may be asked claim to be: what a price is measured by.

use super::standing::{Claim, Pace, Standing};

/// Steps are compared with no more sequences.
const CROWDED: u64 = 1_024;

/// How fast a node claims to be, as far as it has measured it and it can be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claimed {
    /// Prompt tokens a second; 0 if it does not count.
    prefill: u32,
    /// A step of 0 if it does not count.
    pace: Pace,
}

impl From<&Standing> for Claimed {
    fn from(standing: &Standing) -> Self {
        let prefill = if let Claim::Measured(rate) = standing.prefill { rate } else { 0 };
        let pace = if let Claim::Measured(pace) = standing.pace { pace } else { Pace::default() };
        Self { prefill, pace }
    }
}

/// From the best to the worst that is believed.
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
    pub(super) least: u64,
    pub(super) least_each: u64,
    /// How long the fastest and the slowest take with as many sequences as are compared.
    pub(super) shortest: u64,
    longest: u64,
}

impl Decode {
    /// One, who takes so long with as many sequences as are compared.
    pub(super) fn new(pace: Pace, step: u64) -> Self {
        let Pace { step: least, sequence: least_each } = pace;
        Self { best: pace, worst: pace, least, least_each, shortest: step, longest: step }
    }

    /// One more.
    fn note(&mut self, pace: Pace, step: u64) {
        if step < self.shortest {
            (self.best, self.shortest) = (pace, step);
        }
        if step > self.longest {
            (self.worst, self.longest) = (pace, step);
        }
        self.least = self.least.min(pace.step);
        self.least_each = self.least_each.min(pace.sequence);
    }
}

/// What those who may be asked claim of themselves, gathered while they are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    /// How many they are.
    pub count: u64,
    /// Sequences, beside one, with which steps are compared.
    pub(super) batch: u64,
    /// Jobs of all of them.
    jobs: u64,
    pub(super) prefill: Option<Span>,
    pub(super) decode: Option<Decode>,
}

impl Claims {
    /// None yet. Steps will be compared with so many sequences: about as many as nodes have.
    pub fn new(batch: u64) -> Self {
        Self { batch: batch.min(CROWDED), ..Self::default() }
    }

    /// Of all of them.
    pub(super) fn of<'a>(asked: impl Iterator<Item = &'a Standing> + Clone) -> Self {
        let count = asked.clone().count().max(1) as u64;
        let mut claims = Self::new(asked.clone().map(|standing| u64::from(standing.jobs)).sum::<u64>() / count);
        asked.for_each(|standing| claims.note(&standing.into(), standing.jobs));
        claims
    }

    /// One more, who has so many jobs.
    #[inline]
    pub(super) fn note(&mut self, claimed: &Claimed, jobs: u32) {
        self.count += 1;
        self.jobs += u64::from(jobs);
        let Claimed { prefill, pace } = *claimed;
        if prefill > 0 {
            let rate = u64::from(prefill);
            let span = self.prefill.get_or_insert(Span { best: rate, worst: rate });
            (span.best, span.worst) = (span.best.max(rate), span.worst.min(rate));
        }
        if pace.step > 0 {
            let step = pace.with(self.batch);
            self.decode.get_or_insert(Decode::new(pace, step)).note(pace, step);
        }
    }

    /// Jobs that each of them has, in the mean.
    pub fn mean_jobs(&self) -> u64 {
        self.jobs / self.count.max(1)
    }
}
