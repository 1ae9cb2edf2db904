//! All providers, each behind its breaker, with what is measured of them.
//!
//! Rules:
//! - Providers that name the same model stand in for each other, in the order of their names, within one call; each
//!   is asked once. What is wrong with the request itself is told at once.
//! - Only faults open a breaker: see `FailureKind::is_fault`. A provider that stands alone with a model is held back
//!   too: it is the fallback chain's turn then. Of several, never more than half are.
//! - An answer that is dropped before its end says nothing of its provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use policy::breaker::{self, State, excluded};
use policy::upstream::failure::FailureKind;
use policy::upstream::fallback::Target;
use policy::upstream::usage::ProviderUsage;
use protocol::config;
use protocol::units::UnixMillis;

use crate::call::{Call, Failure, Piece, Seen};
use crate::provider::{BadProvider, Provider};
use crate::secret::{KeyError, Secret};
use crate::stream::Stream;

mod served;
mod trial;

pub use served::Served;

use trial::{Breakers, Trial};

/// Why the providers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// A key is missing.
    #[error("providers.{provider}: {error}")]
    Key {
        /// Whose.
        provider: String,
        /// Why.
        error: KeyError,
    },
    /// A provider cannot be used.
    #[error(transparent)]
    Provider(#[from] BadProvider),
}

/// All providers.
#[derive(Debug)]
pub struct Pool {
    providers: Vec<Arc<Provider>>,
    /// By the model's name in the cluster.
    models: BTreeMap<String, Vec<Arc<Provider>>>,
    breakers: Arc<Breakers>,
    /// How long answers took lately, by provider and model.
    times: DashMap<(String, String), Duration>,
}

/// An answer has begun.
#[derive(Debug)]
pub struct Started {
    /// Whose it is.
    pub provider: String,
    /// The model's name in the cluster.
    pub model: String,
    /// What comes.
    pub stream: Answering,
}

/// What `troupe status` may show of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Its name.
    pub name: String,
    /// Its breaker.
    pub breaker: State,
    /// Requests that may still be sent at once.
    pub room: usize,
}

impl Pool {
    /// All providers of the settings, which were checked. `env` reads an environment variable.
    ///
    /// # Errors
    /// A key is missing, or a provider cannot be used.
    pub fn new(
        providers: &BTreeMap<String, config::Provider>,
        breaker: &config::Breaker,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PoolError> {
        let mut all = Vec::new();
        let mut models: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (name, config) in providers {
            let secret =
                Secret::find(config, &env).map_err(|error| PoolError::Key { provider: name.clone(), error })?;
            let provider = Arc::new(Provider::new(name, config, secret)?);
            for model in config.models.0.keys() {
                models.entry(model.clone()).or_default().push(Arc::clone(&provider));
            }
            all.push(provider);
        }
        let breakers = Arc::new(Breakers::new(breaker::Settings::from(breaker)));
        Ok(Self { providers: all, models, breakers, times: DashMap::new() })
    }

    /// Whether a provider has the model, by its name in the cluster.
    pub fn has(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    /// The models, by their names in the cluster.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The providers of a model, in the order in which they are asked.
    pub fn providers(&self, model: &str) -> &[Arc<Provider>] {
        self.models.get(model).map(Vec::as_slice).unwrap_or_default()
    }

    /// A model as a fallback chain sees it; none if no provider has it.
    pub fn target(&self, model: &str) -> Option<Target> {
        let all = self.providers(model).iter().map(|provider| provider.target(model));
        // Who of several is asked is known only then: what all can, can be counted on.
        all.reduce(|one, other| Target {
            retries: one.retries.max(other.retries),
            prefill: one.prefill && other.prefill,
            ..one
        })
    }

    /// How all of them stand.
    pub fn status(&self) -> Vec<ProviderStatus> {
        let status = |provider: &Arc<Provider>| ProviderStatus {
            name: provider.name().to_owned(),
            breaker: self.breakers.state(provider.name()),
            room: provider.room(),
        };
        self.providers.iter().map(status).collect()
    }

    /// Asks a provider of the model, and the others of the same model where it cannot. It returns when the first
    /// piece is there. `model` is its name in the cluster; it wins over the one in the request.
    ///
    /// # Errors
    /// No provider has begun an answer. Of several failures, the last that speaks of the request or the provider.
    pub async fn start(&self, model: &str, mut call: Call, now: UnixMillis) -> Result<Started, Failure> {
        let providers = self.providers(model);
        model.clone_into(&mut call.request.model);
        let open: Vec<bool> = providers.iter().map(|provider| !self.breakers.admits(provider.name())).collect();
        let left_out = if open.len() > 1 { excluded(&open) } else { open };
        let mut failure = None;
        for (provider, left_out) in providers.iter().zip(left_out) {
            let trial = if left_out { None } else { Trial::new(&self.breakers, provider.name(), providers.len() > 1) };
            let Some(trial) = trial else {
                failure.get_or_insert_with(|| self.held_back(provider.name()));
                continue;
            };
            match provider.start(call.clone(), now).await {
                Ok(stream) => {
                    let stream = Answering { stream, trial: Some(trial) };
                    return Ok(Started { provider: provider.name().to_owned(), model: model.to_owned(), stream });
                }
                Err(failed) => {
                    trial.failed(&failed);
                    let elsewhere = !matches!(
                        failed.kind,
                        FailureKind::Invalid | FailureKind::ContentPolicy | FailureKind::ContextWindow
                    );
                    failure = Some(failed);
                    if !elsewhere {
                        break;
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| {
            let model = crate::errors::short(model);
            Failure::invalid("model", format_args!("'{model}' is no provider's: name one of `GET /v1/models`"))
        }))
    }

    fn held_back(&self, provider: &str) -> Failure {
        let message = format!("provider {provider} has failed too often and is not asked for a while");
        Failure { retry_after: self.breakers.wait(provider), ..Failure::new(FailureKind::Down, message) }
    }
}

/// An answer as it comes from a provider of the pool. To drop it is to cancel.
#[derive(Debug)]
pub struct Answering {
    stream: Stream,
    trial: Option<Trial>,
}

impl Answering {
    /// The next piece; none after the last.
    ///
    /// # Errors
    /// The answer will not be completed. Nothing comes after it.
    pub async fn next(&mut self) -> Option<Result<Piece, Failure>> {
        let next = self.stream.next().await;
        let done = match &next {
            Some(Ok(_)) => self.stream.is_complete(),
            Some(Err(_)) | None => true,
        };
        if let Some(trial) = self.trial.take_if(|_| done) {
            match &next {
                Some(Err(failure)) => trial.failed(failure),
                _ => trial.good(),
            }
        }
        next
    }

    /// What came so far, as we count it.
    pub fn seen(&self) -> Seen {
        self.stream.seen()
    }

    /// What the provider has said so far that it used; of answers that are not complete, mostly the prompt alone.
    pub fn usage(&self) -> Option<ProviderUsage> {
        self.stream.usage()
    }
}

/// A number in [0, 1), to spread what would come together.
fn random() -> f64 {
    let bits = getrandom::u64().unwrap_or_default() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
