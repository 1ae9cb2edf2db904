//! What a world stands on: its time, the clocks of its machines, what is due, chance, and the history.
//!
//! Rules: a machine's clock runs as the world's, from where its jumps have brought it; its timers are due by its own
//! clock. A timer belongs to a life of its machine and dies with it.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::invariants::Breach;

use super::client::Clients;
use super::events::{Due, Machine, Timer};
use super::net::Net;
use super::plan::Random;
use super::report::Tally;

/// A machine, as others see it.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// Which start of it.
    number: u64,
    up: bool,
    /// By how much its clock is ahead.
    ahead: Duration,
}

/// What a world stands on.
#[derive(Debug)]
pub struct Ground {
    /// The world's time.
    pub now: Duration,
    /// Chance.
    pub random: Random,
    /// The network.
    pub net: Net,
    /// Who asks.
    pub clients: Clients,
    /// What was counted.
    pub tally: Tally,
    /// What has happened.
    pub log: Log,
    agenda: BTreeMap<(Duration, u64), Due>,
    entered: u64,
    lives: BTreeMap<Machine, Life>,
}

impl Ground {
    /// At the beginning.
    pub fn new(seed: u64, clients: Clients, keep: bool) -> Self {
        Self {
            now: Duration::ZERO,
            random: Random::of(seed, 5, 0),
            net: Net::default(),
            clients,
            tally: Tally::default(),
            log: Log::new(keep),
            agenda: BTreeMap::new(),
            entered: 0,
            lives: BTreeMap::new(),
        }
    }

    /// Something is due then.
    pub fn at(&mut self, when: Duration, due: Due) {
        self.entered += 1;
        self.agenda.insert((when.max(self.now), self.entered), due);
    }

    /// A machine that runs wants to be woken after a while.
    pub fn timer(&mut self, machine: Machine, after: Duration, timer: Timer) {
        let life = self.life(machine);
        self.at(self.now + after, Due::Timer(machine, life, timer));
    }

    /// What happens next, and time goes on to it.
    pub fn advance(&mut self) -> Option<Due> {
        let ((when, _), due) = self.agenda.pop_first()?;
        self.now = when;
        Some(due)
    }

    /// A machine starts. Which start of it this is.
    pub fn starts(&mut self, machine: Machine) -> u64 {
        let life = self.lives.entry(machine).or_default();
        life.number += 1;
        life.up = true;
        life.number
    }

    /// A machine is killed.
    pub fn dies(&mut self, machine: Machine) {
        self.lives.entry(machine).or_default().up = false;
    }

    /// Whether a machine runs.
    pub fn is_up(&self, machine: Machine) -> bool {
        self.lives.get(&machine).is_some_and(|life| life.up)
    }

    /// Which start of it.
    pub fn life(&self, machine: Machine) -> u64 {
        self.lives.get(&machine).map_or(0, |life| life.number)
    }

    /// Whether a timer is still one of a machine that runs.
    pub fn lives(&self, machine: Machine, life: u64) -> bool {
        self.lives.get(&machine).is_some_and(|now| now.up && now.number == life)
    }

    /// A machine's own time.
    pub fn local(&self, machine: Machine) -> Duration {
        self.now + self.lives.get(&machine).map_or(Duration::ZERO, |life| life.ahead)
    }

    /// A machine's clock jumps ahead: what it waits for is due so much sooner.
    pub fn jump(&mut self, machine: Machine, by: Duration) {
        self.lives.entry(machine).or_default().ahead += by;
        let its = |due: &Due| matches!(due, Due::Timer(whose, ..) if *whose == machine);
        let keys: Vec<(Duration, u64)> = self.agenda.iter().filter(|(_, due)| its(due)).map(|(key, _)| *key).collect();
        for (when, number) in keys {
            if let Some(due) = self.agenda.remove(&(when, number)) {
                self.agenda.insert((when.saturating_sub(by).max(self.now), number), due);
            }
        }
    }

    /// A promise was broken, which is seen after this event.
    pub fn broken(&mut self, breach: Breach) {
        self.clients.breach.get_or_insert(breach);
    }

    /// Notes something in the history.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        self.log.note(now, &line());
    }
}

/// The history: a hash of all of it, and the lines themselves if somebody wants to read them.
#[derive(Clone, Debug)]
pub struct Log {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Log {
    fn new(keep: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: keep.then(Vec::new) }
    }

    fn note(&mut self, now: Duration, line: &str) {
        let bytes = now.as_nanos().to_le_bytes();
        // FNV-1a.
        for byte in bytes.iter().take(8).chain(line.as_bytes()) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6}  {line}", now.as_secs_f64()));
        }
    }

    /// Of all that has happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    pub fn take(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
