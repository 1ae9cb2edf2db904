//! Whether cached blocks are fetched from another node, or computed again; and whether a prompt is computed on
//! a node for prompts first.
//!
//! Rules: both are the same sum: bytes over bandwidth, and a round trip, against tokens over prefill rate. What
//! was never measured counts as configured. A pull must be cheaper by a margin, since it also costs the other
//! node; it may take as long as what it saves, not longer, and then the rest is computed. All of it is decided
//! where the numbers are measured: by the node that would compute.

use std::time::Duration;

use protocol::units::Tokens;

/// How a pull is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// To compute must cost so many times what the pull costs.
    pub margin: f64,
    /// The longest a pull may take.
    pub limit: Duration,
    /// Bytes a second of a peer that was never measured.
    pub bandwidth: f64,
    /// Fewer tokens are computed.
    pub least: Tokens,
}

impl From<&protocol::config::Pull> for Terms {
    fn from(pull: &protocol::config::Pull) -> Self {
        Self {
            margin: pull.margin,
            limit: pull.limit.0,
            bandwidth: pull.bandwidth.0 as f64,
            least: Tokens(pull.least_tokens.into()),
        }
    }
}

/// What could be fetched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Tokens that the holder has and this node has not.
    pub missing: Tokens,
    /// Bytes of a token's keys and values, over all layers.
    pub bytes_per_token: f64,
    /// Bytes a second, if they were measured.
    pub bandwidth: Option<f64>,
    /// Until the first byte, besides.
    pub latency: Duration,
    /// Prompt tokens a second that this node computes; none if that was not measured.
    pub prefill: Option<f64>,
    /// Prompt tokens that are due here before it.
    pub queue: Tokens,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Compute them.
    Compute,
    /// Fetch them.
    Pull {
        /// How long it should take.
        cost: Duration,
        /// How long it may take: past it, computing would have been done.
        limit: Duration,
    },
}

/// How long so many tokens take on their way.
pub fn transfer(offer: &Offer, terms: &Terms) -> Duration {
    let bandwidth = offer.bandwidth.unwrap_or(terms.bandwidth);
    offer.latency.saturating_add(seconds(offer.missing.0 as f64 * offer.bytes_per_token / bandwidth))
}

/// Whether to fetch. A node whose prefill rate nobody knows yet is cold: it fetches what it can in time.
pub fn decide(offer: &Offer, terms: &Terms) -> Verdict {
    if offer.missing < terms.least.max(Tokens(1)) {
        return Verdict::Compute;
    }
    let cost = transfer(offer, terms);
    let compute = match offer.prefill {
        Some(rate) => seconds(offer.missing.0 as f64 / rate),
        None => terms.limit,
    };
    // What is due before it delays computing, not fetching: the transfer goes on beside it.
    let waits = offer.prefill.map_or(Duration::ZERO, |rate| seconds(offer.queue.0 as f64 / rate));
    let limit = compute.saturating_add(waits).min(terms.limit);
    let dear = seconds(cost.as_secs_f64() * terms.margin.max(1.0));
    if dear <= compute && cost <= limit { Verdict::Pull { cost, limit } } else { Verdict::Compute }
}

/// Whether a prompt is computed on a node for prompts first, from which the answering node fetches it: only
/// long ones, and only if that is sooner there, the way included.
pub fn elsewhere(threshold: Tokens, here: Duration, there: Duration, offer: &Offer, terms: &Terms) -> bool {
    offer.missing >= threshold && there.saturating_add(transfer(offer, terms)).mul_f64(terms.margin.max(1.0)) <= here
}

/// What is known of the way to a peer. Newer measures count more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    bandwidth: Option<f64>,
    latency: Option<f64>,
    /// Not to be asked before, since it did not answer.
    closed_until: Duration,
    failures: u32,
}

/// The weight of a new measure.
const NEWEST: f64 = 0.3;
/// Fewer bytes measure the round trip, not the bandwidth.
const LEAST_BYTES: u64 = 16 * 1024;
/// How long a peer is left alone after its first failure; it doubles.
const REST: Duration = Duration::from_secs(1);
/// The longest rest, in doublings.
const LONGEST_REST: u32 = 6;

impl Way {
    /// Bytes a second, if that was measured.
    pub fn bandwidth(&self) -> Option<f64> {
        self.bandwidth
    }

    /// Until the first byte.
    pub fn latency(&self) -> Duration {
        self.latency.map_or(Duration::ZERO, seconds)
    }

    /// Whether it may be asked.
    pub fn is_open(&self, now: Duration) -> bool {
        now >= self.closed_until
    }

    /// So many bytes came in this time after the first, which took `latency`. True or cut short: both tell.
    pub fn measured(&mut self, bytes: u64, took: Duration, latency: Duration) {
        self.failures = 0;
        let mix = |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old + NEWEST * (new - old)));
        self.latency = mix(self.latency, latency.as_secs_f64());
        if bytes >= LEAST_BYTES {
            self.bandwidth = mix(self.bandwidth, bytes as f64 / took.as_secs_f64().max(1e-6));
        }
    }

    /// It did not answer, or not as it should.
    pub fn failed(&mut self, now: Duration) {
        self.closed_until = now.saturating_add(REST * (1 << self.failures.min(LONGEST_REST)));
        self.failures = self.failures.saturating_add(1);
    }
}

/// Never a panic: what is no time is the longest.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX / 4)
}

#[cfg(test)]
mod tests;
