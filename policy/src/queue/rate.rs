//! How fast entries leave, measured while some are there: a mean over the last seconds that forgets
//! exponentially.
//!
//! Rules: in time in which nobody waits nothing could leave, so it does not lower the rate. But a rate below what is
//! assumed before any measurement is forgotten in it: it is that of an outage or of a bad moment, and who comes first
//! after it must not be turned away for it. Machines that are always slower pay for that as after a start: in the
//! first seconds of a burst too many are let in.

use std::time::Duration;

use protocol::units::Tokens;

/// What is older weighs little.
const MEMORY: f64 = 8.0;
/// What is assumed before anything was measured, and how many seconds of measurement that weighs as.
const ASSUMED: f64 = 1000.0;
const ASSUMED_SECONDS: f64 = 0.5;

/// Tokens in a second.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    tokens: f64,
    seconds: f64,
    now: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Self { tokens: ASSUMED * ASSUMED_SECONDS, seconds: ASSUMED_SECONDS, now: Duration::ZERO }
    }
}

impl Rate {
    /// Time has passed, `busy` if somebody waited meanwhile.
    pub(super) fn advance(&mut self, now: Duration, busy: bool) {
        let passed = now.saturating_sub(self.now).as_secs_f64();
        self.now = self.now.max(now);
        if passed <= 0.0 {
            return;
        }
        let keep = (-passed / MEMORY).exp();
        if busy {
            self.tokens *= keep;
            self.seconds = self.seconds * keep + MEMORY * (1.0 - keep);
        } else if self.per_second() < ASSUMED {
            // As much evidence as before, for what is assumed.
            self.tokens = self.tokens * keep + ASSUMED * self.seconds * (1.0 - keep);
        }
    }

    /// Somebody left.
    pub(super) fn left(&mut self, tokens: Tokens) {
        self.tokens += tokens.0 as f64;
    }

    pub(super) fn per_second(&self) -> f64 {
        self.tokens / self.seconds.max(0.001)
    }
}

#[cfg(test)]
mod tests;
