//! Whether somebody who failed is asked again: a circuit breaker per node and model, or per provider.
//!
//! Rules:
//! - Closed, it lets all pass. After so many faults in a row it opens, and lets nobody pass for a while that
//!   doubles with each time it opens again. Then it is half open: exactly one may try. That one decides.
//! - Only faults count. Back-pressure (a refusal, 429, 503) neither opens it nor makes a row of faults
//!   forgotten; of a probe it is a good sign, since somebody is there and answers.
//! - A permit belongs to the state in which it was given. What comes of an older one is history, and a
//!   probe that is dropped without a word lets the next one try.
//! - Of those who serve the same ([`excluded`]), never more than half are left out: when all fail, the fault
//!   lies elsewhere, and somebody must be asked.

use std::time::Duration;

use crate::planted::{Bug, Planted};

/// When it opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Faults in a row that open it.
    pub faults: u32,
    /// For how long it is open, the first time.
    pub cooldown: Duration,
    /// The longest it is open.
    pub longest: Duration,
}

impl From<&protocol::config::Breaker> for Settings {
    fn from(config: &protocol::config::Breaker) -> Self {
        Self { faults: config.faults, cooldown: config.cooldown.0, longest: config.max_cooldown.0 }
    }
}

/// What lets somebody pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
    probe: bool,
}

impl Permit {
    /// Whether the breaker was half open when it was given.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// The state in which it was given: the breaker's changes before it.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All pass.
    Closed,
    /// Nobody passes.
    Open,
    /// One may try.
    HalfOpen,
}

impl State {
    /// For metrics and people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// One breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Grows with every change of state.
    generation: u64,
    faults: u32,
    /// Open until then; none while closed.
    until: Option<Duration>,
    /// How often it has opened since it was closed.
    opened: u32,
    /// Somebody tries.
    probing: bool,
    planted: Planted,
}

impl Breaker {
    /// A closed one with these mistakes.
    pub(crate) fn with(planted: Planted) -> Self {
        Self { planted, ..Self::default() }
    }

    /// How it stands now.
    pub fn state(&self, now: Duration) -> State {
        match self.until {
            None => State::Closed,
            Some(until) if now < until => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// How long it stays open; nothing if it is not.
    pub fn wait(&self, now: Duration) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_sub(now))
    }

    /// Whether it has to be asked before somebody passes: it is not simply closed.
    pub fn is_guarded(&self) -> bool {
        self.until.is_some()
    }

    /// Whether somebody would be let pass now.
    pub fn admits(&self, now: Duration) -> bool {
        match self.state(now) {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => !self.probing || self.planted.has(Bug::LaxBreaker),
        }
    }

    /// Lets somebody pass, or not. A permit must come back by [`Breaker::good`], [`Breaker::busy`],
    /// [`Breaker::fault`] or [`Breaker::forget`].
    pub fn permit(&mut self, now: Duration) -> Option<Permit> {
        if !self.admits(now) {
            return None;
        }
        let probe = self.until.is_some();
        self.probing |= probe;
        Some(Permit { generation: self.generation, probe })
    }

    /// A permit for somebody who has to pass whatever the state: see [`excluded`].
    pub fn force(&self) -> Permit {
        Permit { generation: self.generation, probe: false }
    }

    /// It went well.
    pub fn good(&mut self, permit: Permit) {
        if permit.generation != self.generation {
            return;
        }
        self.faults = 0;
        if permit.probe {
            self.close();
        }
    }

    /// It was refused for want of room.
    pub fn busy(&mut self, permit: Permit) {
        if permit.generation == self.generation && permit.probe {
            self.close();
        }
    }

    /// It was at fault. `random`, in [0, 1), spreads the ends of breakers that opened together.
    pub fn fault(&mut self, now: Duration, permit: Permit, settings: &Settings, random: f64) {
        if permit.generation != self.generation {
            return;
        }
        self.faults = self.faults.saturating_add(1);
        if permit.probe || self.until.is_none() && self.faults >= settings.faults {
            let cooldown = settings.cooldown.saturating_mul(1 << self.opened.min(16)).min(settings.longest);
            self.until = Some(now + cooldown.mul_f64(1.0 + 0.2 * random.clamp(0.0, 1.0)));
            self.opened = self.opened.saturating_add(1);
            self.probing = false;
            self.generation += 1;
        }
    }

    /// Nothing is known of how it went.
    pub fn forget(&mut self, permit: Permit) {
        if permit.generation == self.generation && permit.probe {
            self.probing = false;
        }
    }

    fn close(&mut self) {
        *self = Self { generation: self.generation + 1, planted: self.planted, ..Self::default() };
    }
}

/// Which of those who serve the same are really left out, as places in `open`: never more than half. Of more
/// than that, those stay out whose breakers opened last, as the caller orders them: first is asked first.
pub fn excluded(open: &[bool]) -> Vec<bool> {
    let most = open.len() / 2;
    let mut left = open.iter().filter(|open| **open).count();
    open.iter()
        .map(|open| {
            let lets = *open && left > most;
            left -= usize::from(lets);
            *open && !lets
        })
        .collect()
}

#[cfg(test)]
mod tests;
