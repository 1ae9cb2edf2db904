//! From what a GPU costs for an hour to what tokens cost.
//!
//! A node's engine takes `1 / prefill` seconds for a prompt token, and `step + n sequence` for a step in which `n`
//! sequences get a token each (`policy::rates` measures the three). So with `c` what the node costs for a second
//!
//! - a token that is computed of a prompt costs `c / prefill`,
//! - a token of an answer costs `c (step + n sequence) / n`: all that decode together share the step,
//! - a token that was cached costs nearly nothing to compute, but it holds memory; it is priced at a tenth of a
//!   computed one, as providers do, unless the configuration says otherwise.
//!
//! Rules:
//! - Time in which a node does nothing is in no price. `policy::plan` shows it as utilisation.
//! - Before anything was measured, speeds are those of `[placement]` and nobody shares a step: rather too dear than
//!   too cheap.
//! - What is measured is smoothed, time and number of sequences apart: the quotient of the means is what tokens cost,
//!   the mean of the quotients is not. About the last [`MEMORY`] reports count.
//! - A price is never nothing, and never more than a limit that sums can hold.

use std::time::Duration;

use protocol::config::Placement;
use protocol::message::Rates;
use protocol::money::Price;
use protocol::units::Nanos;

/// Reports that count for most: some seconds of a node's.
const MEMORY: f64 = 32.0;
/// What a cached token costs, as a share of a computed one.
const CACHED: f64 = 0.1;
/// The most that a million tokens may cost: a million units.
const MOST: f64 = 1e15;
/// No node takes longer for a step, or for a token of a prompt: a report that says so is not believed.
const LONGEST: Duration = Duration::from_secs(3600);

/// How fast nodes are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Seconds for a token of a prompt.
    pub prompt: f64,
    /// Seconds for a step.
    pub step: f64,
    /// Sequences that get a token in it.
    pub batch: f64,
}

impl From<&Placement> for Speed {
    fn from(placement: &Placement) -> Self {
        let step = placement.step.0.saturating_add(placement.sequence.0);
        Self { prompt: 1.0 / f64::from(placement.prefill_rate.max(1)), step: step.as_secs_f64(), batch: 1.0 }
    }
}

impl Speed {
    /// What a million tokens cost, if a second costs so much.
    pub fn price(&self, second: f64, cached: Option<Nanos>) -> Price {
        let input = second * self.prompt;
        let output = second * self.step / self.batch.max(1.0);
        Price {
            input: millions(input),
            cached: cached.unwrap_or_else(|| millions(input * CACHED)),
            output: millions(output),
        }
    }
}

fn millions(nanos: f64) -> Nanos {
    Nanos((nanos * 1e6).ceil().clamp(1.0, MOST) as u64)
}

/// A price by time.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    /// Nanos for a second.
    second: f64,
    cached: Option<Nanos>,
    speed: Speed,
    prefilled: bool,
    decoded: bool,
}

impl Timed {
    pub(super) fn new(hour: Nanos, cached: Option<Nanos>, unmeasured: Speed) -> Self {
        Self { second: hour.0 as f64 / 3600.0, cached, speed: unmeasured, prefilled: false, decoded: false }
    }

    /// A report. Rates of zero were not measured, and with no sequence nothing was decoded.
    pub(super) fn observe(&mut self, rates: Rates, batch: u32) {
        let mix = |known: bool, old: f64, new: f64| if known { old + (new - old) / MEMORY } else { new };
        if rates.prefill > 0 {
            let prompt = 1.0 / f64::from(rates.prefill.min(crate::rates::FASTEST));
            self.speed.prompt = mix(self.prefilled, self.speed.prompt, prompt);
            self.prefilled = true;
        }
        if batch > 0 && !rates.step.is_zero() {
            let step = rates.step.saturating_add(rates.sequence.saturating_mul(batch)).min(LONGEST);
            self.speed.step = mix(self.decoded, self.speed.step, step.max(crate::rates::SHORTEST).as_secs_f64());
            self.speed.batch = mix(self.decoded, self.speed.batch, f64::from(batch));
            self.decoded = true;
        }
    }

    pub(super) fn price(&self) -> Price {
        self.speed.price(self.second, self.cached)
    }

    pub(super) fn source(&self) -> String {
        let word = match (self.prefilled, self.decoded) {
            (true, true) => "measured",
            (false, false) => "not measured yet",
            _ => "partly measured",
        };
        format!("gpu-hour, {word}")
    }
}
