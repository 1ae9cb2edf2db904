//! The one place of the benchmarks that reads the clock.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

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
