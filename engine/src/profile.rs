//! Where the time of a step goes.
//!
//! The engine knows no clock: whoever wants to know hands one in. Without it nothing is measured.

use std::time::Duration;

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Products with the weights of layers.
    Products,
    /// Attention over the cache.
    Attention,
    /// Norms, and rounding activations for products.
    Norms,
    /// Rotation, and storing keys and values.
    Rotation,
    /// The feed-forward's gate.
    Gate,
    /// The product with the head.
    Head,
    /// Choosing tokens.
    Sampling,
    /// The scheduler, embeddings, bookkeeping.
    Other,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Products,
        Self::Attention,
        Self::Norms,
        Self::Rotation,
        Self::Gate,
        Self::Head,
        Self::Sampling,
        Self::Other,
    ];

    /// For tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Attention => "attention",
            Self::Norms => "norms",
            Self::Rotation => "rotation",
            Self::Gate => "gate",
            Self::Head => "head",
            Self::Sampling => "sampling",
            Self::Other => "other",
        }
    }
}

/// Tells the time since some moment that stays the same.
pub type Clock = fn() -> Duration;

/// Time spent, part by part.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    clock: Option<Clock>,
    last: Duration,
    spent: [Duration; Part::ALL.len()],
}

impl Profile {
    /// Measures from now on, from zero.
    pub fn start(&mut self, clock: Clock) {
        *self = Self { clock: Some(clock), last: clock(), spent: Default::default() };
    }

    /// What was measured: each part with its time.
    pub fn spent(&self) -> Vec<(Part, Duration)> {
        Part::ALL.into_iter().zip(self.spent).collect()
    }

    /// What passes until the next lap counts.
    pub(crate) fn begin(&mut self) {
        if let Some(clock) = self.clock {
            self.last = clock();
        }
    }

    /// What passed since the last lap was spent on `part`.
    pub(crate) fn lap(&mut self, part: Part) {
        let Some(clock) = self.clock else { return };
        let now = clock();
        let spent = now.saturating_sub(self.last);
        if let Some(total) = self.spent.get_mut(part as usize) {
            *total += spent;
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn clock() -> Duration {
        NOW.set(NOW.get() + 1);
        Duration::from_secs(NOW.get())
    }

    #[test]
    fn laps_are_added_up_by_part() {
        let mut profile = Profile::default();
        profile.lap(Part::Head);
        assert!(profile.spent().iter().all(|(_, spent)| spent.is_zero()), "no clock, no time");
        profile.start(clock);
        profile.lap(Part::Head);
        profile.lap(Part::Gate);
        profile.lap(Part::Head);
        profile.begin();
        profile.lap(Part::Other);
        let spent: Vec<u64> = profile.spent().iter().map(|(_, spent)| spent.as_secs()).collect();
        assert_eq!(spent, [0, 0, 0, 0, 1, 2, 0, 1]);
    }
}
