//! How far a fetch has come, and when that is worth a line.
//!
//! Rules: at least 5 s between two lines, and a line only when another tenth is there or a minute has gone by: a quick
//! fetch says nothing in between, a slow one does not look dead.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

const APART: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(60);
const TENTH: u64 = 10;

/// How far the fetch of a model has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) model: String,
    /// The one under way.
    pub(crate) file: String,
    /// Bytes that are there of those that were not.
    pub(crate) done: u64,
    pub(crate) total: u64,
}

impl Progress {
    pub(crate) fn percent(&self) -> u64 {
        percent(self.done, self.total)
    }
}

fn percent(done: u64, total: u64) -> u64 {
    let share = u128::from(done) * 100 / u128::from(total.max(1));
    u64::try_from(share.min(100)).unwrap_or(100)
}

/// Decides when to say something.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    model: String,
    told: Option<(Duration, u64)>,
}

impl Teller {
    /// What is to be said now, if anything.
    pub(crate) fn line(&mut self, now: Duration, at: &Progress) -> Option<String> {
        let Some((when, done)) = self.told.filter(|_| self.model == at.model) else {
            self.model.clone_from(&at.model);
            self.told = Some((now, at.done));
            return None;
        };
        let since = now.saturating_sub(when);
        let further = at.percent() >= percent(done, at.total) + TENTH;
        if since < APART || !(further || since >= LONG) {
            return None;
        }
        self.told = Some((now, at.done));
        let rate = rate(at.done.saturating_sub(done), since);
        let (here, total) = (bytes(at.done), bytes(at.total));
        Some(format!("{}: {here} of {total} ({} %), {rate}, {}", at.model, at.percent(), at.file))
    }
}

/// Bytes in words.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / size as f64),
        None => format!("{count} B"),
    }
}

/// A rate in words.
pub(crate) fn rate(count: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64().max(0.001);
    // A float to an integer saturates.
    format!("{}/s", bytes((count as f64 / seconds) as u64))
}

/// Logs what there is to say until the sender is gone.
pub(crate) async fn tell(mut progress: watch::Receiver<Progress>) {
    let begun = Instant::now();
    let mut teller = Teller::default();
    while progress.changed().await.is_ok() {
        let line = teller.line(begun.elapsed(), &progress.borrow_and_update());
        if let Some(line) = line {
            tracing::info!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(done: u64) -> Progress {
        Progress { model: "m".into(), file: "m.gguf".into(), done: done << 20, total: 1000 << 20 }
    }

    #[test]
    fn lines_are_five_seconds_and_a_tenth_apart() {
        let mut teller = Teller::default();
        let mut said = |seconds, done| teller.line(Duration::from_secs(seconds), &at(done));
        assert_eq!(said(0, 0), None);
        assert_eq!(said(4, 900), None, "too soon");
        assert_eq!(said(5, 99), None, "not far enough");
        assert_eq!(said(10, 100).unwrap(), "m: 100.0 MiB of 1000.0 MiB (10 %), 10.0 MiB/s, m.gguf");
        assert_eq!(said(69, 110), None);
        assert!(said(70, 110).unwrap().contains("(11 %), 170.7 KiB/s"), "after a minute in any case");
    }

    #[test]
    fn another_model_begins_anew_and_nothing_divides_by_zero() {
        let mut teller = Teller::default();
        assert_eq!(teller.line(Duration::ZERO, &at(0)), None);
        let other = Progress { model: "n".into(), done: 500, total: 0, ..at(0) };
        assert_eq!(teller.line(Duration::from_secs(99), &other), None);
        assert_eq!((other.percent(), Progress::default().percent()), (100, 0));
        assert_eq!(
            (bytes(1023), bytes(1536), rate(1 << 30, Duration::ZERO)),
            ("1023 B".into(), "1.5 KiB".into(), "1000.0 GiB/s".into())
        );
    }
}
