//! What placement counts. Made once, by the recorder that is current then.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};
use policy::placement::Reason;
use protocol::units::Tokens;

const CACHED: &str = "troupe_placement_cached_tokens_total";
const DECISIONS: &str = "troupe_placement_decisions_total";

/// Counters of placement.
#[derive(Clone, Debug)]
pub(crate) struct PlacementMetrics {
    /// Prompt tokens that were believed to be cached where a job was granted.
    predicted: Counter,
    /// Of the same jobs: that were cached when it was granted.
    granted: Counter,
    /// That were cached when its prefill began.
    delivered: Counter,
    reasons: [(Reason, Counter); 5],
    seconds: Histogram,
}

impl PlacementMetrics {
    pub(crate) fn new() -> Self {
        let stage = |stage: &'static str| counter!(CACHED, "stage" => stage);
        let reasons = [Reason::Prefix, Reason::Load, Reason::Session, Reason::Pinned, Reason::Only];
        Self {
            predicted: stage("predicted"),
            granted: stage("granted"),
            delivered: stage("delivered"),
            reasons: reasons.map(|reason| (reason, counter!(DECISIONS, "reason" => reason.as_str()))),
            seconds: histogram!("troupe_placement_seconds"),
        }
    }

    pub(crate) fn decided(&self, reason: Reason, took: Duration) {
        if let Some((_, counter)) = self.reasons.iter().find(|(other, _)| *other == reason) {
            counter.increment(1);
        }
        self.seconds.record(took.as_secs_f64());
    }

    pub(super) fn granted(&self, predicted: Tokens, granted: Tokens) {
        self.predicted.increment(predicted.0);
        self.granted.increment(granted.0);
    }

    pub(super) fn delivered(&self, delivered: Tokens) {
        self.delivered.increment(delivered.0);
    }
}
