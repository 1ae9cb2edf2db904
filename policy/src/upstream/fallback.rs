//! Who is asked next when a model cannot answer: another try at the same, another model, or nobody.
//!
//! Rules:
//! - Chains belong to the model that was asked for, one per kind of failure; those of the last failure count, then
//!   `any`. No model is tried by way of a chain twice, so this ends.
//! - The same model is tried again only after what may pass within a moment: it is down, cut, garbled or full of
//!   requests. A timeout is not: what took too long once takes too long again. Who says when to come back is
//!   obeyed; who says later than that moment is left for somebody else, and waited for only where there is nobody.
//! - A wait that goes beyond the request's own deadline is not begun.
//! - Once text has reached the client, an answer is never begun anew. Plain text may go on where a model takes the
//!   beginning of an answer; a call of a function never, and nothing that a filter has cut.
//! - What a stand-in says of the request (that it is wrong, too long) is no word on it: the first failure is told.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::answer::ErrorKind;

use super::failure::FailureKind;
use super::limits::FIRST;
use crate::retry::{Budget, Settings};

/// A model that can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its name in the cluster.
    pub model: String,
    /// How often it is asked again before its answer has begun.
    pub retries: u32,
    /// Whether it can go on with the beginning of an answer: own nodes can.
    pub prefill: bool,
}

/// Who stands in for a model, per kind of failure, the first first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// It cannot be reached, fails, or takes too long.
    pub down: Vec<Target>,
    /// It takes no more requests for now.
    pub rate_limit: Vec<Target>,
    /// Prompt and answer do not fit its context.
    pub context_window: Vec<Target>,
    /// Its rules forbid the content.
    pub content_policy: Vec<Target>,
    /// What may be spent on it is spent.
    pub budget: Vec<Target>,
    /// Whatever the failure, after those that are named for it.
    pub any: Vec<Target>,
}

impl Chain {
    /// From the settings; `target` tells what is known of a model by its name.
    pub fn new(config: &protocol::config::Fallbacks, target: impl Fn(&str) -> Target) -> Self {
        let targets = |names: &[String]| names.iter().map(|name| target(name)).collect();
        Self {
            down: targets(&config.down),
            rate_limit: targets(&config.rate_limit),
            context_window: targets(&config.context_window),
            content_policy: targets(&config.content_policy),
            budget: targets(&config.budget),
            any: targets(&config.any),
        }
    }

    fn of(&self, kind: FailureKind) -> &[Target] {
        match kind {
            FailureKind::Down | FailureKind::Auth | FailureKind::Timeout | FailureKind::Cut | FailureKind::Garbled => {
                &self.down
            }
            FailureKind::RateLimited | FailureKind::Full => &self.rate_limit,
            FailureKind::ContextWindow => &self.context_window,
            FailureKind::ContentPolicy => &self.content_policy,
            FailureKind::Budget => &self.budget,
            FailureKind::Invalid => &[],
        }
    }
}

/// What has reached the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Streamed {
    /// Nothing.
    #[default]
    Nothing,
    /// Plain text of one answer.
    Text,
    /// A piece of a call, or of more than one answer.
    More,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What sort of failure.
    pub kind: FailureKind,
    /// When it may be asked again.
    pub retry_after: Option<Duration>,
    /// What had reached the client.
    pub streamed: Streamed,
}

/// How the next attempt begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With the prompt.
    Anew,
    /// With the prompt and the text so far, which the client has.
    GoOn,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this model now.
    Next {
        /// Which.
        target: Target,
        /// How.
        mode: Mode,
        /// The failure that led there, for `Route::because`.
        because: FailureKind,
    },
    /// Ask the same model after a while.
    Retry {
        /// How long.
        after: Duration,
        /// How.
        mode: Mode,
    },
    /// Tell the client.
    GiveUp {
        /// As what.
        error: ErrorKind,
        /// Which failure it was: the first.
        kind: FailureKind,
        /// When it is worth trying again.
        retry_after: Option<Duration>,
    },
}

/// One request's way through its models.
#[derive(Clone, Debug)]
pub struct Fallback {
    chain: Chain,
    settings: Settings,
    current: Target,
    /// Asked by way of the chain, or at first.
    tried: BTreeSet<String>,
    /// Retries of the current model.
    retries: u32,
    /// The failure that is told.
    first: Option<Failed>,
    /// The kind that led away from the first model.
    last: Option<FailureKind>,
}

impl Fallback {
    /// A request for a model.
    pub fn new(target: Target, chain: Chain, settings: Settings) -> Self {
        let tried = BTreeSet::from([target.model.clone()]);
        Self { chain, settings, current: target, tried, retries: 0, first: None, last: None }
    }

    /// The model that is asked now.
    pub fn current(&self) -> &Target {
        &self.current
    }

    /// An attempt has failed. `left` is what remains of the request's time, `random` is in [0, 1), and `budget` what
    /// may still be retried.
    pub fn on_failure(&mut self, failed: Failed, left: Duration, random: f64, budget: &mut Budget) -> Step {
        let first = *self.first.get_or_insert(failed);
        // A stand-in that cannot is not the one that was asked: whoever else was named for the failure before may.
        let kind = match (failed.kind, self.last) {
            (FailureKind::Invalid, Some(last)) => last,
            (kind, _) => kind,
        };
        let filtered = matches!(kind, FailureKind::ContentPolicy | FailureKind::ContextWindow | FailureKind::Invalid);
        let mode = match failed.streamed {
            Streamed::Nothing => Mode::Anew,
            Streamed::Text if !filtered => Mode::GoOn,
            Streamed::Text | Streamed::More => return give_up(Failed { kind, ..failed }),
        };
        let may = |target: &Target| mode == Mode::Anew || target.prefill;
        // Who is refused without a time is not let through sooner: see `limits`.
        let untold = (failed.kind == FailureKind::RateLimited).then_some(FIRST);
        let wait = self.settings.wait(self.retries, random, failed.retry_after.or(untold));
        let again = matches!(
            failed.kind,
            FailureKind::Down | FailureKind::Cut | FailureKind::Garbled | FailureKind::RateLimited | FailureKind::Full
        ) && self.retries < self.current.retries
            && may(&self.current)
            && wait < left;
        if again && wait <= self.settings.longest && budget.retry() {
            self.retries += 1;
            return Step::Retry { after: wait, mode };
        }
        let named = self.chain.of(kind).iter().chain(&self.chain.any);
        let next = named.into_iter().find(|target| !self.tried.contains(&target.model) && may(target)).cloned();
        if let Some(target) = next {
            self.tried.insert(target.model.clone());
            self.current = target.clone();
            self.retries = 0;
            self.last = Some(kind);
            return Step::Next { target, mode, because: kind };
        }
        // Nobody else: what it asked for is waited for, if that is all that is missing.
        if again && wait > self.settings.longest && budget.retry() {
            self.retries += 1;
            return Step::Retry { after: wait, mode };
        }
        give_up(first)
    }
}

fn give_up(failed: Failed) -> Step {
    Step::GiveUp { error: failed.kind.error(), kind: failed.kind, retry_after: failed.retry_after }
}

#[cfg(test)]
mod tests;
