//! What is checked after an event: the predicates of [`policy::invariants`], with a world's figures.
//!
//! Rules: whatever an event may have changed is looked at, and sums over all coordinators whenever money may have
//! moved. What a client hears is compared as it hears it.

use std::collections::BTreeMap;

use policy::breaker::Permit;
use policy::invariants::spending::{Stand, within_budget};
use policy::invariants::{Breach, accounts, breakers, owners, queues, retries};
use policy::ledger::ReservationId;
use protocol::account::Subject;
use protocol::escrow::GranteeId;
use protocol::ids::NodeId;
use protocol::units::Nanos;

use super::coordinator::{Book, Coordinator, Running, Stage};
use super::events::Machine;
use super::world::World;

/// What an event may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// A machine, but no money on it.
    Lightly(Machine),
    /// A machine.
    Machine(Machine),
    /// Anything.
    All,
    /// Nothing; all is calm.
    Calm,
}

/// Looks at what an event may have changed.
///
/// # Errors
/// What does not hold.
pub fn after(world: &World, touched: Option<Touched>) -> Result<(), Breach> {
    if let Some(breach) = &world.ground.clients.breach {
        return Err(breach.clone());
    }
    match touched {
        None => Ok(()),
        Some(Touched::Lightly(Machine::Coordinator(number))) => one(world, number),
        Some(Touched::Machine(Machine::Coordinator(number))) => {
            one(world, number)?;
            money(world)
        }
        Some(Touched::Lightly(Machine::Node(number)) | Touched::Machine(Machine::Node(number))) => node(world, number),
        Some(Touched::All | Touched::Calm) => {
            (0..world.coordinators.len()).try_for_each(|number| one(world, number))?;
            (0..world.nodes.len()).try_for_each(|number| node(world, number))?;
            money(world)
        }
    }
}

fn at<T>(whose: Machine, held: Result<T, Breach>) -> Result<T, Breach> {
    held.map_err(|breach| Breach::new(breach.invariant, format!("{whose}: {}", breach.what)))
}

fn node(world: &World, number: usize) -> Result<(), Breach> {
    let Some(node) = world.nodes.get(number) else { return Ok(()) };
    let Some(running) = &node.up else { return Ok(()) };
    let (held, bound) = running.inbox();
    at(node.me, queues::bounded("jobs on their way to the engine", held, bound))
}

/// One coordinator: who owns what counts as sent, probes, breakers, its queue, its retries.
fn one(world: &World, number: usize) -> Result<(), Breach> {
    let Some(coordinator) = world.coordinators.get(number) else { return Ok(()) };
    let Some(running) = &coordinator.up else { return Ok(()) };
    let now = world.ground.local(coordinator.me);
    let settings = coordinator.settings();
    at(coordinator.me, owned_jobs(running))?;
    at(coordinator.me, probes(running))?;
    for node in running.entries.keys() {
        if let Some(breaker) = running.roster.breaker_of(*node) {
            at(coordinator.me, breakers::heals(now, breaker, &settings.breaker))?;
        }
    }
    at(coordinator.me, queues::queue_bounded(&running.queue))?;
    let (requests, tried) = running.counted;
    at(coordinator.me, retries::retries_bounded(requests, tried, &settings.retry))
}

/// Every job that counts as sent to a node is the live attempt of a request.
fn owned_jobs(running: &Running) -> Result<(), Breach> {
    let mut live = BTreeMap::<NodeId, u64>::new();
    for node in running.requests.values().filter_map(super::coordinator::Request::live) {
        *live.entry(node).or_default() += 1;
    }
    running.entries.keys().try_for_each(|node| {
        let owners = live.get(node).copied().unwrap_or(0);
        owners::owned(&format!("jobs at {node}"), running.roster.open_at(*node).into(), owners)
    })
}

fn probes(running: &Running) -> Result<(), Breach> {
    let trials = running.requests.values().filter_map(|request| request.trial);
    let mut out = BTreeMap::<(NodeId, u64), Vec<Permit>>::new();
    for key in trials.filter(|key| key.permit.is_probe()) {
        out.entry((key.node, key.link())).or_default().push(key.permit);
    }
    out.values().try_for_each(|permits| breakers::one_probe(permits))
}

/// Money: each coordinator's own books, who owns what is reserved in them, and the sum over all of them.
fn money(world: &World) -> Result<(), Breach> {
    for coordinator in &world.coordinators {
        let Some(running) = &coordinator.up else { continue };
        let open = running.requests.values().filter(|request| request.billed && request.stage != Stage::Settling);
        let open = open.count() as u64;
        match &running.book {
            Book::Holder(holder) => {
                // A budget that is overrun is said as such, though the account does not agree with itself then either.
                holder.ledger().stands().try_for_each(|stand| at(coordinator.me, within_budget(&stand)))?;
                at(coordinator.me, accounts::accounts_agree(holder.ledger()))?;
                at(coordinator.me, owners::owned("money", holder.ledger().open() as u64, open))?;
            }
            Book::Grantee(grantee) => {
                let broken = grantee
                    .check()
                    .map_err(|broken| Breach::new(policy::invariants::Invariant::AccountsAgree, broken.to_string()));
                at(coordinator.me, broken)?;
                let writing = running.writer.pending.iter().chain(&running.writer.unsaved);
                let writing = writing.filter(|batch| batch.kept.is_some()).count() as u64;
                at(coordinator.me, owners::owned("money", grantee.reservations() as u64, open + writing))?;
            }
        }
    }
    everywhere(world)
}

/// What is settled and what may be spent anywhere are together never more than a budget.
fn everywhere(world: &World) -> Result<(), Breach> {
    let Some(first) = world.coordinators.first() else { return Ok(()) };
    let holder = first.up.as_ref().and_then(|running| match &running.book {
        Book::Holder(holder) => Some(holder),
        Book::Grantee(_) => None,
    });
    let applied: BTreeMap<GranteeId, u64> = match holder {
        Some(holder) => holder.grantees(world.ground.now).into_iter().map(|it| (it.grantee, it.applied)).collect(),
        None => first.hard.states.values().map(|state| (state.grantee, state.applied)).collect(),
    };
    for budget in &first.settings().budgets {
        let spent = holder.map_or_else(|| first.hard.spent.get(&budget.id).cloned(), |holder| holder.spent(&budget.id));
        let matches = |subject: &Subject| budget.scope.matches(subject);
        let mut reserved = 0;
        for coordinator in &world.coordinators {
            reserved += open(coordinator)
                .values()
                .filter(|(subject, _)| matches(subject))
                .map(|(_, amount)| amount.0)
                .sum::<u64>();
            if coordinator.number > 0 {
                let booked = applied.get(&GranteeId(coordinator.number as u64)).copied().unwrap_or(0);
                let told = coordinator.hard.records.range(booked + 1..).map(|(_, record)| record);
                reserved += told.filter(|record| matches(&record.subject)).map(|record| record.cost.0).sum::<u64>();
            }
        }
        let settled = spent.map_or(Nanos::ZERO, |spent| spent.settled);
        within_budget(&Stand { budget: &budget.id, settled, reserved: Nanos(reserved), ceiling: budget.limit })?;
    }
    Ok(())
}

/// All that a coordinator has set aside: what counts if it is killed now, and what runs.
fn open(coordinator: &Coordinator) -> BTreeMap<ReservationId, (&Subject, Nanos)> {
    let on_disk = coordinator.hard.open.iter().map(|(id, (subject, amount))| (*id, (subject, *amount)));
    let running = coordinator.up.iter().flat_map(|running| running.requests.values());
    let running = running.filter(|request| request.billed && request.stage != Stage::Settling);
    on_disk.chain(running.map(|request| (request.id(), (&request.subject, request.reserved)))).collect()
}
