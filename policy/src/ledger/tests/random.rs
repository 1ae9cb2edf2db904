//! A ledger against a model that adds everything up anew each time.

use super::*;
use std::collections::BTreeMap;

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What a ledger should be, without any of its short cuts.
#[derive(Default)]
struct Model {
    budgets: BTreeMap<String, (Budget, Calendarless)>,
    open: BTreeMap<ReservationId, (Subject, u64)>,
    settled: usize,
}

/// What was spent of a budget, and the latest moment that it has seen.
#[derive(Clone, Copy, Default)]
struct Calendarless {
    settled: u64,
    seen: u64,
}

/// Windows of the model: hours and days of UTC need no calendar.
fn number(budget: &Budget, at: u64) -> u64 {
    match budget.window.every {
        Period::Hour => at / 3_600_000,
        Period::Day => at / 86_400_000,
        _ => 0,
    }
}

impl Model {
    fn advance(&mut self, now: u64, touched: impl Fn(&Scope) -> bool) {
        for (budget, spent) in self.budgets.values_mut().filter(|(budget, _)| touched(&budget.scope)) {
            let seen = spent.seen.max(now);
            if number(budget, seen) != number(budget, spent.seen) {
                spent.settled = 0;
            }
            spent.seen = seen;
        }
    }

    fn reserved(&self, scope: &Scope) -> u64 {
        self.open.values().filter(|(subject, _)| scope.matches(subject)).map(|(_, amount)| amount).sum()
    }

    /// Whether all budgets have room.
    fn fits(&self, subject: &Subject, amount: u64) -> bool {
        let matching = self.budgets.values().filter(|(budget, _)| budget.scope.matches(subject) && !budget.soft);
        matching.into_iter().all(|(budget, spent)| {
            let more = budget.increase.filter(|more| spent.seen < more.until.0).map_or(0, |more| more.amount.0);
            spent.settled + self.reserved(&budget.scope) + amount <= budget.limit.0 + more
        })
    }
}

fn name(random: &mut Random, of: &str, many: u64) -> Option<String> {
    Some(format!("{of}{}", random.below(many)))
}

fn any_subject(random: &mut Random) -> Subject {
    let tags = (0..random.below(4)).filter_map(|_| name(random, "tag", 4)).collect();
    Subject {
        organisation: name(random, "org", 2).filter(|_| !random.one_in(8)),
        team: name(random, "team", 3).filter(|_| !random.one_in(4)),
        key: name(random, "key", 12).unwrap(),
        model: name(random, "model", 3).unwrap(),
        tags,
        provider: name(random, "provider", 2).filter(|_| random.one_in(3)),
    }
}

fn any_budget(random: &mut Random, now: u64) -> Budget {
    let given = |random: &mut Random, of, many| name(random, of, many).filter(|_| random.one_in(3));
    let scope = Scope {
        organisation: given(random, "org", 2),
        team: given(random, "team", 3),
        key: given(random, "key", 12),
        model: given(random, "model", 3),
        tag: given(random, "tag", 4),
        provider: given(random, "provider", 2),
    };
    let every = [Period::Hour, Period::Hour, Period::Day, Period::Total][random.below(4) as usize];
    let increase = Increase { amount: Nanos(random.below(2000)), until: UnixMillis(now + random.below(7_200_000)) };
    Budget {
        id: name(random, "budget", 40).unwrap(),
        scope,
        limit: Nanos(1 + random.below(40_000)),
        window: Window { every, zone: None },
        alerts: vec![50, 80, 100],
        soft: random.one_in(5),
        increase: random.one_in(4).then_some(increase),
    }
}

struct Run {
    ledger: Ledger,
    model: Model,
    random: Random,
    now: u64,
    next: u128,
    told: BTreeMap<(String, u64, u8), u32>,
}

impl Run {
    fn step(&mut self) {
        let now = UnixMillis(self.now);
        match self.random.below(100) {
            0..40 => self.reserve(now),
            40..50 => self.extend(now),
            50..75 => self.settle(now),
            75..88 => self.release(),
            88..94 => self.turn(),
            94..98 => self.put(now),
            98 => {
                let id = name(&mut self.random, "budget", 40).unwrap();
                let known = self.model.budgets.remove(&id).is_some();
                assert_eq!(self.ledger.remove_budget(&id), known);
                self.told.retain(|(budget, _, _), _| *budget != id);
            }
            _ => self.restart(),
        }
    }

    fn any_open(&mut self) -> Option<ReservationId> {
        let place = self.random.below(self.model.open.len() as u64) as usize;
        self.model.open.keys().nth(place).copied()
    }

    fn reserve(&mut self, now: UnixMillis) {
        let (subject, amount) = (any_subject(&mut self.random), self.random.below(600));
        self.next += 1;
        let id = ReservationId(self.next);
        self.model.advance(now.0, |scope| scope.matches(&subject));
        let fits = self.model.fits(&subject, amount);
        assert_eq!(self.ledger.would_pass(now, &subject, Nanos(amount)).is_ok(), fits);
        match self.ledger.reserve(now, id, &subject, Nanos(amount)) {
            Ok(reserved) => {
                assert!(fits);
                self.tell(reserved.alerts);
                self.model.open.insert(id, (subject, amount));
            }
            Err(ReserveError::OverBudget { over, alerts }) => {
                assert!(!fits);
                assert!(over.settled.0 + over.reserved.0 + over.asked.0 > over.limit.0, "{over:?}");
                self.tell(alerts);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn extend(&mut self, now: UnixMillis) {
        let Some(id) = self.any_open() else { return };
        let more = self.random.below(100);
        let subject = self.model.open[&id].0.clone();
        self.model.advance(now.0, |scope| scope.matches(&subject));
        let fits = self.model.fits(&subject, more);
        let extended = self.ledger.extend(now, id, Nanos(more));
        assert_eq!(extended.is_ok(), fits);
        match extended {
            Ok(reserved) => {
                self.tell(reserved.alerts);
                self.model.open.get_mut(&id).unwrap().1 += more;
            }
            Err(ReserveError::OverBudget { alerts, .. }) => self.tell(alerts),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, now: UnixMillis) {
        let Some(id) = self.any_open() else { return };
        let actual = self.random.below(700);
        let (subject, amount) = self.model.open.remove(&id).unwrap();
        self.model.advance(now.0, |scope| scope.matches(&subject));
        let settled = self.ledger.settle(now, id, Nanos(actual)).unwrap();
        let booked = actual.min(amount);
        assert_eq!((settled.booked.0, settled.disputed.0), (booked, actual - booked));
        for (budget, spent) in self.model.budgets.values_mut().filter(|(budget, _)| budget.scope.matches(&subject)) {
            spent.settled += booked;
            assert!(settled.changes.iter().any(|c| c.budget == budget.id && c.settled.0 == spent.settled));
        }
        self.model.settled += 1;
        self.tell(settled.alerts);
        self.ledger.settle(now, id, Nanos(actual)).unwrap_err();
    }

    fn release(&mut self) {
        let Some(id) = self.any_open() else { return };
        let (_, amount) = self.model.open.remove(&id).unwrap();
        assert_eq!(self.ledger.release(id), Ok(Nanos(amount)));
        self.ledger.release(id).unwrap_err();
    }

    /// Time goes on, or back.
    fn turn(&mut self) {
        self.now = match self.random.below(4) {
            0 => self.now.saturating_sub(self.random.below(20_000_000)),
            1 => self.now + self.random.below(100_000_000),
            _ => self.now + self.random.below(600_000),
        };
    }

    fn put(&mut self, now: UnixMillis) {
        let budget = any_budget(&mut self.random, now.0);
        let scope = budget.scope.clone();
        let id = budget.id.clone();
        self.model.advance(now.0, |_| false);
        let old = self.model.budgets.get(&id).cloned();
        let spent = match old {
            Some((old, spent)) => {
                let seen = spent.seen.max(now.0);
                let settled = if number(&old, seen) == number(&old, spent.seen) { spent.settled } else { 0 };
                Calendarless { settled, seen: if old.window == budget.window { seen } else { now.0 } }
            }
            None => Calendarless { settled: 0, seen: now.0 },
        };
        // Another window is another count of who was told what.
        let put = self.ledger.put_budget(now, budget.clone()).unwrap();
        assert_eq!(put.spent.settled.0, spent.settled);
        self.told.retain(|(other, _, _), _| *other != id);
        self.model.budgets.insert(id.clone(), (budget, spent));
        assert_eq!(self.ledger.state(now, &id).unwrap().reserved.0, self.model.reserved(&scope));
    }

    /// The coordinator is killed and comes back: what was open is lost, what was settled is not.
    fn restart(&mut self) {
        if !self.random.one_in(10) {
            return;
        }
        self.model.open.clear();
        let budgets: Vec<Budget> = self.model.budgets.values().map(|(budget, _)| budget.clone()).collect();
        let spent: Vec<Spent> = budgets.iter().filter_map(|budget| self.ledger.spent(&budget.id)).collect();
        for (budget, kept) in self.model.budgets.values_mut() {
            // A new ledger knows when the window has begun, not what it has seen of it.
            kept.seen = spent.iter().find(|spent| spent.budget == budget.id).unwrap().since.0;
        }
        self.ledger = Ledger::new(budgets, spent).unwrap();
    }

    fn tell(&mut self, alerts: Vec<AlertRaised>) {
        for alert in alerts {
            let (budget, _) = &self.model.budgets[&alert.budget];
            let count = self.told.entry((alert.budget.clone(), number(budget, alert.at.0), alert.share)).or_default();
            *count += 1;
            assert_eq!(*count, 1, "told twice: {alert:?}");
        }
    }

    fn agree(&mut self) {
        self.ledger.check().unwrap();
        let now = UnixMillis(self.now);
        for state in self.ledger.states(now) {
            let (budget, spent) = &self.model.budgets[&state.budget.id];
            let later = number(budget, now.0.max(spent.seen)) != number(budget, spent.seen);
            assert_eq!(state.settled.0, if later { 0 } else { spent.settled }, "{budget:?}");
            assert_eq!(state.reserved.0, self.model.reserved(&budget.scope), "{budget:?}");
        }
    }
}

/// 120,000 operations, each checked.
#[test]
fn a_ledger_is_what_a_sum_over_everything_says() {
    let mut settled = 0;
    for seed in 0..30 {
        let (model, random) = (Model::default(), Random(seed));
        let mut run = Run { ledger: ledger([]), model, random, now: NOON.0, next: 0, told: BTreeMap::new() };
        for _ in 0..20 {
            run.put(NOON);
        }
        for step in 0..4000 {
            run.step();
            run.ledger.check().unwrap();
            if step % 16 == 0 {
                run.agree();
            }
        }
        run.agree();
        settled += run.model.settled;
    }
    assert!(settled > 12_000, "too little is let in to show anything: {settled}");
}

/// Usage records add up to the ledger to the nano.
#[test]
fn usage_records_add_up_to_the_ledger() {
    let mut random = Random(7);
    let window = Window { every: Period::Total, zone: None };
    let budgets: Vec<Budget> = (0..30)
        .map(|n| Budget {
            id: format!("b{n}"),
            limit: Nanos(1_000_000),
            window: window.clone(),
            increase: None,
            ..any_budget(&mut random, 0)
        })
        .collect();
    let mut ledger = ledger(budgets.clone());
    let mut records = Vec::new();
    for n in 0..20_000 {
        let subject = any_subject(&mut random);
        if ledger.reserve(NOON, id(n), &subject, Nanos(random.below(1000))).is_ok() {
            records.push((subject, ledger.settle(NOON, id(n), Nanos(random.below(1100))).unwrap().booked));
        }
    }
    for budget in budgets {
        let sum: Nanos = records.iter().filter(|(s, _)| budget.scope.matches(s)).map(|(_, booked)| *booked).sum();
        assert_eq!(ledger.spent(&budget.id).unwrap().settled, sum, "{budget:?}");
    }
}
