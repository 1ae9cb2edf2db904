//! Who was told to come again, and when: places are held for them around that time.
//!
//! Somebody who comes again is known by tenant and by the length of the prompt: the same request has the
//! same. A promise that is not redeemed within its grace is forgotten, and so are the oldest when there are
//! too many.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::job::Class;
use protocol::units::Tokens;

use super::Entry;

/// How long after its time a promise is kept, at least; a long wait is kept a quarter of itself longer.
const GRACE: Duration = Duration::from_secs(2);
/// Who comes this much too early is on time.
const EARLY: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Promise {
    class: Class,
    tenant: String,
    tokens: Tokens,
    made: Duration,
    until: Duration,
}

/// All promises, by their time.
#[derive(Clone, Debug)]
pub(super) struct Promises {
    most: usize,
    all: BTreeMap<(Duration, u64), Promise>,
    tokens: Tokens,
    next: u64,
}

impl Promises {
    pub(super) fn new(most: usize) -> Self {
        Self { most, all: BTreeMap::new(), tokens: Tokens::ZERO, next: 0 }
    }

    /// Somebody is told to come in `wait`.
    pub(super) fn make(&mut self, now: Duration, wait: Duration, entry: &Entry) {
        let due = now + wait;
        let (class, tenant, tokens) = (entry.class, entry.tenant.clone(), entry.tokens);
        let until = due + GRACE.max(wait / 4);
        self.all.insert((due, self.next), Promise { class, tenant, tokens, made: now, until });
        self.tokens += tokens;
        self.next += 1;
        while self.all.len() > self.most {
            // The latest hold least: their time is far.
            if let Some((_, promise)) = self.all.pop_last() {
                self.tokens -= promise.tokens;
            }
        }
    }

    /// Forgets those that nobody redeemed.
    pub(super) fn expire(&mut self, now: Duration) {
        let tokens = &mut self.tokens;
        self.all.retain(|_, promise| {
            let kept = promise.until > now;
            if !kept {
                *tokens -= promise.tokens;
            }
            kept
        });
    }

    /// Somebody comes: was it told to, and when?
    pub(super) fn redeem(&mut self, now: Duration, tenant: &str, tokens: Tokens) -> Option<Duration> {
        let due = self.all.range(..=(now + EARLY, u64::MAX));
        let mut same = due.filter(|(_, promise)| promise.tokens == tokens && promise.tenant == tenant);
        let key = same.next().map(|(key, _)| *key)?;
        let promise = self.all.remove(&key)?;
        self.tokens -= promise.tokens;
        Some(promise.made)
    }

    /// Places that must be there by then, of this class and above.
    pub(super) fn due(&self, by: Duration, class: Class) -> (usize, Tokens) {
        let due = self.all.range(..=(by, u64::MAX)).filter(|(_, promise)| promise.class >= class);
        due.fold((0, Tokens::ZERO), |(count, tokens), (_, promise)| (count + 1, tokens + promise.tokens))
    }

    /// All of them.
    pub(super) fn all(&self) -> (usize, Tokens) {
        (self.all.len(), self.tokens)
    }
}
