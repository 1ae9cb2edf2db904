//! A coordinator: the decisions of `policy`, carried out as the actors of `actors::cluster` and `actors::cost` do.
//!
//! Rules, as theirs: the pure cores decide; a job stands in the roster from the moment it is placed until its attempt
//! is dropped; money is set aside before a node is asked; what is settled is on disk before the client hears its last
//! word. A kill loses all but [`Hard`].

use std::collections::BTreeMap;
use std::time::Duration;

use policy::breaker;
use policy::escrow::{self, Grantee, Holder};
use policy::health::Rules;
use policy::index::Index;
use policy::job::Tries;
use policy::ledger::Ledger;
use policy::placement::{self, roster::Roster};
use policy::planted::Planted;
use policy::queue::{Bounds, Id, Queue};
use policy::restart::Jitter;
use policy::retry;
use protocol::account::{Budget, Outcome, Period, Scope, UsageRecord, Window};
use protocol::escrow::{GranteeId, Sequenced};
use protocol::ids::{Incarnation, NodeId, RequestId};
use protocol::units::{Nanos, Tokens};

use super::disk::{Hard, WATCH, Writer};
use super::events::{Machine, Timer};
use super::ground::Ground;
use super::plan::{Plan, Random};

mod job;
mod links;
mod money;
mod request;
mod room;
mod store;

pub use links::Entry;
pub use request::{Request, Stage};

/// Whose keys share a budget: all but the one that only looks whether all is well.
pub const TEAM: &str = "team";
/// How long a slice of a budget is good: short, so that it often ends in the middle of something.
const SLICE: Duration = Duration::from_secs(4);
/// How often it looks at nodes and at those that wait.
pub const SWEEP: Duration = Duration::from_millis(100);

/// How all coordinators decide.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Placement, as the roster is made.
    pub config: protocol::config::Placement,
    /// Placement, as it decides.
    pub placement: placement::Settings,
    /// Breakers.
    pub breaker: breaker::Settings,
    /// Retries.
    pub retry: retry::Settings,
    /// Health.
    pub health: Rules,
    /// Tries of one answer.
    pub tries: Tries,
    /// Where requests wait.
    pub queue: Bounds,
    /// How long.
    pub patience: Duration,
    /// Shared budgets.
    pub escrow: escrow::Settings,
    /// How long a node may take to grant.
    pub grant: Duration,
    /// How long a request may take.
    pub timeout: Duration,
    /// The budgets.
    pub budgets: Vec<Budget>,
    /// Mistakes on purpose.
    pub planted: Planted,
}

impl Settings {
    /// For a plan: as a cluster has them, but for waits that would make a world long.
    pub fn of(plan: &Plan, planted: Planted) -> Self {
        let config = protocol::config::Config::default();
        let breaker = breaker::Settings {
            cooldown: Duration::from_secs(1),
            longest: Duration::from_secs(8),
            ..breaker::Settings::from(&config.breaker)
        };
        let queue = Bounds { requests: plan.queue as usize, tokens: Tokens(2_000), ..Bounds::from(&config.queue) };
        let total = |id: &str, scope: Scope, limit: Nanos| Budget {
            id: id.to_owned(),
            scope,
            limit,
            window: Window { every: Period::Total, zone: None },
            ..Budget::default()
        };
        let team = Scope { team: Some(TEAM.to_owned()), ..Scope::default() };
        let mut budgets = vec![total(TEAM, team, plan.total)];
        for (number, limit) in plan.budgets.iter().enumerate() {
            let key = format!("key-{number}");
            let scope = Scope { key: Some(key.clone()), ..Scope::default() };
            budgets.extend(limit.map(|limit| total(&key, scope, limit)));
        }
        Self {
            placement: placement::Settings::from(&config.placement),
            config: config.placement,
            breaker,
            retry: retry::Settings::from(&config.retry),
            health: Rules::from(&config.health),
            tries: Tries { attempts: config.requests.attempts, migrations: config.requests.migrations },
            queue,
            patience: config.queue.patience.0,
            escrow: escrow::Settings::lasting(SLICE),
            grant: config.requests.grant_timeout.0,
            timeout: Duration::from_secs(40),
            budgets,
            planted,
        }
    }
}

/// Who decides over money.
#[derive(Debug)]
pub enum Book {
    /// It has the budgets.
    Holder(Box<Holder>),
    /// It spends slices.
    Grantee(Box<Grantee>),
}

/// A coordinator.
#[derive(Debug)]
pub struct Coordinator {
    /// Its machine.
    pub me: Machine,
    /// Its place.
    pub number: usize,
    /// What survives.
    pub hard: Hard,
    settings: Settings,
    /// None while it is down.
    pub up: Option<Running>,
}

/// A coordinator that runs.
#[derive(Debug)]
pub struct Running {
    /// Nodes that are connected.
    pub entries: BTreeMap<NodeId, Entry>,
    links: u64,
    /// Who serves, and what was sent.
    pub roster: Roster,
    /// What is cached where.
    pub index: Index,
    /// Who waits.
    pub queue: Queue,
    probed: Duration,
    waiting: BTreeMap<Id, (u64, u32)>,
    retries: retry::Budget,
    /// Requests, and retries that were allowed.
    pub counted: (u64, u64),
    /// All requests, by their ask.
    pub requests: BTreeMap<u64, Request>,
    /// Money.
    pub book: Book,
    /// What is on its way to the store.
    pub writer: Writer,
    random: Jitter,
    /// When it next tells the one that has the budgets.
    tells: Duration,
}

impl Coordinator {
    /// One that is not started yet.
    pub fn new(number: usize, settings: Settings) -> Self {
        Self { me: Machine::Coordinator(number), number, hard: Hard::default(), settings, up: None }
    }

    /// How it decides.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// It starts, from what is on its disk.
    ///
    /// # Errors
    /// The disk holds what cannot be.
    pub fn start(&mut self, ground: &mut Ground) -> Result<(), String> {
        let life = ground.starts(self.me);
        let book = if self.number == 0 { self.holder()? } else { self.grantee()? };
        let settings = &self.settings;
        #[cfg_attr(not(feature = "planted"), expect(unused_mut, reason = "only mistakes change them"))]
        let (mut roster, mut index) = (Roster::new(&settings.config), Index::default());
        #[cfg(feature = "planted")]
        {
            roster.plant(settings.planted);
            index.plant(settings.planted);
        }
        let now = ground.local(self.me);
        self.up = Some(Running {
            entries: BTreeMap::new(),
            links: 0,
            roster,
            index,
            queue: Queue::new(settings.queue),
            probed: now,
            waiting: BTreeMap::new(),
            retries: retry::Budget::new(settings.retry),
            counted: (0, 0),
            requests: BTreeMap::new(),
            book,
            writer: Writer::default(),
            random: Jitter::new(Random::of(life, 8, self.number as u64).draw()),
            tells: Duration::MAX,
        });
        ground.timer(self.me, SWEEP, Timer::Sweep);
        ground.timer(self.me, WATCH, Timer::Watch);
        self.tell_at(ground, Duration::ZERO);
        Ok(())
    }

    /// What it had open on nodes is not billed; what others were granted stays set aside.
    fn holder(&mut self) -> Result<Book, String> {
        self.hard.epoch += 1;
        let ledger = Ledger::new(self.settings.budgets.iter().cloned(), self.hard.spent.values().cloned());
        let ledger = ledger.map_err(|error| error.to_string())?;
        let states = self.hard.states.values().cloned();
        Ok(Book::Holder(Box::new(Holder::new(self.settings.escrow, self.hard.epoch, ledger, states))))
    }

    /// What it had open counts in full.
    fn grantee(&mut self) -> Result<Book, String> {
        self.hard.incarnation += 1;
        let next = self.hard.records.last_key_value().map_or(0, |(sequence, _)| *sequence) + 1;
        for (next, (id, (subject, amount))) in (next..).zip(std::mem::take(&mut self.hard.open)) {
            let record = UsageRecord {
                request: RequestId(id.0),
                subject,
                reserved: amount,
                cost: amount,
                outcome: Outcome::Lost,
                ..UsageRecord::default()
            };
            self.hard.records.insert(next, record);
        }
        let booked = self.hard.booked;
        let journal = self.hard.records.range(booked + 1..);
        let journal = journal.map(|(sequence, record)| Sequenced { sequence: *sequence, record: record.clone() });
        let (id, incarnation) = (GranteeId(self.number as u64), Incarnation(self.hard.incarnation));
        let grantee = Grantee::new(self.settings.escrow, id, incarnation, booked, journal);
        grantee.map(|grantee| Book::Grantee(Box::new(grantee))).map_err(|error| error.to_string())
    }

    /// It is killed. Its clients are on their own.
    pub fn kill(&mut self, ground: &mut Ground) {
        let Some(running) = self.up.take() else { return };
        ground.dies(self.me);
        running.entries.values().for_each(|entry| ground.net.forget(self.me, entry.conn));
        running.requests.keys().for_each(|ask| ground.deserted(*ask));
    }
}
