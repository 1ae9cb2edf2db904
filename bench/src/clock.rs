//! The one place of the benchmarks that reads the clock.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// Time since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time, and decides nothing by it")]
impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Time since this was first asked: the clock that an engine's profile reads.
pub(crate) fn since_first() -> Duration {
    static FIRST: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
    FIRST.elapsed()
}

/// The day, UTC, as 2026-01-31.
#[expect(clippy::disallowed_methods, reason = "what was measured says when, and nothing is decided by it")]
pub(crate) fn today() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs() / 86_400)
}

/// The day so many days after 1 January 1970, by the civil calendar.
fn date(days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (days, text) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_454, "2026-01-01")] {
            assert_eq!(date(days), text);
        }
        assert_eq!(date(20_453), "2025-12-31");
    }
}
