//! A part of a trace, faster or slower than it was.

use std::time::Duration;

use protocol::units::Span;

use super::Trace;

/// Speeds that mean something.
const SLOWEST: f64 = 1e-6;
const FASTEST: f64 = 1e6;

/// Which part of a trace, and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Requests that come before are left out; the clock starts here.
    pub from: Duration,
    /// Requests that come at this time or later are left out.
    pub to: Option<Duration>,
    /// Not more requests than this.
    pub limit: Option<usize>,
    /// Times are divided by it: at 2 everything comes twice as fast.
    pub speed: f64,
}

impl Default for Cut {
    /// All of it, as it was.
    fn default() -> Self {
        Self { from: Duration::ZERO, to: None, limit: None, speed: 1.0 }
    }
}

/// A cut that leaves nothing, or cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CutError {
    /// No such speed.
    #[error("--speed is {0}: give a factor from 0.000001 to 1000000; 2 is twice as fast")]
    Speed(f64),
    /// It ends before it begins.
    #[error("--to is {to}, which is not after --from, {from}: give a later end, or leave it out")]
    Window {
        /// The beginning.
        from: Span,
        /// The end.
        to: Span,
    },
    /// Not one request is wanted.
    #[error("--limit is 0: give at least 1, or leave it out for all requests")]
    Limit,
    /// Not one request is in it.
    #[error("no request comes between --from {from} and --to {to}: the trace's last comes at {last}")]
    Nothing {
        /// The beginning.
        from: Span,
        /// The end.
        to: String,
        /// The last request.
        last: Span,
    },
}

impl Cut {
    /// Whether it can be, whatever the trace.
    ///
    /// # Errors
    /// A speed or a window that cannot be.
    pub fn check(&self) -> Result<(), CutError> {
        // Written so that what is no number fails too.
        if !(SLOWEST..=FASTEST).contains(&self.speed) {
            return Err(CutError::Speed(self.speed));
        }
        if self.limit == Some(0) {
            return Err(CutError::Limit);
        }
        match self.to {
            Some(to) if to <= self.from => Err(CutError::Window { from: Span(self.from), to: Span(to) }),
            _ => Ok(()),
        }
    }

    /// The part of a trace. Its clock starts at `from`, so that its first request may come later than 0.
    ///
    /// # Errors
    /// It cannot be, or leaves nothing.
    pub fn apply(&self, mut trace: Trace) -> Result<Trace, CutError> {
        self.check()?;
        let last = trace.requests.last().map_or(Duration::ZERO, |request| request.at);
        trace.requests.retain(|request| request.at >= self.from && self.to.is_none_or(|to| request.at < to));
        trace.requests.truncate(self.limit.unwrap_or(usize::MAX));
        if trace.requests.is_empty() {
            let to = self.to.map_or_else(|| "the end".to_owned(), |to| Span(to).to_string());
            return Err(CutError::Nothing { from: Span(self.from), to, last: Span(last) });
        }
        for request in &mut trace.requests {
            let micros = (request.at - self.from).as_micros() as f64 / self.speed;
            request.at = Duration::from_micros(micros.round() as u64);
        }
        Ok(trace)
    }
}
