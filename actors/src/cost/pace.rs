//! How fast each key may ask: the shell around [`policy::limits`].
//!
//! Rules: a request that was let in holds a [`Going`], and to drop it is to say that it is over. A lock is held
//! for the arithmetic alone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard};

use policy::limits::{Limited, Limits, RateState, Ticket, share};
use protocol::account::KeyLimits;
use protocol::units::Tokens;

use crate::cluster::Clock;
use crate::guarded::Guarded;

/// Keys that are counted at once.
const KEYS: usize = 1 << 17;

/// How fast keys may ask. Clones share it.
#[derive(Clone, Debug)]
pub struct Pace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    limits: Guarded<Limits>,
    /// Which of how many coordinators this is.
    index: AtomicU32,
    coordinators: AtomicU32,
}

impl Default for Pace {
    fn default() -> Self {
        let (index, coordinators) = (AtomicU32::new(0), AtomicU32::new(1));
        let inner = Inner { clock: Clock::start(), limits: Guarded::new(Limits::new(KEYS)), index, coordinators };
        Self { inner: Arc::new(inner) }
    }
}

/// A request that was let in.
#[derive(Debug)]
pub struct Going {
    pace: Pace,
    ticket: Option<Ticket>,
}

impl Pace {
    /// This is one of so many coordinators that share every key's limits.
    pub fn set_share(&self, index: u32, coordinators: u32) {
        self.inner.index.store(index, Ordering::Relaxed);
        self.inner.coordinators.store(coordinators.max(1), Ordering::Relaxed);
    }

    /// Whether a request could be let in at all: looked at before anything is done for it.
    ///
    /// # Errors
    /// The key has used up what it may.
    pub fn glance(&self, key: &str, limits: &KeyLimits) -> Result<(), Limited> {
        if *limits == KeyLimits::default() {
            return Ok(());
        }
        let (now, limits) = (self.inner.clock.now(), self.shared(limits));
        let mut all = self.limits();
        let state = all.state(now, key, &limits);
        let spent = [state.requests, state.tokens].into_iter().flatten().any(|gauge| gauge.remaining == 0);
        if !spent {
            return Ok(());
        }
        match all.admit(now, key, &limits, Tokens(1)) {
            Err(limited) => Err(limited),
            // Room has come in between.
            Ok(ticket) => {
                all.release(now, ticket);
                Ok(())
            }
        }
    }

    /// Lets a request in that may use so many tokens.
    ///
    /// # Errors
    /// The key has used up what it may.
    pub fn admit(&self, key: &str, limits: &KeyLimits, tokens: Tokens) -> Result<Going, Limited> {
        if *limits == KeyLimits::default() {
            return Ok(Going { pace: self.clone(), ticket: None });
        }
        let ticket = self.limits().admit(self.inner.clock.now(), key, &self.shared(limits), tokens)?;
        Ok(Going { pace: self.clone(), ticket: Some(ticket) })
    }

    /// Lets a request go on elsewhere that was let in before. It does not count as another one.
    ///
    /// # Errors
    /// The key has used up what it may.
    pub fn admit_again(&self, key: &str, limits: &KeyLimits, tokens: Tokens) -> Result<Going, Limited> {
        if *limits == KeyLimits::default() {
            return Ok(Going { pace: self.clone(), ticket: None });
        }
        let ticket = self.limits().admit_again(self.inner.clock.now(), key, &self.shared(limits), tokens)?;
        Ok(Going { pace: self.clone(), ticket: Some(ticket) })
    }

    /// What a key may still ask for.
    pub fn state(&self, key: &str, limits: &KeyLimits) -> RateState {
        if *limits == KeyLimits::default() {
            return RateState::default();
        }
        self.limits().state(self.inner.clock.now(), key, &self.shared(limits))
    }

    fn shared(&self, limits: &KeyLimits) -> KeyLimits {
        let coordinators = self.inner.coordinators.load(Ordering::Relaxed);
        share(limits, self.inner.index.load(Ordering::Relaxed), coordinators)
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.inner.limits.lock()
    }
}

impl Going {
    /// It is over, and has used so many tokens.
    pub fn settle(mut self, used: Tokens) {
        if let Some(ticket) = self.ticket.take() {
            self.pace.limits().settle(self.pace.inner.clock.now(), ticket, used);
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.pace.limits().release(self.pace.inner.clock.now(), ticket);
        }
    }
}
