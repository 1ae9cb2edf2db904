//! Progress for people: one line that changes on a terminal, a few lines in a log.

use std::io::{self, IsTerminal, Write};

/// How far a download is.
#[derive(Debug)]
pub(crate) struct Meter {
    label: String,
    total: u64,
    terminal: bool,
    shown: Option<u64>,
}

impl Meter {
    /// `total` in megabytes.
    pub(crate) fn new(label: String, total: u64) -> Self {
        Self { label, total: total.max(1), terminal: io::stderr().is_terminal(), shown: None }
    }

    /// Shows `done` megabytes, if that is news: each percent on a terminal, each quarter in a log.
    pub(crate) fn show(&mut self, done: u64) {
        let percent = (done * 100 / self.total).min(100);
        let mark = if self.terminal { percent } else { percent / 25 };
        if self.shown == Some(mark) {
            return;
        }
        self.shown = Some(mark);
        let line = format!("  {}: {} of {} MB ({percent} %)", self.label, done.min(self.total), self.total);
        if self.terminal {
            eprint!("\r{line}\x1b[K");
            // A screen that cannot be written to is no reason to stop.
            let _ = io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    /// Ends the line.
    pub(crate) fn finish(self) {
        if self.terminal && self.shown.is_some() {
            eprintln!();
        }
    }
}
