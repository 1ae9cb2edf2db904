//! How much a key may ask for in any minute, and at once.
//!
//! Rules:
//! - In no span of 60 seconds, wherever it begins, are there more than the limit. A window that begins anew at each
//!   minute lets twice as many through around its edge, and so does a bucket that refills; here every request is
//!   remembered until its own minute is over ([`window`]).
//! - A request's tokens are reserved before it runs, prompt and `max_tokens`. The reservation counts until the
//!   request ends; what it has really used then counts for a minute more. So the limit holds both by when requests
//!   came and by when they ended. The price of that is that tokens count for as long as a request runs, and a minute:
//!   where requests take d seconds, 60 / (60 + d) of the limit can be had.
//! - A request that used more than it had reserved is counted in full: later ones wait for it.
//! - A request that was let in counts as a request even if it never ran. Else one that fails at once could be
//!   repeated without end.
//! - Keys do not see each other. One that has been idle for a minute is forgotten, and the number of keys has a bound.
//! - Limits are given with each question, so that a change applies at once, with what was used before it.
//! - A clock that goes back stands still.
//!
//! Left to others: to count tokens, and to settle every [`Ticket`], also when a request dies. Several coordinators
//! each hold a part of a key's limits ([`share`]).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use protocol::account::KeyLimits;
use protocol::units::Tokens;

mod refusal;
mod state;
mod window;

pub use refusal::{Limited, Which};
pub use state::{Gauge, RateState, span};
use window::{BUCKET, WINDOW, Window};

/// Keys that are looked at with each request, whether they can be forgotten.
const SWEEP: usize = 2;
/// The same, when there is no room for one more.
const FULL_SWEEP: usize = 64;
/// What remains of the usual length of a request with each that ends.
const FADE: u32 = 8;

/// A request that was let in. It cannot be copied, so that it is settled once; whoever drops it loses its tokens and
/// its place for ever, so keep it in something that settles it when it is dropped.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "what is not settled counts for ever"]
pub struct Ticket {
    key: String,
    id: u64,
    tokens: Tokens,
}

impl Ticket {
    /// What is reserved.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }
}

/// What is known of a key.
#[derive(Clone, Debug, Default)]
struct Key {
    requests: Window,
    tokens: Window,
    /// When each that runs has begun.
    running: BTreeMap<u64, Duration>,
    /// What they have reserved.
    reserved: Tokens,
    /// How long they usually take.
    usual: Duration,
}

/// What keys have used in the last minute.
#[derive(Clone, Debug)]
pub struct Limits {
    keys: BTreeMap<String, Key>,
    most: usize,
    now: Duration,
    next: u64,
    /// Keys up to here were swept.
    swept: String,
}

impl Limits {
    /// For at most so many keys in use at once.
    pub fn new(most: usize) -> Self {
        Self { keys: BTreeMap::new(), most, now: Duration::ZERO, next: 0, swept: String::new() }
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A request comes, of so many tokens at most: its prompt and `max_tokens`.
    ///
    /// # Errors
    /// One of the key's limits is used up, or it can never be let in. Nothing is counted then.
    pub fn admit(&mut self, now: Duration, key: &str, limits: &KeyLimits, tokens: Tokens) -> Result<Ticket, Limited> {
        let now = self.advance(now);
        possible(limits, tokens)?;
        self.sweep(SWEEP);
        if !self.keys.contains_key(key) {
            if self.keys.len() >= self.most {
                self.sweep(FULL_SWEEP);
            }
            if self.keys.len() >= self.most {
                return Err(Limited::Crowded(self.most));
            }
            self.keys.insert(key.to_owned(), Key::default());
        }
        let Some(state) = self.keys.get_mut(key) else { return Err(Limited::Crowded(self.most)) };
        state.advance(now);
        if let Some(limited) = state.limited(now, limits, tokens) {
            return Err(limited);
        }
        let id = self.next;
        self.next += 1;
        state.requests.add(now, 1);
        state.running.insert(id, now);
        state.reserved += tokens;
        Ok(Ticket { key: key.to_owned(), id, tokens })
    }

    /// A request has ended, and used so many tokens, of its prompt and of its answer.
    pub fn settle(&mut self, now: Duration, ticket: Ticket, used: Tokens) {
        let now = self.advance(now);
        let Some((state, begun)) = self.end(&ticket) else { return };
        state.advance(now);
        state.tokens.add(now, used.0);
        let took = now.saturating_sub(begun);
        state.usual =
            if state.usual.is_zero() { took } else { state.usual.saturating_mul(FADE - 1).saturating_add(took) / FADE };
    }

    /// A request never ran: none of its tokens count. It still counts as a request.
    pub fn release(&mut self, now: Duration, ticket: Ticket) {
        self.advance(now);
        self.end(&ticket);
    }

    /// How a key stands.
    pub fn state(&mut self, now: Duration, key: &str, limits: &KeyLimits) -> RateState {
        let now = self.advance(now);
        let fresh = |limit: u64| Gauge { limit, remaining: limit, reset: Duration::ZERO };
        let requests = limits.requests_per_minute.map(|limit| fresh(limit.into()));
        let mut state = RateState { requests, tokens: limits.tokens_per_minute.map(fresh) };
        let Some(known) = self.keys.get_mut(key) else { return state };
        known.advance(now);
        let until = |moment: Option<Duration>| moment.unwrap_or_default().saturating_sub(now);
        if let Some(gauge) = &mut state.requests {
            gauge.remaining = gauge.limit.saturating_sub(known.requests.used());
            gauge.reset = until(known.requests.empties());
        }
        if let Some(gauge) = &mut state.tokens {
            gauge.remaining = gauge.limit.saturating_sub(known.used().0);
            let running = if known.reserved == Tokens::ZERO { Duration::ZERO } else { WINDOW + BUCKET };
            gauge.reset = until(known.tokens.empties()).max(running);
        }
        state
    }

    fn advance(&mut self, now: Duration) -> Duration {
        self.now = self.now.max(now);
        self.now
    }

    fn end(&mut self, ticket: &Ticket) -> Option<(&mut Key, Duration)> {
        let state = self.keys.get_mut(&ticket.key)?;
        let begun = state.running.remove(&ticket.id)?;
        state.reserved -= ticket.tokens;
        Some((state, begun))
    }

    /// Looks at so many keys, in turn, and forgets those of which nothing counts.
    fn sweep(&mut self, count: usize) {
        for _ in 0..count {
            let next = self.keys.range_mut::<str, _>((Bound::Excluded(self.swept.as_str()), Bound::Unbounded)).next();
            let Some((name, state)) = next else {
                self.swept.clear();
                return;
            };
            state.advance(self.now);
            self.swept.clone_from(name);
            if state.is_idle() {
                self.keys.remove(&self.swept);
            }
        }
    }
}

/// Whether a request can be let in at all.
fn possible(limits: &KeyLimits, tokens: Tokens) -> Result<(), Limited> {
    for (which, limit) in [
        (Which::Requests, limits.requests_per_minute.map(u64::from)),
        (Which::Tokens, limits.tokens_per_minute),
        (Which::Parallel, limits.parallel.map(u64::from)),
    ] {
        if limit == Some(0) {
            return Err(Limited::Nothing { which });
        }
    }
    match limits.tokens_per_minute {
        Some(limit) if tokens.0 > limit => Err(Limited::TooLarge { asked: tokens, limit: Tokens(limit) }),
        _ => Ok(()),
    }
}

impl Key {
    fn advance(&mut self, now: Duration) {
        self.requests.advance(now);
        self.tokens.advance(now);
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.requests.is_empty() && self.tokens.is_empty()
    }

    /// The tokens that count.
    fn used(&self) -> Tokens {
        Tokens(self.tokens.used()) + self.reserved
    }

    /// The limit for which a request waits longest, if there is one.
    fn limited(&self, now: Duration, limits: &KeyLimits, tokens: Tokens) -> Option<Limited> {
        let requests = limits.requests_per_minute.and_then(|limit| {
            let (limit, used) = (u64::from(limit), self.requests.used());
            let excess = used.saturating_add(1).saturating_sub(limit);
            (excess > 0).then(|| (Which::Requests, limit, used, self.requests.frees(excess)))
        });
        let tokens = limits.tokens_per_minute.and_then(|limit| {
            let used = self.used().0;
            let excess = used.saturating_add(tokens.0).saturating_sub(limit);
            // As what runs ends it counts for no more than it did, so what has ended frees this in any case.
            (excess > 0).then(|| (Which::Tokens, limit, used, self.tokens.frees(excess)))
        });
        let parallel = limits.parallel.and_then(|limit| {
            let (limit, used) = (u64::from(limit), self.running.len() as u64);
            (used >= limit).then_some((Which::Parallel, limit, used, None))
        });
        let all = [requests, tokens, parallel].into_iter().flatten();
        let waits = all.map(|(which, limit, used, frees)| match frees {
            Some(at) => Limited::Used { which, limit, used, retry_after: at.saturating_sub(now), sure: true },
            None => Limited::Used { which, limit, used, retry_after: self.guess(now), sure: false },
        });
        let longest = waits.max_by_key(Limited::retry_after)?;
        let unsure = parallel.is_some() || tokens.is_some_and(|(.., frees)| frees.is_none());
        Some(match longest {
            Limited::Used { which, limit, used, retry_after, .. } if unsure => {
                Limited::Used { which, limit, used, retry_after, sure: false }
            }
            sure => sure,
        })
    }

    /// When the one that has run longest may end: as soon as one usually does, in a second if it is late.
    fn guess(&self, now: Duration) -> Duration {
        let oldest = self.running.values().next().map_or(Duration::ZERO, |begun| now.saturating_sub(*begun));
        self.usual.saturating_sub(oldest).clamp(Duration::from_secs(1), WINDOW)
    }
}

/// How long an answer may be: what was asked for, or, where nothing was, what the model allows and the key's limit
/// leaves beside the prompt. With the prompt it is what [`Limits::admit`] reserves.
///
/// # Errors
/// The limit holds less than the prompt and what was asked for, or one token where nothing was.
pub fn answer(limits: &KeyLimits, prompt: Tokens, asked: Option<Tokens>, most: Tokens) -> Result<Tokens, Limited> {
    let Some(limit) = limits.tokens_per_minute.map(Tokens) else { return Ok(asked.unwrap_or(most)) };
    let wanted = asked.unwrap_or_else(|| most.min(limit - prompt).max(Tokens(1)));
    possible(limits, prompt + wanted).map(|()| wanted)
}

/// The limits of one of several coordinators, counted from 0: together they let in exactly what the key may, so
/// what does not divide goes to the first ones, and where there is less than one for each the last ones have none
/// (they refuse with [`Limited::Nothing`]: another coordinator must be asked). A request that is larger than the
/// share of tokens is refused even if it is smaller than the limit.
#[must_use]
pub fn share(limits: &KeyLimits, index: u32, coordinators: u32) -> KeyLimits {
    let count = u64::from(coordinators.max(1));
    let part = |limit: u64| limit / count + u64::from(u64::from(index) < limit % count);
    let small = |limit: u32| u32::try_from(part(limit.into())).unwrap_or(limit);
    KeyLimits {
        requests_per_minute: limits.requests_per_minute.map(small),
        tokens_per_minute: limits.tokens_per_minute.map(part),
        parallel: limits.parallel.map(small),
    }
}

#[cfg(test)]
mod tests;
