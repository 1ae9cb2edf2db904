//! Whether and when a failed child comes back, and how long to wait between tries in general.
//!
//! Rules: one for one; a child that fails more than `max_restarts` times `within` a time is given up,
//! because something above it is wrong. The wait doubles with every failure that is still
//! remembered, so a child that has run well for `within` starts afresh. Time and randomness come
//! from the caller.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::config::Supervision;

/// How many failures are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts that are tolerated.
    pub max_restarts: u32,
    /// The time they may happen in.
    pub within: Duration,
    /// The waits between them.
    pub backoff: Backoff,
}

impl From<&Supervision> for Intensity {
    fn from(settings: &Supervision) -> Self {
        Self {
            max_restarts: settings.max_restarts,
            within: settings.within.0,
            backoff: Backoff { first: settings.backoff.0, longest: settings.max_backoff.0 },
        }
    }
}

/// Waits that double up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The bound.
    pub longest: Duration,
}

impl Backoff {
    /// The longest wait before try `attempt`, counted from 0.
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// Anything up to the bound: many that were cut off at once come back spread out. `random` lies in 0..1.
    pub fn full_jitter(&self, attempt: u32, random: f64) -> Duration {
        scaled(self.bound(attempt), random)
    }

    /// The upper half of it: a failed child never comes back at once. `random` lies in 0..1.
    pub fn half_jitter(&self, attempt: u32, random: f64) -> Duration {
        let half = self.bound(attempt) / 2;
        half + scaled(half, random)
    }
}

/// A wait times a number in 0..1; numbers outside count as the nearer end.
fn scaled(wait: Duration, random: f64) -> Duration {
    let random = if random.is_nan() { 1.0 } else { random.clamp(0.0, 1.0) };
    wait.mul_f64(random)
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start it again after this wait.
    Restart {
        /// The wait.
        after: Duration,
    },
    /// Fail in its place.
    GiveUp {
        /// Failures within the time, this one included.
        failures: u32,
    },
}

/// The failures of one child, as far back as they matter.
#[derive(Clone, Debug)]
pub struct Restarts {
    intensity: Intensity,
    /// When it failed, oldest first: never more than `max_restarts` + 1.
    failures: VecDeque<Duration>,
}

impl Restarts {
    /// A child that has not failed yet.
    pub fn new(intensity: Intensity) -> Self {
        Self { intensity, failures: VecDeque::new() }
    }

    /// Notes a failure. `now` counts from any fixed moment and does not run backwards; `random` lies in 0..1.
    pub fn on_failure(&mut self, now: Duration, random: f64) -> Decision {
        let Intensity { max_restarts, within, backoff } = self.intensity;
        self.failures.retain(|failed| now.saturating_sub(*failed) < within);
        let before = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        if before >= max_restarts {
            return Decision::GiveUp { failures: before.saturating_add(1) };
        }
        self.failures.push_back(now);
        Decision::Restart { after: backoff.half_jitter(before, random) }
    }
}

/// Random numbers in 0..1 for jitter, from a seed and a count: no state but the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    seed: u64,
    count: u64,
}

impl Jitter {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    /// The next one.
    pub fn draw(&mut self) -> f64 {
        self.count = self.count.wrapping_add(1);
        // splitmix64; the upper 53 bits fill a double's mantissa.
        let mut z = self.seed.wrapping_add(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
