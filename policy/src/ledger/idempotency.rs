//! Requests that were sent twice: the second is free.
//!
//! Rules:
//! - A request that carries an idempotency key is looked up under it and the id of its API key, so that nobody
//!   meets what another has sent.
//! - The first one runs. While it does, others with the same key are told so; when it is done, they are told
//!   which request that was and what it has cost, and cost nothing themselves.
//! - One that comes to nothing is forgotten, so that it can be sent again.
//! - What is done is kept for a while, from when it was done. Bounded: the oldest that is done goes first, one
//!   that runs never; if all run, a newcomer is turned away.
//! - The same idempotency key with another request is a mistake of the client, and told as such.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ids::RequestId;
use protocol::units::Nanos;

/// The longest idempotency key, in bytes.
pub const KEY_BYTES: usize = 255;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long what is done is kept.
    pub keep: Duration,
    /// The most that are kept, those that run too.
    pub most: usize,
}

/// What has become of a request with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the first: run it, then say [`Seen::finish`] or [`Seen::abandon`].
    First,
    /// It runs.
    Running(RequestId),
    /// It is done.
    Done(Done),
}

/// A request that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub request: RequestId,
    /// What it has cost.
    pub cost: Nanos,
}

/// Why a request with an idempotency key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many run.
    #[error("{0} requests with idempotency keys run, which is the most: send it again later")]
    Full(usize),
    /// The key.
    #[error("an idempotency key of {bytes} bytes cannot be: use 1 to {KEY_BYTES}")]
    Key {
        /// How long it is.
        bytes: usize,
    },
    /// The key was used for something else.
    #[error("the idempotency key was used before with another request ({0}): use a new one for each request")]
    Reused(RequestId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done { cost: Nanos, until: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    request: RequestId,
    /// What was asked, as a hash.
    body: [u8; 32],
    state: State,
}

/// The id of an API key and an idempotency key.
type Key = (String, String);

/// Requests with idempotency keys that were seen.
#[derive(Clone, Debug)]
pub struct Seen {
    settings: Settings,
    entries: BTreeMap<Key, Entry>,
    /// Those that are done, by when they are forgotten.
    done: BTreeSet<(Duration, Key)>,
}

impl Seen {
    /// Nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, entries: BTreeMap::new(), done: BTreeSet::new() }
    }

    /// A request comes. `body` is a hash of what it asks.
    ///
    /// # Errors
    /// Its key cannot be, or was used with another body; all that are kept run.
    pub fn begin(
        &mut self,
        now: Duration,
        (api_key, key): (&str, &str),
        request: RequestId,
        body: [u8; 32],
    ) -> Result<Begun, Refused> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(Refused::Key { bytes: key.len() });
        }
        self.expire(now);
        let key = (api_key.to_owned(), key.to_owned());
        if let Some(seen) = self.entries.get(&key) {
            return match seen.state {
                _ if seen.body != body => Err(Refused::Reused(seen.request)),
                State::Running => Ok(Begun::Running(seen.request)),
                State::Done { cost, .. } => Ok(Begun::Done(Done { request: seen.request, cost })),
            };
        }
        if self.entries.len() >= self.settings.most {
            let Some((_, oldest)) = self.done.pop_first() else { return Err(Refused::Full(self.entries.len())) };
            self.entries.remove(&oldest);
        }
        self.entries.insert(key, Entry { request, body, state: State::Running });
        Ok(Begun::First)
    }

    /// The first one is done. False if it does not run here: then nothing changes.
    pub fn finish(&mut self, now: Duration, (api_key, key): (&str, &str), request: RequestId, cost: Nanos) -> bool {
        let key = (api_key.to_owned(), key.to_owned());
        let running = |entry: &&mut Entry| entry.request == request && entry.state == State::Running;
        let Some(entry) = self.entries.get_mut(&key).filter(running) else { return false };
        let until = now.saturating_add(self.settings.keep);
        entry.state = State::Done { cost, until };
        self.done.insert((until, key));
        true
    }

    /// The first one has come to nothing. False if it does not run here: then nothing changes.
    pub fn abandon(&mut self, (api_key, key): (&str, &str), request: RequestId) -> bool {
        let key = (api_key.to_owned(), key.to_owned());
        let running = self.entries.get(&key).is_some_and(|e| e.request == request && e.state == State::Running);
        running && self.entries.remove(&key).is_some()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn expire(&mut self, now: Duration) {
        while let Some((_, key)) = self.done.first().filter(|(until, _)| *until <= now).cloned() {
            self.done.pop_first();
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
