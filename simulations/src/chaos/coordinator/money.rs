//! Money: set aside before a node is asked, settled when a request ends, told to the one that has the budgets. See
//! `actors::cost`.

use std::time::Duration;

use policy::escrow::grantee::{Answered, Refused};
use policy::escrow::holder::Synced;
use policy::invariants::{Breach, Invariant};
use protocol::account::{Outcome, UsageRecord};
use protocol::escrow::{EscrowGrant, EscrowRefusal, EscrowSync};
use protocol::ids::RequestId;
use protocol::units::Tokens;

use super::request::{Request, Stage};
use super::{Book, Coordinator};
use crate::chaos::client::End;
use crate::chaos::disk::{Batch, Then, Write};
use crate::chaos::events::{Body, Machine, Packet, Timer, at};
use crate::chaos::ground::Ground;
use crate::chaos::net::How;

/// How long a request waits for a larger slice.
const PATIENCE: Duration = Duration::from_secs(2);
/// When to come again, if money is short for a moment.
const SOON: Duration = Duration::from_secs(1);

impl Coordinator {
    /// A client asks.
    pub fn arrives(&mut self, ground: &mut Ground, ask: u64, client: usize) {
        let (now, timeout) = (ground.local(self.me), self.settings.timeout);
        let Some(client) = ground.clients.all.get(client) else { return };
        let request = Request::new(ask, &client.work, &client.job, client.again, now, timeout);
        let Some(running) = &mut self.up else { return };
        running.requests.insert(ask, request);
        ground.timer(self.me, timeout, Timer::Deadline(ask));
        self.pay(ground, ask, false);
        if self.request(ask).is_some_and(|request| request.stage == Stage::Paying) {
            ground.timer(self.me, PATIENCE, Timer::Patience(ask));
        }
    }

    /// Sets money aside, if there is any. `last` says that it waits no longer for a larger slice.
    pub(super) fn pay(&mut self, ground: &mut Ground, ask: u64, last: bool) {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.get_mut(&ask).filter(|request| request.stage == Stage::Paying) else {
            return;
        };
        if running.writer.failed {
            return self.finish(ground, ask, &End::Unpaid(Some(SOON)));
        }
        let (id, amount) = (request.id(), request.reserved);
        match &mut running.book {
            Book::Holder(holder) => match holder.reserve(at(now), id, &request.subject, amount) {
                Ok(_) => {
                    request.billed = true;
                    self.begin(ground, ask);
                }
                Err(_) => self.finish(ground, ask, &End::Unpaid(None)),
            },
            Book::Grantee(grantee) => {
                let reserved = grantee.reserve(now, id, &request.subject, amount);
                let next = grantee.next_poll();
                match reserved {
                    Ok(()) => {
                        (request.billed, request.journaled) = (true, true);
                        request.stage = Stage::Journaling;
                        let writes = vec![Write::Open(id, request.subject.clone(), amount)];
                        self.submit(ground, Batch { writes, kept: None, then: Then::Journaled(ask) });
                    }
                    Err(Refused::Slice { .. }) if !last => {}
                    Err(Refused::Over(_)) => self.finish(ground, ask, &End::Unpaid(None)),
                    Err(_) => self.finish(ground, ask, &End::Unpaid(Some(SOON))),
                }
                self.tell_at(ground, next);
            }
        }
    }

    /// A request has ended: what it has cost is settled, or what was set aside is given back; then its client hears.
    pub(super) fn finish(&mut self, ground: &mut Ground, ask: u64, end: &End) {
        self.leave_queue(ground, ask);
        self.judge(ground, ask, None);
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.get_mut(&ask) else { return };
        let before = std::mem::replace(&mut request.stage, Stage::Settling);
        if before == Stage::Settling {
            return;
        }
        request.end = Some(end.clone());
        let (id, cost) = (request.id(), request.cost());
        let costs = request.begun || matches!(end, End::Done);
        let record = UsageRecord {
            request: RequestId(id.0),
            subject: request.subject.clone(),
            prompt: Tokens::of(request.job.prompt.len()),
            completion: Tokens::of(request.generated.len()),
            reserved: request.reserved,
            cost,
            outcome: if request.gone { Outcome::Cancelled } else { Outcome::Done },
            ..UsageRecord::default()
        };
        let then = Then::Settled(ask);
        let batch = match &mut running.book {
            _ if !request.billed => None,
            Book::Holder(holder) if costs => holder.settle(at(now), id, cost).ok().map(|settled| {
                let mut writes = vec![Write::Usage(UsageRecord { cost: settled.booked, ..record })];
                writes.extend(settled.changes.into_iter().map(Write::Spent));
                Batch { writes, kept: Some((None, None)), then }
            }),
            Book::Holder(holder) => {
                let released = holder.release(id);
                if released.is_err() {
                    ground
                        .broken(Breach::new(Invariant::AccountsAgree, format!("ask {ask:x} has nothing to give back")));
                }
                None
            }
            Book::Grantee(grantee) if costs => grantee.settle(id, record).ok().map(|entered| {
                let sequence = entered.sequence;
                Batch {
                    writes: vec![Write::Record(entered), Write::Close(id)],
                    kept: Some((Some(sequence), None)),
                    then,
                }
            }),
            Book::Grantee(_) => Some(Batch { writes: vec![Write::Close(id)], kept: Some((None, Some(id))), then }),
        };
        if costs && batch.is_none() && request.billed {
            ground.broken(Breach::new(Invariant::AccountsAgree, format!("ask {ask:x} has nothing to settle")));
        }
        match batch {
            Some(batch) => self.submit(ground, batch),
            None => self.settled(ground, ask),
        }
        if before == Stage::Running {
            self.release(ground, 1);
        }
    }

    /// All of a request is on disk, or will be: its client hears how it has ended.
    pub(super) fn settled(&mut self, ground: &mut Ground, ask: u64) {
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.remove(&ask) else { return };
        if !request.gone
            && let Some(end) = &request.end
        {
            ground.ends(ask, end);
        }
    }

    /// A client is gone.
    pub fn leaves(&mut self, ground: &mut Ground, ask: u64) {
        let Some(request) = self.request(ask) else { return };
        request.gone = true;
        if request.stage == Stage::Running {
            self.let_go(ground, ask);
        }
        self.finish(ground, ask, &End::Unpaid(None));
    }

    /// Something comes from another coordinator.
    pub(super) fn hear_coordinator(&mut self, ground: &mut Ground, from: usize, body: Body) {
        match body {
            Body::Sync(sync) => self.synced(ground, from, &sync),
            Body::Grant(serial, answer) => self.answered(ground, serial, answer),
            _ => {}
        }
    }

    /// Holder: a grantee tells.
    fn synced(&mut self, ground: &mut Ground, from: usize, sync: &EscrowSync) {
        let now = ground.local(self.me);
        self.save(ground);
        let Some(running) = &mut self.up else { return };
        let Book::Holder(holder) = &mut running.book else { return };
        if running.writer.failed {
            return;
        }
        match holder.sync(at(now), sync) {
            Ok(Synced { grant, state, records, changes, unheld, .. }) => {
                if unheld.0 > 0 {
                    let what = format!("c{from} has spent {unheld} beyond what was set aside for it");
                    ground.broken(Breach::new(Invariant::WithinBudget, what));
                }
                let mut writes: Vec<Write> = records.into_iter().map(Write::Usage).collect();
                writes.extend(changes.into_iter().map(Write::Spent));
                writes.push(Write::State(state));
                let then = Then::Answer(from, sync.serial, Box::new(grant));
                self.submit(ground, Batch { writes, kept: Some((None, None)), then });
            }
            Err(refusal) => {
                if !matches!(refusal, EscrowRefusal::Overtaken { .. }) {
                    let what = format!("what c{from} tells does not follow what is known: {refusal}");
                    ground.broken(Breach::new(Invariant::AccountsAgree, what));
                }
                self.answer(ground, from, sync.serial, Err(refusal));
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        ground: &mut Ground,
        to: usize,
        serial: u64,
        answer: Result<EscrowGrant, EscrowRefusal>,
    ) {
        let packet = Packet { from: self.me, to: Machine::Coordinator(to), conn: 0, body: Body::Grant(serial, answer) };
        ground.send(packet, How::Datagram);
    }

    /// Grantee: the holder answers.
    fn answered(&mut self, ground: &mut Ground, serial: u64, answer: Result<EscrowGrant, EscrowRefusal>) {
        let Some(running) = &mut self.up else { return };
        let Book::Grantee(grantee) = &mut running.book else { return };
        let before = grantee.booked();
        let answered = grantee.on_answer(serial, answer);
        let next = grantee.next_poll();
        match answered {
            Answered::Granted { booked } => {
                if booked > before {
                    self.submit(ground, Batch { writes: vec![Write::Booked(booked)], kept: None, then: Then::Nothing });
                }
                let paying = |running: &super::Running| {
                    let paying = running.requests.values().filter(|request| request.stage == Stage::Paying);
                    paying.map(|request| request.ask).collect::<Vec<u64>>()
                };
                let waiting = self.up.as_ref().map_or_else(Vec::new, paying);
                waiting.into_iter().for_each(|ask| self.pay(ground, ask, false));
            }
            Answered::Bad(error) => {
                ground.broken(Breach::new(Invariant::AccountsAgree, format!("a granted budget cannot be: {error}")));
            }
            Answered::Late | Answered::Refused(_) => {}
        }
        self.tell_at(ground, next);
    }

    /// Grantee: there may be something to tell then.
    pub(super) fn tell_at(&mut self, ground: &mut Ground, when: Duration) {
        let (me, now) = (self.me, ground.local(self.me));
        let Some(running) = &mut self.up else { return };
        if matches!(running.book, Book::Grantee(_)) && when < running.tells {
            running.tells = when;
            ground.timer(me, when.saturating_sub(now), Timer::Tell);
        }
    }

    /// Grantee: tells, if there is something to tell.
    fn tell(&mut self, ground: &mut Ground) {
        let (me, now) = (self.me, ground.local(self.me));
        let Some(running) = &mut self.up else { return };
        let Book::Grantee(grantee) = &mut running.book else { return };
        if now < running.tells {
            return;
        }
        running.tells = Duration::MAX;
        let sync = grantee.poll(now);
        let next = grantee.next_poll();
        if let Some(sync) = sync {
            let packet = Packet { from: me, to: Machine::Coordinator(0), conn: 0, body: Body::Sync(sync) };
            ground.send(packet, How::Datagram);
        }
        self.tell_at(ground, next);
    }

    /// A timer is due.
    pub fn timer(&mut self, ground: &mut Ground, timer: Timer) {
        match timer {
            Timer::Sweep => self.sweep(ground),
            Timer::Slept(ask, attempt) => self.happens(ground, ask, attempt, policy::job::Event::Slept),
            Timer::Grant(ask, attempt) => self.grant_is_due(ground, ask, attempt),
            Timer::Deadline(ask) => self.time_is_over(ground, ask),
            Timer::Patience(ask) => self.pay(ground, ask, true),
            Timer::Flush => self.flush(ground),
            Timer::Watch => self.watch(ground),
            Timer::Tell => self.tell(ground),
            Timer::Report | Timer::Dial(_) | Timer::Step(_) | Timer::Gather(_) => {}
        }
    }
}
