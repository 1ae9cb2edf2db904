//! How often and how soon something that failed is tried again.
//!
//! Rules:
//! - Waits grow exponentially, with full jitter (a uniform draw between nothing and the whole wait), so that
//!   those who failed together do not come back together.
//! - Retries are at most a share of all requests, over a window that tokens in a bucket make: each request
//!   adds a tenth, each retry takes one. A bucket that is never empty at first lets a quiet cluster retry.
//! - Somebody who says when to come back is obeyed.
//! - An answer that goes on elsewhere after its first token is no retry: to refuse it would lose what the
//!   client has, and its prompt is cached or soon is.

use std::time::Duration;

/// How retries are bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Of all requests, in [0, 1].
    pub share: f64,
    /// Retries that are allowed whatever the traffic.
    pub floor: u32,
    /// The wait before the first retry; it doubles.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl From<&protocol::config::Retry> for Settings {
    fn from(config: &protocol::config::Retry) -> Self {
        Self {
            share: f64::from(config.budget.0) / 100.0,
            floor: config.floor,
            first: config.backoff.0,
            longest: config.max_backoff.0,
        }
    }
}

impl Settings {
    /// The wait before a retry, counted from 0. `random` is in [0, 1). `told` is when somebody wants to be
    /// asked again, at the earliest.
    pub fn wait(&self, retry: u32, random: f64, told: Option<Duration>) -> Duration {
        let whole = self.first.saturating_mul(1 << retry.min(20)).min(self.longest);
        whole.mul_f64(random.clamp(0.0, 1.0)).max(told.unwrap_or_default())
    }
}

/// What may still be retried.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    tokens: f64,
    settings: Settings,
}

/// How many requests' worth of retries are kept.
const WINDOW: f64 = 1000.0;

impl Budget {
    /// A full one.
    pub fn new(settings: Settings) -> Self {
        Self { tokens: f64::from(settings.floor), settings }
    }

    /// A request has come.
    pub fn on_request(&mut self) {
        let most = f64::from(self.settings.floor) + self.settings.share * WINDOW;
        self.tokens = (self.tokens + self.settings.share).min(most);
    }

    /// Something is to be tried again. False if too much is.
    pub fn retry(&mut self) -> bool {
        let may = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(may));
        may
    }
}

#[cfg(test)]
mod tests;
