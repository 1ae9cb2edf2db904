//! What is left of a provider's limits, as far as its headers tell: so that who is known to be exhausted is not asked.
//!
//! Rules:
//! - A limit is a bucket that fills steadily: `remaining` now, `limit` again at the time of its reset.
//! - What was sent since the last headers is taken off by ourselves, so that many requests at once do not all
//!   count on the same rest; the next headers put it right. Headers that come late say less than newer ones,
//!   which cannot be told apart: they do for a moment.
//! - A refusal (429) with a time holds all back until then; one without, for a short while that doubles.
//! - Nothing learned keeps anybody back for longer than [`headers::LONGEST`](super::headers::LONGEST), and a
//!   request larger than the whole limit is let through: the provider shall say it.

use std::time::Duration;

use protocol::units::Tokens;

use super::failure::FailureKind;
use super::headers::LONGEST;

/// The first wait after a refusal that names no time.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// The longest of such waits.
const MOST: Duration = Duration::from_secs(60);

/// One limit, as headers tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How much there may be.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// When it is full again.
    pub reset: Option<Duration>,
}

/// All that the headers of one response tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Of requests.
    pub requests: Told,
    /// Of tokens; where they are limited apart, of those that go in.
    pub tokens: Told,
    /// Of tokens that come out, where they are limited apart.
    pub output: Told,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Now.
    Ok,
    /// Not before so long.
    Wait(Duration, FailureKind),
}

/// A limit that fills steadily.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    limit: u64,
    remaining: u64,
    /// When `remaining` was so.
    at: Duration,
    /// When it is full.
    full: Duration,
}

impl Bucket {
    fn told(told: Told, now: Duration, before: Option<Self>) -> Option<Self> {
        let Some(remaining) = told.remaining else { return before };
        let limit = told.limit.or(before.map(|before| before.limit)).unwrap_or(remaining).max(remaining);
        let reset = told.reset.unwrap_or(if remaining == 0 { FIRST } else { Duration::ZERO }).min(LONGEST);
        // Without a time of its reset, what is left is only known to be more than nothing.
        let full = now.saturating_add(reset);
        Some(Self { limit, remaining, at: now, full })
    }

    /// What is there, with what has flown in since.
    fn available(&self, now: Duration) -> u64 {
        if now >= self.full {
            return self.limit;
        }
        let (gone, whole) = (now.saturating_sub(self.at).as_micros(), self.full.saturating_sub(self.at).as_micros());
        let missing = u128::from(self.limit - self.remaining);
        let flown = (missing * gone).checked_div(whole).unwrap_or(missing);
        self.remaining.saturating_add(u64::try_from(flown).unwrap_or(u64::MAX)).min(self.limit)
    }

    fn wait(&self, now: Duration, wanted: u64) -> Duration {
        let available = self.available(now);
        if wanted <= available || wanted > self.limit {
            return Duration::ZERO;
        }
        let left = self.full.saturating_sub(now);
        let share = (wanted - available) as f64 / (self.limit - available).max(1) as f64;
        // Rounded up: who comes a nanosecond early is refused.
        left.mul_f64(share.clamp(0.0, 1.0)).saturating_add(Duration::from_millis(1)).min(left)
    }

    fn take(&mut self, now: Duration, wanted: u64) {
        let available = self.available(now);
        if now < self.full {
            (self.remaining, self.at) = (available.saturating_sub(wanted), now);
        }
    }
}

/// What is known of the limits of one model at one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitState {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    output: Option<Bucket>,
    /// Nobody is let through before, and why.
    held: Option<(Duration, FailureKind)>,
    /// Refusals without a time in a row.
    refusals: u32,
}

impl LimitState {
    /// Whether a request of so many tokens, its prompt and the longest answer together, may be sent.
    pub fn may_start(&self, now: Duration, tokens: Tokens) -> May {
        if let Some((until, kind)) = self.held
            && now < until
        {
            return May::Wait(until - now, kind);
        }
        let wait = |bucket: &Option<Bucket>, wanted| bucket.map_or(Duration::ZERO, |bucket| bucket.wait(now, wanted));
        let waits = [wait(&self.requests, 1), wait(&self.tokens, tokens.0), wait(&self.output, 1)];
        match waits.into_iter().max() {
            Some(wait) if !wait.is_zero() => May::Wait(wait, FailureKind::RateLimited),
            _ => May::Ok,
        }
    }

    /// A request of so many tokens is sent.
    pub fn on_start(&mut self, now: Duration, tokens: Tokens) {
        for (bucket, wanted) in [(&mut self.requests, 1), (&mut self.tokens, tokens.0)] {
            if let Some(bucket) = bucket {
                bucket.take(now, wanted);
            }
        }
    }

    /// Headers of any response.
    pub fn on_headers(&mut self, now: Duration, headers: &Headers) {
        self.requests = Bucket::told(headers.requests, now, self.requests);
        self.tokens = Bucket::told(headers.tokens, now, self.tokens);
        self.output = Bucket::told(headers.output, now, self.output);
    }

    /// A request was let in.
    pub fn on_success(&mut self) {
        self.refusals = 0;
    }

    /// A request was refused. Holds back only where another one would be refused just so.
    pub fn on_refusal(&mut self, now: Duration, kind: FailureKind, retry_after: Option<Duration>) {
        let wait = match kind {
            FailureKind::RateLimited => {
                let own = FIRST.saturating_mul(1 << self.refusals.min(16)).min(MOST);
                self.refusals = self.refusals.saturating_add(1);
                retry_after.unwrap_or(own)
            }
            // Nobody pays an account within a second, nor mends a key.
            FailureKind::Budget | FailureKind::Auth => retry_after.unwrap_or(MOST),
            _ => return,
        };
        let until = now.saturating_add(wait.min(LONGEST));
        if self.held.is_none_or(|(before, _)| before < until) {
            self.held = Some((until, kind));
        }
    }
}

#[cfg(test)]
mod tests;
