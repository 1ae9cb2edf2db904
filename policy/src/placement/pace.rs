//! Steps that decode: how long they take, by how many sequences are in them.

use std::time::Duration;

use super::standing::nanos;

/// No engine that is of use takes longer for a step, in nanoseconds.
pub(super) const LONGEST: u64 = nanos(Duration::from_secs(60));

/// Sequences, beside one, with which steps are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch(u16);

impl Batch {
    /// Steps are compared with no more.
    const CROWDED: u16 = 1_024;

    pub(super) fn of(jobs: u64) -> Self {
        Self(u16::try_from(jobs).unwrap_or(u16::MAX).min(Self::CROWDED))
    }
}

/// How long steps take. Never so long that figures run over: that need not be looked for where each node is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    step: u64,
    sequence: u64,
}

impl Pace {
    /// Nothing is known of it.
    pub(super) const NONE: Self = Self { step: 0, sequence: 0 };

    /// A step with one sequence, and what one more adds; in nanoseconds.
    pub(super) fn new(step: u64, sequence: u64) -> Self {
        Self { step: step.min(LONGEST), sequence: sequence.min(LONGEST) }
    }

    pub(super) const fn step(&self) -> u64 {
        self.step
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A step with so many sequences beside one.
    pub(super) fn with(&self, batch: Batch) -> u64 {
        self.step + self.sequence * u64::from(batch.0)
    }

    /// Whether nothing is known of it.
    pub(super) fn is_none(&self) -> bool {
        self.step == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_the_largest_batch_is_no_overflow() {
        let longest = Pace::new(u64::MAX, u64::MAX);
        assert_eq!(longest.with(Batch::of(u64::MAX)), LONGEST * 1_025);
        assert_eq!(Pace::new(7, 2).with(Batch::of(3)), 13);
    }
}
