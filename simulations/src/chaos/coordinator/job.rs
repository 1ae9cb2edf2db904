//! The loop of a request: events of its attempts in, commands of `policy::job` carried out. See
//! `actors::cluster::job`.

use std::collections::VecDeque;
use std::time::Duration;

use policy::breaker::State;
use policy::job::{Attempts, Command, Event, out_of_time};
use policy::placement::Prompt;
use policy::placement::roster::{Kind, Nodes, Wish};
use protocol::answer::{ErrorKind, JobError};
use protocol::ids::{JobKey, NodeId};
use protocol::message::Submit;
use protocol::units::Tokens;

use super::Coordinator;
use super::request::{Request, Stage, Way};
use crate::chaos::client::End;
use crate::chaos::events::{Body, Packet, Said, Stream, Timer};
use crate::chaos::ground::Ground;
use crate::chaos::net::How;
use crate::chaos::plan::BLOCK;

/// How long a node may gather tokens that nobody reads one by one, and those of a stream.
const GATHER: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(2)];

/// What placement asks of the directory.
struct Asked<'a> {
    index: &'a policy::index::Index,
}

impl Nodes for Asked<'_> {
    fn meant(&self, _: NodeId, _: Kind) -> bool {
        true
    }

    fn known(&self, node: NodeId) -> bool {
        self.index.knows(node)
    }
}

impl Coordinator {
    /// Its money is set aside: it runs.
    pub(super) fn begin(&mut self, ground: &mut Ground, ask: u64) {
        let Some(running) = &mut self.up else { return };
        running.retries.on_request();
        running.counted.0 += 1;
        let Some(request) = running.requests.get_mut(&ask) else { return };
        request.stage = Stage::Running;
        #[cfg_attr(not(feature = "planted"), expect(unused_mut, reason = "only mistakes change it"))]
        let (mut attempts, commands) =
            Attempts::new(&request.job.model, request.job.limits.clone(), self.settings.tries);
        #[cfg(feature = "planted")]
        attempts.plant(self.settings.planted);
        request.attempts = Some(attempts);
        self.obey(ground, ask, commands);
    }

    /// Something happened to an attempt.
    pub(super) fn happens(&mut self, ground: &mut Ground, ask: u64, attempt: u32, event: Event) {
        let Some(request) = self.up.as_mut().and_then(|running| running.requests.get_mut(&ask)) else { return };
        let Some(attempts) = &mut request.attempts else { return };
        let commands = attempts.on_event(attempt, event);
        self.obey(ground, ask, commands);
    }

    /// Carries commands out, and those that come of it.
    pub(super) fn obey(&mut self, ground: &mut Ground, ask: u64, commands: Vec<Command>) {
        let mut due: VecDeque<Command> = commands.into();
        while let Some(command) = due.pop_front() {
            match command {
                Command::Place { attempt, tried } => {
                    let event = self.place(ground, ask, &tried);
                    due.extend(self.on_event(ask, attempt, event));
                }
                Command::Ask { attempt, node } => self.ask_node(ground, ask, attempt, node),
                Command::Retry { attempt, before } => {
                    if let Some(event) = self.retry(ground, ask, attempt, before) {
                        due.extend(self.on_event(ask, attempt, event));
                    }
                }
                Command::Wait { attempt, retry_after } => {
                    if let Some(event) = self.wait(ground, ask, attempt, retry_after) {
                        due.extend(self.on_event(ask, attempt, event));
                    }
                }
                Command::Drop { attempt } => self.drop_attempt(ground, ask, attempt, true),
                Command::Judge { verdict, .. } => self.judge(ground, ask, Some(verdict)),
                Command::Migrate { from, delivered, why } => {
                    ground.tally.migrations += 1;
                    ground.note(|| format!("ask {ask:x} goes on elsewhere after {delivered}: {from}: {why}"));
                }
                Command::Started { .. } => {
                    if let Some(request) = self.request(ask) {
                        request.begun = true;
                    }
                }
                Command::Deliver(tokens) => {
                    let Some(request) = self.request(ask) else { return };
                    request.waits = None;
                    let left = request.enough.map_or(usize::MAX, |enough| enough - request.generated.len().min(enough));
                    let heard: Vec<_> = tokens.iter().map(|sampled| sampled.token).take(left).collect();
                    let stopped = heard.len() == left;
                    request.generated.extend(&heard);
                    ground.clients.hear(ask, heard.into_iter());
                    if stopped && let Some(attempts) = &mut request.attempts {
                        let rest = attempts.on_enough();
                        self.obey(ground, ask, rest);
                        return self.finish(ground, ask, &End::Done);
                    }
                }
                Command::End(Ok(_)) => return self.finish(ground, ask, &End::Done),
                Command::End(Err(error)) => return self.finish(ground, ask, &End::Failed(error)),
            }
        }
    }

    pub(super) fn request(&mut self, ask: u64) -> Option<&mut Request> {
        self.up.as_mut()?.requests.get_mut(&ask)
    }

    fn on_event(&mut self, ask: u64, attempt: u32, event: Event) -> Vec<Command> {
        let attempts = self.request(ask).and_then(|request| request.attempts.as_mut());
        attempts.map_or_else(Vec::new, |attempts| attempts.on_event(attempt, event))
    }

    fn place(&mut self, ground: &mut Ground, ask: u64, tried: &[NodeId]) -> Event {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return Event::Nobody { some: false } };
        let Some(request) = running.requests.get_mut(&ask) else { return Event::Nobody { some: false } };
        let chain = request.chain();
        let generated = Tokens::of(request.generated.len());
        let wish = Wish {
            prompt: Prompt {
                tokens: Tokens::of(request.job.prompt.len()) + generated,
                answer: request.job.limits.max_tokens - generated,
                block: Tokens(BLOCK.into()),
            },
            chain: &chain,
            session: None,
            tried,
        };
        let hits = running.index.cached(chain.iter().map(|hash| (*hash).into()));
        let asked = Asked { index: &running.index };
        let random = &mut running.random;
        let decision =
            running.roster.decide(now, &wish, &hits, &asked, &self.settings.placement, &mut || random.draw());
        ground.tally.decisions += 1;
        let choice = decision.and_then(|decision| decision.choices.first().copied());
        let key = choice.and_then(|choice| running.roster.enter(now, &wish, &choice));
        let Some(key) = key else { return Event::Nobody { some: !running.roster.is_empty() } };
        request.placed = Some((key, chain));
        Event::Placed(key.node)
    }

    fn ask_node(&mut self, ground: &mut Ground, ask: u64, attempt: u32, node: NodeId) {
        let (me, now, grant) = (self.me, ground.local(self.me), self.settings.grant);
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.get_mut(&ask) else { return };
        let Some((key, chain)) = request.placed.take() else { return };
        let Some(entry) = running.entries.get(&node) else { return };
        let before = request.trial.replace(key);
        request.running.insert(attempt, Way { key, conn: entry.conn, chain, taken: false });
        let submit = Submit {
            job: request.attempt(attempt),
            deadline: Some(request.deadline.saturating_sub(now)),
            pull: None,
            gather: GATHER.get(usize::from(!request.whole)).copied(),
        };
        let (to, conn, stream) = (entry.machine, entry.conn, Stream::Attempt(submit.job.key));
        if let Some(before) = before {
            running.roster.judge(now, &before, None, &self.settings.breaker, 0.0);
        }
        ground.send(Packet { from: me, to, conn, body: Body::Submit(Box::new(submit)) }, How::On(stream));
        ground.timer(me, grant, Timer::Grant(ask, attempt));
    }

    /// Waits before another try; or the reason why there is none.
    fn retry(&mut self, ground: &mut Ground, ask: u64, attempt: u32, before: u32) -> Option<Event> {
        let running = self.up.as_mut()?;
        if !running.retries.retry() {
            let error = JobError::new(ErrorKind::NodeLost, "too much is tried again now");
            return Some(Event::TurnedAway(error.retry_after(Duration::from_secs(1))));
        }
        running.counted.1 += 1;
        ground.tally.retries += 1;
        let random = running.random.draw();
        let wait = before.checked_sub(1).map_or(Duration::ZERO, |waits| self.settings.retry.wait(waits, random, None));
        ground.timer(self.me, wait, Timer::Slept(ask, attempt));
        None
    }

    /// An attempt is over: what counts as sent does not any more. If it still runs there, its stream is reset.
    pub(super) fn drop_attempt(&mut self, ground: &mut Ground, ask: u64, attempt: u32, reset: bool) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.get_mut(&ask) else { return };
        let Some(way) = request.running.remove(&attempt) else { return };
        running.roster.ended(&way.key, &way.chain, way.taken);
        let key = JobKey { attempt, ..request.job.key };
        if reset
            && ground.net.holds(me, way.conn)
            && let Some(entry) = running.entries.get(&way.key.node)
        {
            let packet = Packet { from: me, to: entry.machine, conn: way.conn, body: Body::Cancel(key) };
            ground.send(packet, How::On(Stream::Attempt(key)));
        }
    }

    /// How it went with the node on trial, for its breaker.
    pub(super) fn judge(&mut self, ground: &mut Ground, ask: u64, verdict: Option<policy::job::Verdict>) {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        let Some(key) = running.requests.get_mut(&ask).and_then(|request| request.trial.take()) else { return };
        let random = running.random.draw();
        let state = running.roster.judge(now, &key, verdict, &self.settings.breaker, random);
        if let Some(state) = state {
            ground.tally.opened += u64::from(state == State::Open);
            ground.note(|| format!("{} finds the breaker of {} {}", self.me, key.node, state.as_str()));
        }
    }

    /// A node says something of a job.
    pub(super) fn said(&mut self, ground: &mut Ground, conn: u64, key: JobKey, said: Said) {
        let now = ground.local(self.me);
        let ask = u64::try_from(key.request.0).unwrap_or(u64::MAX);
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.get_mut(&ask) else { return };
        let Some(way) = request.running.get_mut(&key.attempt).filter(|way| way.conn == conn) else { return };
        match &said {
            Said::Granted(_) => {
                way.taken = true;
                running.roster.granted(now, &way.key);
            }
            Said::Tokens(_) => running.roster.computed(&way.key),
            _ => {}
        }
        if said.is_last() {
            self.drop_attempt(ground, ask, key.attempt, false);
        }
        let event = match said {
            Said::Granted(granted) => {
                self.turn_granted(ground, ask);
                Event::Granted(granted.cached)
            }
            Said::Refused(refused) => Event::Refused(refused),
            Said::Begun(begun) => Event::Begun(begun.cached),
            Said::Tokens(batch) => Event::Tokens(batch),
            Said::Finished(finished) => Event::Finished(finished),
            Said::Failed(failed) => Event::Failed(failed.error),
        };
        self.happens(ground, ask, key.attempt, event);
    }

    /// A node has had its time to grant.
    pub(super) fn grant_is_due(&mut self, ground: &mut Ground, ask: u64, attempt: u32) {
        let untaken = self.request(ask).and_then(|request| request.running.get(&attempt)).is_some_and(|way| !way.taken);
        if untaken {
            ground.tally.unanswered += 1;
            self.happens(ground, ask, attempt, Event::Unanswered);
        }
    }

    /// All attempts on a node are lost; only those on one connection, if that is given.
    pub(super) fn lose_attempts(&mut self, ground: &mut Ground, node: NodeId, conn: Option<u64>, why: &str) {
        let Some(running) = &self.up else { return };
        let on = |way: &Way| way.key.node == node && conn.is_none_or(|conn| way.conn == conn);
        let lost: Vec<(u64, u32)> = running
            .requests
            .iter()
            .flat_map(|(ask, request)| request.running.iter().map(move |(attempt, way)| (*ask, *attempt, way)))
            .filter(|(.., way)| on(way))
            .map(|(ask, attempt, _)| (ask, attempt))
            .collect();
        for (ask, attempt) in lost {
            self.happens(ground, ask, attempt, Event::Lost(why.to_owned()));
        }
    }

    /// A request has had its time.
    pub(super) fn time_is_over(&mut self, ground: &mut Ground, ask: u64) {
        let timeout = self.settings.timeout;
        if self.request(ask).is_some_and(|request| request.stage == Stage::Running) {
            self.let_go(ground, ask);
            self.finish(ground, ask, &End::Failed(out_of_time(timeout)));
        }
    }

    /// Lets go of all that still runs for a request.
    pub(super) fn let_go(&mut self, ground: &mut Ground, ask: u64) {
        let Some(request) = self.request(ask) else { return };
        let commands = request.attempts.as_mut().map_or_else(Vec::new, Attempts::on_enough);
        self.obey(ground, ask, commands);
        self.judge(ground, ask, None);
        self.leave_queue(ground, ask);
    }
}
