//! One try at a provider, as its breaker and the metrics see it.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use policy::breaker::{Breaker, Permit, Settings, State};
use tokio::time::Instant;

use super::random;
use crate::call::Failure;

/// The breakers, by the provider's name.
#[derive(Debug)]
pub(super) struct Breakers {
    breakers: DashMap<Arc<str>, Breaker>,
    settings: Settings,
    /// Moments are counted from here.
    epoch: Instant,
}

impl Breakers {
    pub(super) fn new(settings: Settings) -> Self {
        Self { breakers: DashMap::new(), settings, epoch: Instant::now() }
    }

    pub(super) fn state(&self, provider: &str) -> State {
        let now = self.epoch.elapsed();
        self.breakers.get(provider).map_or(State::Closed, |breaker| breaker.state(now))
    }

    pub(super) fn admits(&self, provider: &str) -> bool {
        let now = self.epoch.elapsed();
        self.breakers.get(provider).is_none_or(|breaker| breaker.admits(now))
    }

    /// How long it stays open.
    pub(super) fn wait(&self, provider: &str) -> Option<Duration> {
        let now = self.epoch.elapsed();
        self.breakers.get(provider).map(|breaker| breaker.wait(now))
    }
}

/// A permit of a provider's breaker. To drop it without a verdict is to say nothing of the provider.
#[derive(Debug)]
pub(super) struct Trial {
    breakers: Arc<Breakers>,
    provider: Arc<str>,
    permit: Permit,
    start: Instant,
    judged: bool,
}

impl Trial {
    /// None if the breaker lets nobody pass; `force` for somebody who has to pass whatever its state.
    pub(super) fn new(breakers: &Arc<Breakers>, provider: &str, force: bool) -> Option<Self> {
        let provider: Arc<str> = provider.into();
        let now = breakers.epoch.elapsed();
        let mut breaker = breakers.breakers.entry(Arc::clone(&provider)).or_default();
        let permit = breaker.permit(now).or_else(|| force.then(|| breaker.force()))?;
        drop(breaker);
        Some(Self { breakers: Arc::clone(breakers), provider, permit, start: Instant::now(), judged: false })
    }

    /// The answer is complete.
    pub(super) fn good(self) {
        self.judge("ok", |breaker, permit| breaker.good(permit));
    }

    /// It failed, or was never made.
    pub(super) fn failed(self, failure: &Failure) {
        let (now, settings) = (self.breakers.epoch.elapsed(), self.breakers.settings);
        let (asked, fault) = (failure.asked, failure.kind.is_fault());
        self.judge(failure.kind.as_str(), |breaker, permit| match (asked, fault) {
            (false, _) => breaker.forget(permit),
            (true, true) => breaker.fault(now, permit, &settings, random()),
            (true, false) => breaker.busy(permit),
        });
    }

    fn judge(mut self, outcome: &'static str, verdict: impl FnOnce(&mut Breaker, Permit)) {
        self.judged = true;
        self.settle(outcome, verdict);
    }

    fn settle(&self, outcome: &'static str, verdict: impl FnOnce(&mut Breaker, Permit)) {
        let now = self.breakers.epoch.elapsed();
        let mut breaker = self.breakers.breakers.entry(Arc::clone(&self.provider)).or_default();
        let before = breaker.state(now);
        verdict(&mut breaker, self.permit);
        let after = breaker.state(now);
        drop(breaker);
        let provider = self.provider.to_string();
        if before != after {
            tracing::warn!("the breaker of provider {provider} is {} now", after.as_str().replace('_', " "));
        }
        let open = if after == State::Closed { 0.0 } else { 1.0 };
        metrics::gauge!("troupe_provider_breaker_open", "provider" => provider.clone()).set(open);
        metrics::counter!("troupe_provider_requests_total", "provider" => provider.clone(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("troupe_provider_seconds", "provider" => provider)
            .record(self.start.elapsed().as_secs_f64());
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.judged {
            self.settle("cancelled", |breaker, permit| breaker.forget(permit));
        }
    }
}
