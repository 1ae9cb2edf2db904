//! How far the cluster bends under load: one rung at a time, up soon, down late.
//!
//! | rung | what is done to requests |
//! |---|---|
//! | 0 | nothing |
//! | 1 | extras are left out: log-probabilities, further choices, optional stages |
//! | 2 | context shrinks: long prompts lose their oldest turns, answers are shorter |
//! | 3 | a lighter model of the family answers |
//! | 4 | cached answers are served past their time |
//! | 5 | requests queue, then they are refused |
//!
//! Rules: it climbs when some signal has been over its high mark for a while, and comes down when all have
//! been under their low marks for a longer while. Between the marks it stays. It never skips a rung.

use std::time::Duration;

/// The highest rung.
pub const TOP: u8 = 5;

/// The marks of one signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// From here on it is too much.
    pub high: f64,
    /// Below it all is well; under `high`.
    pub low: f64,
}

/// How the ladder moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Seconds that requests wait.
    pub delay: Band,
    /// Share of KV blocks in the hands of jobs.
    pub cache: Band,
    /// Share of attempts that fail.
    pub errors: Band,
    /// How long a signal must be over its high mark for the next rung.
    pub climb: Duration,
    /// How long all must be under their low marks for the rung below.
    pub rest: Duration,
}

impl From<&protocol::config::Degrade> for Rules {
    fn from(degrade: &protocol::config::Degrade) -> Self {
        Self {
            delay: Band { high: degrade.delay_high.0.as_secs_f64(), low: degrade.delay_low.0.as_secs_f64() },
            cache: Band { high: degrade.cache_high, low: degrade.cache_low },
            errors: Band { high: degrade.errors_high, low: degrade.errors_low },
            climb: degrade.climb.0,
            rest: degrade.rest.0,
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Signals {
    /// How long requests wait.
    pub delay: Duration,
    /// Share of KV blocks in the hands of jobs.
    pub cache: f64,
    /// Share of attempts that fail.
    pub errors: f64,
}

/// A step up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The rung before.
    pub from: u8,
    /// The rung now.
    pub to: u8,
}

/// Where the cluster stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ladder {
    level: u8,
    over: Option<Duration>,
    under: Option<Duration>,
}

impl Ladder {
    /// The rung, from 0 to [`TOP`].
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Signals were measured. To be called several times within `climb`.
    pub fn observe(&mut self, now: Duration, signals: Signals, rules: &Rules) -> Option<Change> {
        let all =
            [(signals.delay.as_secs_f64(), rules.delay), (signals.cache, rules.cache), (signals.errors, rules.errors)];
        let over = all.iter().any(|(value, band)| *value >= band.high);
        let under = all.iter().all(|(value, band)| *value < band.low);
        self.over = over.then(|| self.over.unwrap_or(now));
        self.under = under.then(|| self.under.unwrap_or(now));
        let since = |since: Option<Duration>| since.map(|since| now.saturating_sub(since));
        let from = self.level;
        if since(self.over).is_some_and(|time| time >= rules.climb) && self.level < TOP {
            self.level += 1;
            self.over = Some(now);
        } else if since(self.under).is_some_and(|time| time >= rules.rest) && self.level > 0 {
            self.level -= 1;
            self.under = Some(now);
        }
        (from != self.level).then_some(Change { from, to: self.level })
    }
}

#[cfg(test)]
mod tests;
