//! What happened, with its virtual time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actors::cluster::Clock;
use actors::guarded::Guarded;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Virtual time since the beginning.
    pub at: Duration,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {}", self.at.as_secs_f64(), self.what)
    }
}

/// All that has happened. Clones share it.
#[derive(Clone, Debug)]
pub struct Journal {
    clock: Clock,
    entries: Arc<Guarded<Vec<Entry>>>,
}

impl Journal {
    /// Begins now.
    pub(super) fn start() -> Self {
        Self { clock: Clock::start(), entries: Arc::new(Guarded::new(Vec::new())) }
    }

    /// Writes down what happens.
    pub fn note(&self, what: impl Into<String>) {
        self.entries.lock().push(Entry { at: self.now(), what: what.into() });
    }

    /// Since the beginning.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// All so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().clone()
    }
}

/// A number that differs where journals differ: FNV-1a over what `simulations stack --journal` prints.
pub fn digest(entries: &[Entry]) -> u64 {
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    entries.iter().fold(0xcbf2_9ce4_8422_2325, |hash, entry| {
        let hash = entry.at.as_nanos().to_le_bytes().into_iter().fold(hash, add);
        entry.what.bytes().fold(hash, add)
    })
}

/// Where two journals part, if they do.
pub fn difference(first: &[Entry], second: &[Entry]) -> Option<String> {
    let at = first.iter().zip(second).position(|(one, other)| one != other);
    let at = at.or_else(|| (first.len() != second.len()).then(|| first.len().min(second.len())))?;
    let said = |entries: &[Entry]| entries.get(at).map_or_else(|| "nothing".to_owned(), ToString::to_string);
    Some(format!("event {at} is \"{}\", then \"{}\"", said(first), said(second)))
}
