//! Whether a node gets work: it must report, and what it reports must show progress.
//!
//! Rules: health is progress, not life. A node is suspect when it was silent for longer than a fixed time
//! and than several of its usual gaps; or when work waits and its engine has made no step for a while.
//! It is trusted again as soon as it proves itself. Of two reports the newer wins, by incarnation and
//! sequence, whatever order they come in.

use std::time::Duration;

use protocol::engine::Load;
use protocol::ids::Incarnation;
use protocol::message::Report;

/// When a node is suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Silence, if it is longer than `gaps` usual gaps.
    pub silence: Duration,
    /// See `silence`.
    pub gaps: u32,
    /// Work waiting and no step for so long.
    pub stall: Duration,
}

impl From<&protocol::config::Health> for Rules {
    fn from(health: &protocol::config::Health) -> Self {
        Self { silence: health.silence.0, gaps: health.gaps, stall: health.stall.0 }
    }
}

/// What the rules say of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets work.
    Trusted,
    /// It has not reported for so long.
    Silent(Duration),
    /// Work waits, and nothing was computed for so long.
    Stalled(Duration),
}

/// What is known of a node's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    newest: Option<(Incarnation, u64)>,
    heard: Duration,
    /// Running mean of the gaps between reports: an eighth of each new one, as TCP takes round trips.
    gap: Duration,
    still: Duration,
    busy: bool,
}

impl Health {
    /// Of a node that has just connected and reports so often.
    pub fn new(now: Duration, report_every: Duration) -> Self {
        Self { newest: None, heard: now, gap: report_every, still: Duration::ZERO, busy: false }
    }

    /// Takes a report in. False if it is older than one that was seen.
    pub fn on_report(&mut self, now: Duration, report: &Report) -> bool {
        let this = (report.incarnation, report.sequence);
        if self.newest.is_some_and(|newest| this <= newest) {
            return false;
        }
        if self.newest.is_some() {
            self.gap = self.gap * 7 / 8 + now.saturating_sub(self.heard) / 8;
        }
        self.newest = Some(this);
        self.heard = now;
        let waits = |load: &Load| !load.is_idle();
        let busy = report.workers.iter().filter(|worker| waits(&worker.load));
        self.still = busy.clone().map(|worker| worker.still).max().unwrap_or_default();
        self.busy = busy.count() > 0;
        true
    }

    /// Since the last report.
    pub fn silent(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// Until when it gets work if nothing more is heard of it; none if it does not get any now. Agrees with
    /// [`Health::verdict`].
    pub fn until(&self, rules: &Rules) -> Option<Duration> {
        let stalled = self.busy && self.still > rules.stall;
        (!stalled).then(|| self.heard.saturating_add(rules.silence.max(self.gap * rules.gaps)))
    }

    /// Whether it gets work.
    pub fn verdict(&self, now: Duration, rules: &Rules) -> Verdict {
        let silent = self.silent(now);
        if silent > rules.silence.max(self.gap * rules.gaps) {
            return Verdict::Silent(silent);
        }
        if self.busy && self.still > rules.stall {
            return Verdict::Stalled(self.still);
        }
        Verdict::Trusted
    }
}

#[cfg(test)]
mod tests;
