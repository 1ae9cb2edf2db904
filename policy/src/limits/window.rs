//! How much there was in the last minute: an exact count over small buckets.
//!
//! Rules:
//! - What came in a bucket counts until a whole minute after the bucket's end. So nothing leaves before its minute
//!   is over, and nothing stays for longer than a bucket beyond it: never too much, and 0.2 % too little at most.
//! - Buckets with nothing in them are not kept: memory is bounded by the number of buckets in a minute, and by the
//!   number of events.
//! - Each entry holds the sum of all up to its own, so that how long to wait is found by bisection.

use std::collections::VecDeque;
use std::time::Duration;

/// How long something counts.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Events so close together leave together.
pub(super) const BUCKET: Duration = Duration::from_millis(100);
/// Buckets for which something counts: those of a minute, and its own.
const SPAN: u64 = 601;

#[derive(Clone, Copy, Debug)]
struct Entry {
    bucket: u64,
    /// With all that came before it, since the window was last empty.
    sum: u128,
}

/// The last minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// The sum of the last entry that left.
    gone: u128,
}

fn bucket(now: Duration) -> u64 {
    // Far beyond any clock, and far below what the sums below can hold.
    u64::try_from(now.as_millis() / BUCKET.as_millis()).unwrap_or(u64::MAX).min(u64::MAX >> 10)
}

impl Entry {
    /// When it leaves.
    fn leaves(self) -> Duration {
        Duration::from_millis(self.bucket.saturating_add(SPAN).saturating_mul(100))
    }
}

impl Window {
    /// What is over leaves.
    pub(super) fn advance(&mut self, now: Duration) {
        let now = bucket(now);
        while let Some(entry) = self.entries.front().filter(|entry| entry.bucket.saturating_add(SPAN) <= now) {
            self.gone = entry.sum;
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.gone = 0;
        }
    }

    /// Something comes. `now` is no earlier than it was before.
    pub(super) fn add(&mut self, now: Duration, amount: u64) {
        if amount == 0 {
            return;
        }
        let (bucket, amount) = (bucket(now), u128::from(amount));
        match self.entries.back_mut() {
            Some(last) if last.bucket >= bucket => last.sum = last.sum.saturating_add(amount),
            last => {
                let sum = last.map_or(self.gone, |last| last.sum).saturating_add(amount);
                self.entries.push_back(Entry { bucket, sum });
            }
        }
    }

    /// What counts, as of the last [`Window::advance`].
    pub(super) fn used(&self) -> u64 {
        let used = self.entries.back().map_or(0, |last| last.sum.saturating_sub(self.gone));
        u64::try_from(used).unwrap_or(u64::MAX)
    }

    /// When so much less counts; none if there is not so much.
    pub(super) fn frees(&self, amount: u64) -> Option<Duration> {
        let wanted = self.gone.saturating_add(u128::from(amount));
        let place = self.entries.partition_point(|entry| entry.sum < wanted);
        self.entries.get(place).map(|entry| entry.leaves())
    }

    /// When nothing counts any more.
    pub(super) fn empties(&self) -> Option<Duration> {
        self.entries.back().map(|entry| entry.leaves())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
