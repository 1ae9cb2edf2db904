//! How fast an engine is, from the steps it makes.
//!
//! A step that decodes `n` sequences and computes `p` prompt tokens takes `base + n sequence + p / rate`. The
//! first two are fitted to steps that only decode, by least squares whose memory fades; the rate is what is left
//! of steps that prefill, tokens over time.
//!
//! Rules: the first steps of an engine are slow (memory is touched for the first time), so nothing is said
//! before a few were seen, and the estimate begins at their median. One step that took far longer, because the
//! machine did something else, moves the estimate no more than one that took a few times as long; if the machine
//! has really become so slow, the following steps say so too.

use std::time::Duration;

use protocol::message::Rates;
use protocol::units::Tokens;

/// No engine computes more prompt tokens a second: nothing above it is said, nor believed.
pub const FASTEST: u32 = 1_000_000;
/// No engine makes a step in less.
pub const SHORTEST: Duration = Duration::from_micros(1);

/// One step of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Prompt tokens computed.
    pub prefill: Tokens,
    /// Sequences that got a token.
    pub decoded: u32,
    /// How long it took.
    pub took: Duration,
}

/// Steps of a kind that are seen before anything is said of it.
const FIRST: usize = 3;
/// What remains of a step's weight with each that follows: the last 50 count for most.
const FADE: f64 = 0.98;
/// A step counts as at most so many times as long, or as short, as expected.
const OUTLIER: f64 = 3.0;
/// Chunks of prompts that are too short to tell a rate from what a step costs in any case.
const SHORT: u64 = 16;
/// Below this spread of the number of sequences, nothing can be said of what each adds.
const SPREAD: f64 = 0.25;

/// A running estimate.
#[derive(Clone, Debug, Default)]
pub struct Estimator {
    decode: Line,
    prefill: Ratio,
}

impl Estimator {
    /// Takes a step in.
    pub fn observe(&mut self, step: Step) {
        let took = step.took.max(SHORTEST).as_secs_f64();
        if step.prefill == Tokens::ZERO {
            if step.decoded > 0 {
                self.decode.observe(step.decoded.into(), took);
            }
        } else if step.prefill.0 >= SHORT {
            // One of those that got a token may have got it from this prompt, without a decode of its own.
            let others = f64::from(step.decoded.saturating_sub(1));
            let decoding = if others > 0.0 { self.decode.predict(others).unwrap_or(0.0) } else { 0.0 };
            // What is expected of the rest of the step is not known so well that nothing would be left.
            let rest = (took - decoding).max(took / 4.0);
            self.prefill.observe(step.prefill.0 as f64, rest);
        }
    }

    /// What is known.
    pub fn rates(&self) -> Rates {
        let prefill = self.prefill.rate().map_or(0, |rate| rate.clamp(1.0, FASTEST.into()) as u32);
        let Some((step, sequence)) = self.decode.fit() else { return Rates { prefill, ..Rates::default() } };
        // Less would be taken for a lie.
        Rates { prefill, step: seconds(step).max(SHORTEST), sequence: seconds(sequence) }
    }
}

/// Finite and not negative by construction; anything else counts as nothing.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The middle one.
fn median(mut values: [f64; FIRST]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[FIRST / 2]
}

/// `y = base + slope x`, by weighted sums.
#[derive(Clone, Debug, Default)]
struct Line {
    seen: usize,
    first: [(f64, f64); FIRST],
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    slope: f64,
}

impl Line {
    fn observe(&mut self, x: f64, y: f64) {
        if let Some(place) = self.first.get_mut(self.seen) {
            *place = (x, y);
            self.seen += 1;
            if self.seen == FIRST {
                // Warm-up: all of them count as the median one, each with its own number of sequences.
                let middle = median(self.first.map(|(_, y)| y));
                for (x, _) in self.first {
                    self.add(x, middle);
                }
            }
            return;
        }
        let expected = self.predict(x).unwrap_or(y);
        self.add(x, y.clamp(expected / OUTLIER, expected * OUTLIER));
    }

    fn add(&mut self, x: f64, y: f64) {
        self.weight = self.weight * FADE + 1.0;
        self.x = self.x * FADE + x;
        self.y = self.y * FADE + y;
        self.xx = self.xx * FADE + x * x;
        self.xy = self.xy * FADE + x * y;
        let (x, y) = (self.x / self.weight, self.y / self.weight);
        let spread = self.xx / self.weight - x * x;
        // While the batch keeps its size, what one more would add stays as it was known.
        if spread >= SPREAD {
            self.slope = (self.xy / self.weight - x * y) / spread;
        }
        // Neither part takes less than no time.
        self.slope = self.slope.clamp(0.0, y / x.max(1.0));
    }

    /// Base and slope.
    fn fit(&self) -> Option<(f64, f64)> {
        (self.weight > 0.0).then(|| ((self.y - self.slope * self.x) / self.weight, self.slope))
    }

    fn predict(&self, x: f64) -> Option<f64> {
        self.fit().map(|(base, slope)| base + slope * x)
    }
}

/// Tokens over time.
#[derive(Clone, Debug, Default)]
struct Ratio {
    seen: usize,
    first: [f64; FIRST],
    tokens: f64,
    time: f64,
}

impl Ratio {
    fn observe(&mut self, tokens: f64, time: f64) {
        if let Some(place) = self.first.get_mut(self.seen) {
            *place = tokens / time;
            self.seen += 1;
            if self.seen == FIRST {
                self.tokens = tokens;
                self.time = tokens / median(self.first);
            }
            return;
        }
        let expected = tokens * self.time / self.tokens;
        self.tokens = self.tokens * FADE + tokens;
        self.time = self.time * FADE + time.clamp(expected / OUTLIER, expected * OUTLIER);
    }

    fn rate(&self) -> Option<f64> {
        (self.time > 0.0).then(|| self.tokens / self.time)
    }
}

#[cfg(test)]
mod tests;
