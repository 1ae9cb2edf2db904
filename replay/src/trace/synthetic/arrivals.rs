//! When requests come.

use std::time::Duration;

use policy::restart::Jitter;

/// Times to come: a Poisson process, all the time or in bursts.
///
/// In bursts the process runs while a burst is on and stands still while it is off; both last exponentially long.
/// Its rate within a burst is so much higher that the mean over all time is the one asked for.
#[derive(Debug)]
pub(super) struct Arrivals {
    random: Jitter,
    /// Seconds.
    now: f64,
    /// Requests a second while they come.
    rate: f64,
    bursts: Option<Bursts>,
}

#[derive(Debug)]
struct Bursts {
    on: f64,
    off: f64,
    /// Seconds until this one ends.
    left: f64,
}

impl Arrivals {
    pub(super) fn poisson(random: Jitter, rate: f64) -> Self {
        Self { random, now: 0.0, rate, bursts: None }
    }

    pub(super) fn bursts(mut random: Jitter, rate: f64, on: Duration, off: Duration) -> Self {
        let (on, off) = (on.as_secs_f64(), off.as_secs_f64());
        let left = exponential(&mut random, on);
        Self { random, now: 0.0, rate: rate * (on + off) / on, bursts: Some(Bursts { on, off, left }) }
    }

    /// The next.
    pub(super) fn draw(&mut self) -> Duration {
        let mut wait = exponential(&mut self.random, 1.0 / self.rate);
        if let Some(bursts) = &mut self.bursts {
            while wait > bursts.left {
                wait -= bursts.left;
                self.now += bursts.left + exponential(&mut self.random, bursts.off);
                bursts.left = exponential(&mut self.random, bursts.on);
            }
            bursts.left -= wait;
        }
        self.now += wait;
        micros(self.now)
    }
}

/// Exponentially distributed, with this mean.
pub(super) fn exponential(random: &mut Jitter, mean: f64) -> f64 {
    -(1.0 - random.draw()).ln() * mean
}

/// Seconds to the whole microsecond, as far as a `Duration` reaches.
pub(super) fn micros(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64)
}
