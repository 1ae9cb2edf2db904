//! Who serves a model, as those see it who choose between models: each provider by itself, with its own price.

use std::time::Duration;

use policy::breaker::excluded;
use protocol::units::UnixMillis;

use super::{Answering, Pool, Started};
use crate::call::{Call, Failure};
use crate::pool::trial::Trial;

/// A provider that serves a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The provider.
    pub provider: String,
    /// The provider's name for the model.
    pub upstream: String,
    /// How often it is asked again before its answer has begun.
    pub retries: u32,
    /// Whether it can go on with the beginning of an answer.
    pub prefill: bool,
}

impl Pool {
    /// Who serves a model, in the order in which they are asked.
    pub fn serving(&self, model: &str) -> Vec<Served> {
        let served = self.providers(model).iter().filter_map(|provider| {
            let (target, upstream) = (provider.target(model), provider.upstream(model)?.to_owned());
            let (retries, prefill) = (target.retries, target.prefill);
            Some(Served { provider: provider.name().to_owned(), upstream, retries, prefill })
        });
        served.collect()
    }

    /// The first of them that is not held back; the first of all, if all are.
    pub fn serves(&self, model: &str) -> Option<Served> {
        let all = self.serving(model);
        let open = all.iter().find(|served| self.breakers.admits(&served.provider));
        open.or(all.first()).cloned()
    }

    /// Why a provider is not asked now; none if it is.
    pub fn closed(&self, provider: &str) -> Option<String> {
        if self.breakers.admits(provider) { None } else { Some(self.held_back(provider).message) }
    }

    /// How long a whole answer of a provider took lately; none if none came yet.
    pub fn expected(&self, provider: &str, model: &str) -> Option<Duration> {
        self.times.get(&(provider.to_owned(), model.to_owned())).map(|time| *time)
    }

    /// Asks just this provider. It returns when the first piece is there.
    ///
    /// # Errors
    /// It has not begun an answer.
    pub async fn ask(&self, served: &Served, model: &str, mut call: Call, now: UnixMillis) -> Result<Started, Failure> {
        model.clone_into(&mut call.request.model);
        let providers = self.providers(model);
        let Some(provider) = providers.iter().find(|provider| provider.name() == served.provider) else {
            let model = crate::errors::short(model);
            return Err(Failure::invalid(
                "model",
                format_args!("'{model}' is no model of provider {}", served.provider),
            ));
        };
        // Of several, never more than half are held back.
        let open: Vec<bool> = providers.iter().map(|other| !self.breakers.admits(other.name())).collect();
        let left_out = if open.len() > 1 { excluded(&open) } else { open };
        let held = providers.iter().zip(left_out).any(|(other, out)| out && other.name() == served.provider);
        let trial = if held { None } else { Trial::new(&self.breakers, provider.name(), providers.len() > 1) };
        let Some(trial) = trial else { return Err(self.held_back(provider.name())) };
        match provider.start(call, now).await {
            Ok(stream) => {
                let stream = Answering { stream, trial: Some(trial) };
                Ok(Started { provider: served.provider.clone(), model: model.to_owned(), stream })
            }
            Err(failure) => {
                trial.failed(&failure);
                Err(failure)
            }
        }
    }

    /// A whole answer took so long.
    pub fn took(&self, served: &Served, model: &str, time: Duration) {
        let mut known = self.times.entry((served.provider.clone(), model.to_owned())).or_insert(time);
        // A mean that forgets: the last one weighs a fifth.
        *known = known.mul_f64(0.8) + time.mul_f64(0.2);
    }
}
