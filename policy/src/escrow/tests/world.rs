//! A holder, three grantees, their stores and the network between them, all of it from a seed.

use super::*;
use protocol::account::Spent;
use protocol::escrow::{EscrowGrant, EscrowState};
use std::collections::BTreeMap;

/// Numbers from a seed (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    pub(super) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What is under way.
#[derive(Clone)]
enum Message {
    Sync(EscrowSync),
    Answer(usize, u64, Result<EscrowGrant, EscrowRefusal>),
}

/// What a grantee has on its disk.
#[derive(Default)]
struct Disk {
    /// Every record, whether booked or not.
    records: Vec<Sequenced>,
    /// What was set aside and has no record.
    open: BTreeMap<ReservationId, (Subject, u64)>,
}

/// A grantee, if it runs, and its disk.
struct Place {
    runs: Option<Grantee>,
    disk: Disk,
    /// Records that are not written yet, and the reservations that they close.
    writing: Vec<(ReservationId, Sequenced)>,
    starts: u64,
    /// Its clock is that much ahead.
    ahead: Duration,
}

/// What the holder has in its store.
#[derive(Default)]
struct Store {
    budgets: BTreeMap<String, Budget>,
    spent: BTreeMap<String, Spent>,
    states: BTreeMap<GranteeId, EscrowState>,
    usage: Vec<UsageRecord>,
    open: BTreeMap<ReservationId, (Subject, u64)>,
}

pub(super) struct World {
    pub(super) random: Random,
    holder: Holder,
    /// What it was when it started, and all that it was told since.
    log: (Holder, Vec<(At, Command, Output)>),
    store: Store,
    epoch: u64,
    places: Vec<Place>,
    network: Vec<(Duration, Message)>,
    now: Duration,
    wall: u64,
    next: u128,
    /// Messages are lost, doubled and late, and everybody is killed at times.
    pub(super) faults: bool,
    /// Budgets come, change and go, all but `all`.
    pub(super) changes: bool,
    /// What is spent in windows that are over counts no more.
    windows: bool,
    unit: u64,
    pub(super) asked: u64,
    pub(super) passed: u64,
    pub(super) kills: u64,
}

pub(super) fn budgets(windows: bool) -> Vec<Budget> {
    let scoped = |id: &str, limit: u64, scope: fn(&mut protocol::account::Scope)| {
        let mut budget = total(id, limit);
        scope(&mut budget.scope);
        budget.window.every = if windows { Period::Hour } else { Period::Total };
        budget
    };
    vec![
        scoped("all", 150_000, |_| ()),
        scoped("k0", 40_000, |scope| scope.key = Some("k0".into())),
        scoped("k1", 9_000, |scope| scope.key = Some("k1".into())),
        scoped("red", 60_000, |scope| scope.team = Some("red".into())),
        scoped("t0", 50_000, |scope| scope.tag = Some("t0".into())),
        Budget { soft: true, ..scoped("big", 100, |scope| scope.model = Some("big".into())) },
    ]
}

impl World {
    pub(super) fn new(seed: u64, windows: bool) -> Self {
        Self::with(seed, windows, budgets(windows), 1)
    }

    /// With these budgets, and requests of up to 120 times `unit`.
    pub(super) fn with(seed: u64, windows: bool, budgets: Vec<Budget>, unit: u64) -> Self {
        let store = Store {
            budgets: budgets.into_iter().map(|budget| (budget.id.clone(), budget)).collect(),
            ..Store::default()
        };
        let places = (0..3).map(|n| Place {
            runs: None,
            disk: Disk::default(),
            writing: Vec::new(),
            starts: 0,
            ahead: SECOND * 1000 * n,
        });
        let mut world = Self {
            random: Random(seed),
            holder: holder([]),
            log: (holder([]), Vec::new()),
            store,
            epoch: 0,
            places: places.collect(),
            network: Vec::new(),
            now: SECOND,
            wall: NOON.0,
            next: 0,
            faults: true,
            changes: false,
            windows,
            unit,
            asked: 0,
            passed: 0,
            kills: 0,
        };
        world.start_holder();
        (0..3).for_each(|place| world.start(place));
        world
    }

    /// The holder comes back from its store: what it had open is lost, so all of it counts.
    fn start_holder(&mut self) {
        self.epoch += 1;
        let store = &mut self.store;
        let ledger = Ledger::new(store.budgets.values().cloned(), store.spent.values().cloned()).unwrap();
        self.holder = Holder::new(settings(), self.epoch, ledger, store.states.values().cloned());
        self.log = (self.holder.clone(), Vec::new());
        for (subject, amount) in std::mem::take(&mut self.store.open).into_values() {
            let (cost, charged) = (Nanos(amount), subject.clone());
            let output = self.apply(Command::Charge { subject: charged, cost });
            let Output::Charged(Ok(settled)) = output else { panic!("{output:?}") };
            self.store.spent.extend(settled.changes.into_iter().map(|spent| (spent.budget.clone(), spent)));
            self.store.usage.push(UsageRecord { subject, cost, ..UsageRecord::default() });
        }
    }

    /// A grantee comes back from its disk, and so does what it had open.
    fn start(&mut self, n: usize) {
        let place = &mut self.places[n];
        place.starts += 1;
        let lost = std::mem::take(&mut place.disk.open);
        for (subject, amount) in lost.into_values() {
            let sequence = place.disk.records.len() as u64 + 1;
            let record = UsageRecord { subject, cost: Nanos(amount), ..UsageRecord::default() };
            place.disk.records.push(Sequenced { sequence, record });
        }
        let few = Settings { records: 7, ..settings() };
        let (id, incarnation) = (GranteeId(n as u64 + 1), Incarnation(place.starts));
        place.runs = Some(Grantee::new(few, id, incarnation, 0, place.disk.records.iter().cloned()).unwrap());
    }

    fn apply(&mut self, command: Command) -> Output {
        let at = at_wall(self.now, self.wall);
        let output = self.holder.apply(at, command.clone());
        self.log.1.push((at, command, output.clone()));
        output
    }

    /// Another one that is told the same says the same.
    pub(super) fn replay(&mut self) {
        let (mut other, log) = self.log.clone();
        assert!(!log.is_empty());
        for (at, command, output) in log {
            assert_eq!(other.apply(at, command), output);
        }
        let at = at_wall(self.now, self.wall);
        assert_eq!(
            (other.states(at), other.grantees(self.now)),
            (self.holder.states(at), self.holder.grantees(self.now))
        );
    }

    pub(super) fn step(&mut self) {
        if self.changes && self.random.one_in(40) {
            self.change();
        }
        let n = self.random.below(3) as usize;
        match self.random.below(100) {
            0..30 => self.reserve(n),
            30..36 => self.extend(n),
            36..56 => self.settle(n),
            56..62 => self.cancel(n),
            62..70 => self.write(n),
            70..76 => self.own(),
            76..82 => self.own_ends(),
            82..98 => self.turn(),
            98 if self.faults && self.random.one_in(3) => {
                if self.places[n].runs.take().is_some() {
                    self.kills += 1;
                    self.places[n].writing.clear();
                } else {
                    self.start(n);
                }
            }
            99 if self.faults && self.random.one_in(6) => {
                self.kills += 1;
                self.start_holder();
            }
            _ => {}
        }
    }

    fn change(&mut self) {
        let names = ["k0", "k1", "red", "t0", "new"];
        let id = names[self.random.below(5) as usize].to_owned();
        if self.random.one_in(4) {
            let known = self.store.budgets.remove(&id).is_some();
            self.store.spent.remove(&id);
            assert_eq!(self.apply(Command::RemoveBudget(id)), Output::Removed(known));
            return;
        }
        let mut budget = total(&id, 1 + self.random.below(60_000));
        let key = format!("k{}", self.random.below(4));
        budget.scope.key = self.random.one_in(2).then_some(key);
        budget.scope.team = self.random.one_in(3).then(|| "red".into());
        budget.soft = self.random.one_in(6);
        let output = self.apply(Command::PutBudget(budget.clone()));
        let Output::Put(Ok(put)) = output else { panic!("{output:?}") };
        self.store.spent.insert(id.clone(), put.spent);
        self.store.budgets.insert(id, budget);
    }

    fn any_subject(&mut self) -> Subject {
        let tags = (0..self.random.below(3)).map(|_| format!("t{}", self.random.below(2))).collect();
        Subject {
            key: format!("k{}", self.random.below(4)),
            team: self.random.one_in(2).then(|| "red".into()),
            model: if self.random.one_in(3) { "big".into() } else { "small".into() },
            tags,
            ..Subject::default()
        }
    }

    fn reserve(&mut self, n: usize) {
        let (subject, amount) = (self.any_subject(), self.random.below(120) * self.unit);
        self.next += 1;
        let id = id(self.next);
        let place = &mut self.places[n];
        let Some(grantee) = &mut place.runs else { return };
        self.asked += 1;
        if grantee.reserve(self.now + place.ahead, id, &subject, Nanos(amount)).is_ok() {
            place.disk.open.insert(id, (subject, amount));
            self.passed += 1;
        }
    }

    /// One that is open and has no record that is being written.
    fn any_open(&mut self, n: usize) -> Option<ReservationId> {
        let place = &self.places[n];
        place.runs.as_ref()?;
        let written = |id: &&ReservationId| !place.writing.iter().any(|(other, _)| other == *id);
        let open: Vec<_> = place.disk.open.keys().filter(written).copied().collect();
        open.get(self.random.below(open.len() as u64) as usize).copied()
    }

    fn extend(&mut self, n: usize) {
        let Some(id) = self.any_open(n) else { return };
        let more = self.random.below(50) * self.unit;
        let place = &mut self.places[n];
        let Some(grantee) = &mut place.runs else { return };
        if grantee.extend(self.now + place.ahead, id, Nanos(more)).is_ok() {
            place.disk.open.get_mut(&id).unwrap().1 += more;
        }
    }

    fn settle(&mut self, n: usize) {
        let Some(id) = self.any_open(n) else { return };
        let cost = Nanos(self.random.below(140) * self.unit);
        let place = &mut self.places[n];
        let Some(grantee) = &mut place.runs else { return };
        let entry = grantee.settle(id, UsageRecord { cost, ..UsageRecord::default() }).unwrap();
        grantee.settle(id, UsageRecord::default()).unwrap_err();
        place.writing.push((id, entry));
    }

    fn cancel(&mut self, n: usize) {
        let Some(id) = self.any_open(n) else { return };
        let place = &mut self.places[n];
        let Some(grantee) = &mut place.runs else { return };
        grantee.release(id).unwrap();
        place.disk.open.remove(&id);
    }

    /// Its disk has caught up.
    fn write(&mut self, n: usize) {
        let place = &mut self.places[n];
        let Some(grantee) = &mut place.runs else { return };
        for (id, entry) in std::mem::take(&mut place.writing) {
            place.disk.open.remove(&id);
            grantee.journaled(entry.sequence);
            place.disk.records.push(entry);
        }
    }

    /// A request of the holder's own.
    fn own(&mut self) {
        let (subject, amount) = (self.any_subject(), self.random.below(120) * self.unit);
        self.next += 1;
        let id = id(self.next);
        let command = Command::Reserve { id, subject: subject.clone(), amount: Nanos(amount) };
        if let Output::Reserved(Ok(_)) = self.apply(command) {
            self.store.open.insert(id, (subject, amount));
        }
    }

    fn own_ends(&mut self) {
        let place = self.random.below(self.store.open.len() as u64) as usize;
        let Some(id) = self.store.open.keys().nth(place).copied() else { return };
        let (subject, _) = self.store.open.remove(&id).unwrap();
        let actual = Nanos(self.random.below(140) * self.unit);
        match self.apply(Command::Settle { id, actual }) {
            Output::Settled(Ok(settled)) => {
                self.store.spent.extend(settled.changes.into_iter().map(|spent| (spent.budget.clone(), spent)));
                self.store.usage.push(UsageRecord { subject, cost: settled.booked, ..UsageRecord::default() });
            }
            other => panic!("{other:?}"),
        }
    }

    /// Time goes on, and so does what is under way.
    fn turn(&mut self) {
        let most = if self.random.one_in(20) { 15_000 } else { 300 };
        let span = Duration::from_millis(self.random.below(most));
        self.now += span;
        self.wall += span.as_millis() as u64;
        if self.windows && self.random.one_in(200) {
            self.wall += self.random.below(4_000_000);
        }
        for n in 0..self.places.len() {
            let place = &mut self.places[n];
            let sync = place.runs.as_mut().and_then(|grantee| grantee.poll(self.now + place.ahead));
            if let Some(sync) = sync {
                self.send(Message::Sync(sync));
            }
        }
        let (due, later) = std::mem::take(&mut self.network).into_iter().partition(|(due, _)| *due <= self.now);
        self.network = later;
        let mut due: Vec<(Duration, Message)> = due;
        while !due.is_empty() {
            let (_, message) = due.swap_remove(self.random.below(due.len() as u64) as usize);
            self.arrive(message);
        }
    }

    fn send(&mut self, message: Message) {
        let copies = if self.faults { [1, 1, 1, 1, 1, 0, 2, 3][self.random.below(8) as usize] } else { 1 };
        for _ in 0..copies {
            let most = if self.faults && self.random.one_in(6) { 20_000 } else { 80 };
            let delay = Duration::from_millis(self.random.below(most));
            self.network.push((self.now + delay, message.clone()));
        }
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Sync(sync) => {
                let (n, serial) = (sync.grantee.0 as usize - 1, sync.serial);
                let answer = match self.apply(Command::Sync(sync)) {
                    Output::Synced(Ok(synced)) => {
                        let Synced { grant, state, records, changes, unheld, .. } = *synced;
                        assert!(unheld == Nanos(0) || self.changes);
                        self.store.states.insert(state.grantee, state);
                        self.store.usage.extend(records);
                        self.store.spent.extend(changes.into_iter().map(|spent| (spent.budget.clone(), spent)));
                        Ok(grant)
                    }
                    Output::Synced(Err(refusal)) => {
                        assert!(matches!(refusal, EscrowRefusal::Overtaken { .. }), "{refusal}");
                        Err(refusal)
                    }
                    other => panic!("{other:?}"),
                };
                // A refusal answers no message that is waited for, so it may as well come from an earlier start.
                self.send(Message::Answer(n, serial, answer));
            }
            Message::Answer(n, serial, answer) => {
                if let Some(grantee) = &mut self.places[n].runs {
                    grantee.on_answer(serial, answer);
                }
            }
        }
    }

    /// At each instant, all that is spent or may be is no more than the limit of any budget.
    pub(super) fn check(&mut self) {
        self.holder.check().unwrap();
        let states = self.holder.states(at_wall(self.now, self.wall));
        for place in &self.places {
            if let Some(grantee) = &place.runs {
                grantee.check().unwrap();
                assert_eq!(grantee.reservations(), place.disk.open.len());
            }
        }
        let changed = self.changes;
        let strict = states.into_iter().filter(|state| !state.budget.soft && (!changed || state.budget.id == "all"));
        for state in strict {
            let scope = &state.budget.scope;
            let sum = |open: &BTreeMap<ReservationId, (Subject, u64)>| -> u64 {
                open.values().filter(|(subject, _)| scope.matches(subject)).map(|(_, amount)| amount).sum()
            };
            let mut all = state.settled.0 + sum(&self.store.open);
            for (n, place) in self.places.iter().enumerate() {
                let applied = self.store.states.get(&GranteeId(n as u64 + 1)).map_or(0, |state| state.applied);
                let unbooked = place.disk.records.iter().skip(applied as usize);
                let unbooked = unbooked.filter(|entry| scope.matches(&entry.record.subject));
                all += unbooked.map(|entry| entry.record.cost.0).sum::<u64>() + sum(&place.disk.open);
            }
            assert!(all <= state.budget.limit.0, "{}: {all} of {}", state.budget.id, state.budget.limit.0);
            assert!(state.settled.0 + state.reserved.0 <= state.budget.limit.0, "{state:?}");
        }
    }

    /// What is spent of a budget.
    pub(super) fn spent(&self, budget: &str) -> u64 {
        self.store.spent[budget].settled.0
    }

    /// All run, nothing is lost, everything ends: then everything is booked once and nothing is set aside.
    pub(super) fn heal(&mut self) {
        self.faults = false;
        for n in 0..3 {
            if self.places[n].runs.is_none() {
                self.start(n);
            }
            while let Some(id) = self.any_open(n) {
                let entry = self.places[n]
                    .runs
                    .as_mut()
                    .unwrap()
                    .settle(id, UsageRecord { cost: Nanos(7), ..UsageRecord::default() })
                    .unwrap();
                self.places[n].writing.push((id, entry));
            }
            self.write(n);
        }
        while !self.store.open.is_empty() {
            self.own_ends();
        }
        for _ in 0..400 {
            self.turn();
            self.check();
        }
        let mut journals: Vec<UsageRecord> = self.store.usage.clone();
        for place in &self.places {
            assert_eq!(place.runs.as_ref().unwrap().unbooked(), 0);
            for entry in &place.disk.records {
                let found = journals.iter().position(|record| *record == entry.record);
                journals.swap_remove(found.expect("every record is booked"));
            }
        }
        for state in self.holder.states(at_wall(self.now, self.wall)) {
            assert_eq!(state.reserved, Nanos(0), "{state:?}");
            if !self.windows && (!self.changes || state.budget.id == "all") {
                let records = self.store.usage.iter().filter(|record| state.budget.scope.matches(&record.subject));
                assert_eq!(state.settled, records.map(|record| record.cost).sum(), "{state:?}");
            }
        }
    }
}

fn at_wall(now: Duration, wall: u64) -> At {
    At { now, wall: UnixMillis(wall) }
}
