//! When all faults have ended: what must become well again, and by when.
//!
//! Rules: nothing is repaired here. But nodes get something to do where a loss in what they tell has not shown yet, and
//! when all is well some last requests must be served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use policy::invariants::{Breach, Invariant, accounts, ends, index};
use protocol::account::{Subject, UsageRecord};
use protocol::ids::RequestId;
use protocol::job::Class;
use protocol::units::{Nanos, Tokens};

use super::client::Outcome;
use super::coordinator::{Book, Coordinator};
use super::events::{Due, at};
use super::node;
use super::plan::{KEYS, Work};
use super::world::World;

/// All is well again within this time.
pub const BOUND: Duration = Duration::from_secs(150);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// So often a node is given something to do: what it tells then shows every loss, and all is told anew at once. More
/// would hide a loss behind blocks that come and go.
const STIRS: u32 = 4;
/// Requests that each coordinator must serve at last.
const WAVE: usize = 3;
/// Their numbers.
const WAVE_FROM: u32 = 1_000_000;

/// Whether all is well; if not, whether there is still time.
///
/// # Errors
/// It is not well, and there is none.
pub fn is_healed(world: &mut World) -> Result<bool, Breach> {
    let unwell = match unwell(world) {
        None if !world.last => {
            world.last = true;
            last_wave(world);
            Breach::new(Invariant::Served, "the last wave has only come")
        }
        None => {
            served(world)?;
            settled(world)?;
            return Ok(true);
        }
        Some(unwell) => unwell,
    };
    if world.ground.now > world.plan.calm + BOUND {
        let what = format!("{BOUND:?} after the last fault: {}", unwell.what);
        return Err(Breach::new(unwell.invariant, what));
    }
    let when = world.ground.now + LOOK;
    world.ground.at(when, Due::Calm);
    Ok(false)
}

/// The first thing that is not well.
fn unwell(world: &World) -> Option<Breach> {
    for client in &world.ground.clients.all {
        if client.outcome.is_none() {
            return ends::ends_once(0, true)
                .err()
                .map(|breach| Breach::new(breach.invariant, format!("w{}: {}", client.work.number, breach.what)));
        }
    }
    for node in &world.nodes {
        if !node.is_connected() {
            return Some(Breach::new(Invariant::Owned, format!("{} is not connected to all", node.me)));
        }
        if !node.is_idle() {
            return Some(Breach::new(Invariant::Owned, format!("{} still has jobs", node.me)));
        }
    }
    world.coordinators.iter().find_map(|coordinator| coordinator_unwell(world, coordinator))
}

fn coordinator_unwell(world: &World, coordinator: &Coordinator) -> Option<Breach> {
    let me = coordinator.me;
    let breach = |invariant, what: String| Some(Breach::new(invariant, format!("{me}: {what}")));
    let Some(running) = &coordinator.up else { return breach(Invariant::Served, "it does not run".to_owned()) };
    if let Some(ask) = running.requests.keys().next() {
        return breach(Invariant::EndsOnce, format!("request {ask:x} has not ended"));
    }
    if !running.queue.is_empty() {
        return breach(Invariant::QueuesBounded, format!("{} wait though nothing runs", running.queue.len()));
    }
    if running.roster.open() > 0 {
        return breach(Invariant::Owned, format!("{} jobs count as sent though none runs", running.roster.open()));
    }
    if running.entries.len() < world.nodes.len() {
        return breach(Invariant::Owned, format!("{} nodes of {} are there", running.entries.len(), world.nodes.len()));
    }
    if let Some((node, entry)) = running.entries.iter().find(|(_, entry)| entry.suspect || !entry.worker.ready) {
        let state = if entry.suspect { "suspect" } else { "not ready" };
        return breach(Invariant::Served, format!("{node} is {state}"));
    }
    if let Some(sick) = sick(world, coordinator) {
        return Some(sick);
    }
    if running.writer.failed || !running.writer.pending.is_empty() {
        return breach(Invariant::AccountsAgree, "its store lacks something".to_owned());
    }
    match &running.book {
        Book::Holder(holder) => {
            let held = holder.states(at(world.ground.local(me))).into_iter().find(|state| state.reserved > Nanos::ZERO);
            held.and_then(|state| {
                breach(Invariant::Owned, format!("{} of '{}' are set aside", state.reserved, state.budget.id))
            })
        }
        Book::Grantee(grantee) if grantee.unbooked() > 0 || grantee.reservations() > 0 => {
            let (unbooked, open) = (grantee.unbooked(), grantee.reservations());
            breach(Invariant::AccountsAgree, format!("{unbooked} records are not booked and {open} reservations open"))
        }
        // Who comes next passes, as far as this coordinator knows by itself.
        Book::Grantee(grantee) => {
            let refused = grantee.would_pass(world.ground.local(me), &Subject::default(), Nanos(1)).err()?;
            breach(Invariant::Served, format!("it cannot spend: {refused}"))
        }
    }
}

/// Breakers that let nobody try, and indexes that are not true.
fn sick(world: &World, coordinator: &Coordinator) -> Option<Breach> {
    let (me, now) = (coordinator.me, world.ground.local(coordinator.me));
    let running = coordinator.up.as_ref()?;
    world.nodes.iter().enumerate().find_map(|(number, node)| {
        let breaker = running.roster.breaker_of(node::id(number))?;
        // Half open, it closes when somebody tries: nobody does now, so whoever comes next may.
        if !breaker.admits(now) {
            let what = format!("{me}: the breaker of {} is {}", node.me, breaker.state(now).as_str());
            return Some(Breach::new(Invariant::BreakersHeal, what));
        }
        index_unwell(world, coordinator, number)
    })
}

fn index_unwell(world: &World, coordinator: &Coordinator, number: usize) -> Option<Breach> {
    let (me, id) = (coordinator.me, node::id(number));
    let running = coordinator.up.as_ref()?;
    let held = &world.nodes.get(number)?.up.as_ref()?.mirror;
    if let Err(breach) = index::index_true(&running.index, id, held) {
        return Some(Breach::new(breach.invariant, format!("{me}: {}", breach.what)));
    }
    // One that has lost the thread too often is not believed until it connects again.
    let unknown = running.index.believes(id) && !running.index.knows(id);
    unknown.then(|| Breach::new(Invariant::IndexTrue, format!("{me}: what {id} has cached is not known")))
}

/// A node whose cache is not known as it is gets something to do, as if another client had asked: a loss in what it
/// tells shows by what it tells next.
///
/// # Errors
/// It has not shown after some times.
pub fn stir(world: &mut World) -> Result<(), Breach> {
    let busy = world.ground.clients.all.iter().any(|client| client.outcome.is_none());
    if busy || world.ground.now < world.ground.net.felt {
        return Ok(());
    }
    let mut untrue = None;
    for number in 0..world.nodes.len() {
        let unwell = world.coordinators.iter().find_map(|coordinator| index_unwell(world, coordinator, number));
        if let Some(node) = world.nodes.get_mut(number).filter(|_| unwell.is_some()) {
            node.stir(&mut world.ground);
            untrue = untrue.or(unwell);
        }
    }
    let Some(breach) = untrue else { return Ok(()) };
    world.stirred += 1;
    if world.stirred <= STIRS {
        return Ok(());
    }
    let what = format!("though nodes have told {STIRS} times what has changed: {}", breach.what);
    Err(Breach::new(breach.invariant, what))
}

/// A cluster that is well serves: some requests to each coordinator.
fn last_wave(world: &mut World) {
    for to in 0..world.coordinators.len() {
        for _ in 0..WAVE {
            let number = WAVE_FROM + world.ground.clients.all.len() as u32;
            let work = Work {
                number,
                at: world.ground.now,
                to,
                key: KEYS,
                class: Class::Interactive,
                group: 0,
                shared: 0,
                own: 24,
                answer: 4,
                seed: number.into(),
                warm: false,
                stops: false,
                whole: false,
                leaves: None,
                enough: None,
                patient: false,
            };
            let client = world.ground.clients.add(world.plan.seed, work);
            let now = world.ground.now;
            world.ground.at(now, Due::Asks(client));
        }
    }
}

/// All of the last wave were served.
fn served(world: &World) -> Result<(), Breach> {
    let wave = world.ground.clients.all.iter().filter(|client| client.work.number >= WAVE_FROM);
    match wave.into_iter().find(|client| client.outcome != Some(Outcome::Done)) {
        None => Ok(()),
        Some(client) => {
            let ended = client.outcome.map_or("not at all", Outcome::as_str);
            let what = format!("w{} to c{} ended {ended}, though all is well", client.work.number, client.work.to);
            Err(Breach::new(Invariant::Served, what))
        }
    }
}

/// All money is settled, once: what is booked is the sum of the records, and every record that was ever written by any
/// coordinator is among them.
fn settled(world: &World) -> Result<(), Breach> {
    let Some(first) = world.coordinators.first() else { return Ok(()) };
    let Some(Book::Holder(holder)) = first.up.as_ref().map(|running| &running.book) else { return Ok(()) };
    let usage = &first.hard.usage;
    for state in holder.states(at(world.ground.local(first.me))) {
        let records = usage.iter().filter(|record| state.budget.scope.matches(&record.subject));
        accounts::records_agree(&state.budget.id, state.settled, records.map(|record| record.cost).sum())?;
        let stored = first.hard.spent.get(&state.budget.id).map_or(Nanos::ZERO, |spent| spent.settled);
        accounts::records_agree(&state.budget.id, state.settled, stored)?;
    }
    let booked: BTreeSet<RequestId> = usage.iter().map(|record| record.request).collect();
    if booked.len() != usage.len() {
        let what = format!("{} records are of {} requests: some are booked twice", usage.len(), booked.len());
        return Err(Breach::new(Invariant::AccountsAgree, what));
    }
    served_are_booked(world, usage)?;
    let told = world.coordinators.iter().flat_map(|coordinator| coordinator.hard.records.values());
    match told.map(|record: &UsageRecord| record.request).find(|request| !booked.contains(request)) {
        Some(lost) => Err(Breach::new(Invariant::AccountsAgree, format!("the record of {lost} was never booked"))),
        None => Ok(()),
    }
}

/// Whoever got a whole answer has a record of it, with as many tokens as came. Where a disk was full, a kill may have
/// taken what was not written yet with it.
fn served_are_booked(world: &World, usage: &[UsageRecord]) -> Result<(), Breach> {
    let wrote_all = |number: usize| world.coordinators.get(number).is_some_and(|it| it.hard.unwritten == 0);
    let booked: BTreeMap<RequestId, Tokens> = usage.iter().map(|record| (record.request, record.completion)).collect();
    let done = world
        .ground
        .clients
        .all
        .iter()
        .flat_map(|client| &client.asks)
        .filter(|ask| ask.done && wrote_all(ask.coordinator));
    for ask in done {
        let (came, found) = (Tokens::of(ask.heard.len()), booked.get(&RequestId(ask.id.into())));
        if found != Some(&came) {
            let what = format!("ask {:x} was answered with {came}, and {found:?} are booked", ask.id);
            return Err(Breach::new(Invariant::AccountsAgree, what));
        }
    }
    Ok(())
}
