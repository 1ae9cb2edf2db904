//! How far each model's requests are degraded: the shell around [`policy::ladder`].
//!
//! Rules: signals are looked at every tick, for every model that was served or asked for since the start. A
//! change is logged and stands in the metrics.

use std::time::Duration;

use dashmap::DashMap;
use policy::ladder::{Ladder, Rules, Signals};
use protocol::answer::ErrorKind;

use super::Clock;
use super::directory::Directory;
use super::waiting::Waiting;

/// How fast the share of failures forgets: each request weighs so much of it.
const WEIGHT: f64 = 0.05;
/// How long failures count when nobody asks any more.
const FORGET: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, Default)]
struct Model {
    ladder: Ladder,
    errors: f64,
    /// The last request that ended.
    ended: Duration,
}

/// The ladders of all models.
#[derive(Debug)]
pub struct Degrading {
    clock: Clock,
    rules: Option<Rules>,
    models: DashMap<String, Model>,
}

impl Degrading {
    /// With these rules; without any it stays at rung 0.
    pub fn new(rules: Option<Rules>) -> Self {
        Self { clock: Clock::start(), rules, models: DashMap::new() }
    }

    /// A model's rung, from 0 to 5.
    pub fn level(&self, model: &str) -> u8 {
        self.models.get(model).map_or(0, |model| model.ladder.level())
    }

    /// A request has ended, and if badly, how.
    pub fn ended(&self, model: &str, error: Option<ErrorKind>) {
        // What is refused is no fault, nor is what the client did wrong.
        let fault = matches!(error, Some(ErrorKind::NodeLost | ErrorKind::Internal));
        let (now, mut model) = (self.clock.now(), self.models.entry(model.to_owned()).or_default());
        model.errors += WEIGHT * (f64::from(u8::from(fault)) - model.errors);
        model.ended = now;
    }

    /// Looks at all signals. To be called several times a second.
    pub fn tick(&self, directory: &Directory, waiting: &Waiting) {
        let Some(rules) = &self.rules else { return };
        let now = self.clock.now();
        for card in directory.models() {
            let (pressure, jam) = (directory.pressure(&card.model), waiting.jam(&card.model));
            let mut model = self.models.entry(card.model.clone()).or_default();
            if now.saturating_sub(model.ended) > FORGET {
                model.errors = 0.0;
            }
            let delay = jam.oldest.max(pressure.oldest);
            let signals = Signals { delay, cache: pressure.cache(), errors: model.errors };
            let change = model.ladder.observe(now, signals, rules);
            let level = model.ladder.level();
            drop(model);
            if let Some(change) = change {
                tracing::warn!(
                    model = card.model,
                    from = change.from,
                    to = change.to,
                    delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                    cache = signals.cache,
                    errors = signals.errors,
                    waiting = jam.requests,
                    "the rung of degradation has changed"
                );
            }
            metrics::gauge!("troupe_degradation_level", "model" => card.model).set(f64::from(level));
        }
    }
}
