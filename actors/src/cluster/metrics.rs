//! What a coordinator counts: made once, by the recorder that is current then, and passed on.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use protocol::answer::{ErrorKind, Usage};

/// A coordinator's metrics.
#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    pub(super) requests: Gauge,
    pub(super) first_token: Histogram,
    pub(super) between_tokens: Histogram,
    /// From the loss of a node to the next token, as clients see it.
    pub(super) silence: Histogram,
    migrations: Counter,
    prompt: Counter,
    cached: Counter,
    completion: Counter,
}

impl ClusterMetrics {
    /// Metrics at the current recorder.
    pub fn new() -> Self {
        Self {
            requests: gauge!("troupe_requests_running"),
            first_token: histogram!("troupe_time_to_first_token_seconds"),
            between_tokens: histogram!("troupe_inter_token_latency_seconds"),
            silence: histogram!("troupe_migration_silence_seconds"),
            migrations: counter!("troupe_migrations_total"),
            prompt: counter!("troupe_prompt_tokens_total"),
            cached: counter!("troupe_prompt_tokens_cached_total"),
            completion: counter!("troupe_completion_tokens_total"),
        }
    }

    pub(super) fn done(&self, usage: &Usage) {
        self.prompt.increment(usage.prompt.0);
        self.cached.increment(usage.cached.0);
        self.completion.increment(usage.completion.0);
        counter!("troupe_requests_total", "outcome" => "ok").increment(1);
    }

    pub(super) fn failed(&self, kind: ErrorKind) {
        counter!("troupe_requests_total", "outcome" => outcome(kind)).increment(1);
    }

    pub(super) fn cancelled(&self) {
        counter!("troupe_requests_total", "outcome" => "cancelled").increment(1);
    }

    /// A client that reads too slowly was left.
    pub(super) fn stalled(&self) {
        counter!("troupe_requests_total", "outcome" => "slow_client").increment(1);
    }

    pub(super) fn migrated(&self) {
        self.migrations.increment(1);
    }

    /// Something was to be tried again.
    pub(super) fn retry(&self, allowed: bool) {
        let outcome = if allowed { "allowed" } else { "refused" };
        counter!("troupe_retries_total", "outcome" => outcome).increment(1);
    }

    pub(super) fn attempt(&self, outcome: &'static str) {
        counter!("troupe_attempts_total", "outcome" => outcome).increment(1);
    }

    pub(super) fn token_gap(&self, gap: Duration, tokens: usize) {
        if tokens > 0 {
            self.between_tokens.record(gap.as_secs_f64() / tokens as f64);
        }
    }
}

impl Default for ClusterMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn outcome(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "invalid",
        ErrorKind::ContextLength => "context_length",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::UnknownModel => "unknown_model",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Busy => "busy",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::OverBudget => "over_budget",
        ErrorKind::Forbidden => "forbidden",
        ErrorKind::ContentPolicy => "content_policy",
        ErrorKind::ProviderFailed => "provider_failed",
        ErrorKind::NoNode => "no_node",
        ErrorKind::NodeLost => "node_lost",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Internal => "internal",
    }
}
