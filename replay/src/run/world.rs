//! All that is simulated, and what each event does to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::job::Verdict;
use policy::placement::Prompt;
use policy::placement::roster::{Key, Wish};
use policy::queue::{Entry, Id};
use policy::restart::Jitter;
use protocol::cache::CacheChange;
use protocol::engine::{BlockHash, Event};
use protocol::ids::{JobKey, NodeId, RequestId};
use protocol::job::{Class, Job, Limits, Sampling};
use protocol::units::{Nanos, Tokens};

use super::coordinator::Coordinator;
use super::schedule::{Heard, Said, Schedule, Try, What, whole};
use super::{Fault, Node, Setup, SetupError};
use crate::prompt;
use crate::results::{Outcome, Record, Results};
use crate::trace::Trace;

mod faults;
mod reports;

/// The only model.
const MODEL: &str = "m";
/// Events between two questions whether the run goes on: milliseconds.
const ASKED_EVERY: u64 = 256;
/// Clients that find no coordinator do not try again sooner.
const LEAST_NOTICE: Duration = Duration::from_millis(1);

/// A request that has come and not ended.
#[derive(Debug)]
struct Live {
    chain: Arc<[BlockHash]>,
    attempt: u32,
    coordinator: usize,
    life: u32,
    tried: Vec<NodeId>,
    /// Where it stands, if it was sent to a node.
    key: Option<Key>,
    predicted: Tokens,
    /// Its place in the queue.
    place: Option<Id>,
    since: Duration,
}

#[derive(Debug)]
pub(super) struct World<'a> {
    setup: &'a Setup,
    trace: &'a Trace,
    block: Tokens,
    breaker: policy::breaker::Settings,
    nodes: Vec<Node>,
    coordinators: Vec<Coordinator>,
    schedule: Schedule,
    /// Nodes whose next report is planned, by place.
    reporting: Vec<bool>,
    live: BTreeMap<usize, Live>,
    /// Requests that have not ended, and those that have not come.
    left: usize,
    /// A rule of the simulation that was broken.
    broken: Option<SetupError>,
    turn: usize,
    /// Events so far.
    pub(super) happened: u64,
    random: Jitter,
    results: Results,
}

impl<'a> World<'a> {
    pub(super) fn new(setup: &'a Setup, trace: &'a Trace) -> Self {
        let block = setup.block(trace);
        let coordinators = setup.coordinators as usize;
        let kinds = setup.kinds.iter().flat_map(|kind| (0..kind.count).map(|_| &kind.profile));
        let nodes: Vec<Node> =
            kinds.map(|profile| Node::new(profile.mock_options(MODEL, Some(block)), coordinators)).collect();
        let blank = |request: &crate::trace::Request| Record {
            arrived: request.at,
            first: None,
            took: Duration::ZERO,
            input: request.input,
            output: request.output,
            predicted: Tokens::ZERO,
            cached: Tokens::ZERO,
            node: None,
            asked: 0,
            outcome: Outcome::Pending,
        };
        let records = trace.requests.iter().map(blank).collect();
        let made = |number| Coordinator::new(setup, &nodes, number, 0, Duration::ZERO);
        let coordinators = (0..coordinators).map(made).collect();
        Self {
            setup,
            trace,
            block,
            breaker: (&setup.breaker).into(),
            nodes,
            coordinators,
            schedule: Schedule::default(),
            reporting: vec![true; setup.nodes() as usize],
            live: BTreeMap::new(),
            left: trace.requests.len(),
            broken: None,
            turn: 0,
            happened: 0,
            random: Jitter::new(prompt::mix(setup.seed)),
            results: Results { records, ..Results::default() },
        }
    }

    pub(super) fn run(mut self, goes_on: &dyn Fn() -> bool) -> Result<Results, SetupError> {
        let span = self.drive(goes_on)?;
        self.results.span = span;
        self.results.nodes = self.nodes.iter().map(|node| node.worked).collect();
        self.results.cost = over(self.setup.hour(), span);
        Ok(self.results)
    }

    /// Whether every coordinator that is up counts nothing as due any more.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.coordinators.iter().filter(|coordinator| coordinator.up).all(Coordinator::is_idle)
    }

    /// Until all requests have ended. How long that took since the first came.
    pub(super) fn drive(&mut self, goes_on: &dyn Fn() -> bool) -> Result<Duration, SetupError> {
        let now = Duration::ZERO;
        for node in 0..self.nodes.len() {
            self.schedule.plan(self.turn_of(node), What::Reports(node));
            for coordinator in 0..self.coordinators.len() {
                self.connect(coordinator, node, now);
            }
        }
        for (number, request) in self.trace.requests.iter().enumerate() {
            self.schedule.plan(request.at, What::Arrives { request: number, since: request.at });
        }
        for (at, fault) in &self.setup.faults {
            self.schedule.plan(*at, What::Happens(*fault));
        }
        let mut last = now;
        while self.left > 0
            && let Some((now, what)) = self.schedule.next()
        {
            last = now;
            if self.happened.is_multiple_of(ASKED_EVERY) && !goes_on() {
                let all = self.trace.requests.len();
                return Err(SetupError::Stopped { at: now, ended: all - self.left, all });
            }
            self.happened += 1;
            self.happen(now, what)?;
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        if let Some(first) = self.results.records.iter().position(|record| record.outcome == Outcome::Pending) {
            return Err(SetupError::Endless { request: first + 1, count: self.left });
        }
        // A part of a trace may begin later than its clock.
        Ok(last - self.trace.requests.first().map_or(last, |first| first.at.min(last)))
    }

    fn happen(&mut self, now: Duration, what: What) -> Result<(), SetupError> {
        match what {
            What::Arrives { request, since } => self.arrives(now, request, since),
            What::Submits(by, node) => self.submits(now, by, node)?,
            What::Steps(node) => self.steps(now, node)?,
            What::Reports(node) => self.reports(now, node),
            What::Expires { coordinator, life } => self.expires(now, coordinator, life),
            What::Hears { coordinator, life, node, heard } => self.hears(now, coordinator, life, node, heard),
            What::Says(by, said) => self.says(now, by, said),
            What::Happens(Fault::Lose(coordinator)) => self.lose(now, coordinator as usize),
            What::Happens(Fault::Restart(coordinator)) => self.restart(now, coordinator as usize),
            What::Dials { coordinator, life, node } => {
                if self.coordinators.get(coordinator).is_some_and(|it| it.up && it.life == life) {
                    self.connect(coordinator, node, now + self.setup.delay);
                }
            }
            What::Forgets { coordinator, life } => {
                self.nodes.iter_mut().for_each(|node| node.forget(coordinator, life));
                (0..self.nodes.len()).for_each(|node| self.stirs(now, node));
            }
        }
        Ok(())
    }

    /// A request comes to the next coordinator that is up.
    fn arrives(&mut self, now: Duration, number: usize, since: Duration) {
        let Some(request) = self.trace.requests.get(number) else { return };
        if !self.nodes.iter().any(|node| node.fits(request.input, request.output)) {
            return self.over(now, number, Outcome::TooLong);
        }
        let count = self.coordinators.len();
        let up = |at: &usize| self.coordinators.get(*at).is_some_and(|coordinator| coordinator.up);
        let Some(at) = (self.turn..self.turn + count).map(|turn| turn % count).find(up) else {
            // Nobody is there: its client tries again, as long as it may.
            let ends = since + self.setup.patience;
            if now >= ends {
                return self.over(now, number, Outcome::Refused);
            }
            let again = (now + self.setup.notice.max(LEAST_NOTICE)).min(ends);
            return self.schedule.plan(again, What::Arrives { request: number, since });
        };
        self.turn = at + 1;
        let life = self.coordinators.get(at).map_or(0, |coordinator| coordinator.life);
        let attempt = self.live.get(&number).map_or(0, |live| live.attempt);
        let chain = match self.live.remove(&number) {
            Some(live) => live.chain,
            None => {
                let tokens = prompt::tokens(self.trace, request, number);
                BlockHash::chain([0; 16], &tokens, self.block.as_usize()).collect()
            }
        };
        let live = Live {
            chain,
            attempt,
            coordinator: at,
            life,
            tried: Vec::new(),
            key: None,
            predicted: Tokens::ZERO,
            place: None,
            since,
        };
        self.live.insert(number, live);
        self.place(now, number);
    }

    /// Asks a node, or waits.
    fn place(&mut self, now: Duration, number: usize) {
        let Some(request) = self.trace.requests.get(number) else { return };
        let Some(live) = self.live.get_mut(&number) else { return };
        let Some(coordinator) = self.coordinators.get_mut(live.coordinator) else { return };
        let prompt = Prompt { tokens: request.input, answer: request.output, block: self.block };
        let wish = Wish { prompt, chain: &live.chain, session: request.session, tried: &live.tried };
        self.results.blindness.decisions += 1;
        if !coordinator.sees() {
            self.results.blindness.blind += 1;
            self.results.blindness.longest = self.results.blindness.longest.max(now - coordinator.since);
        }
        if let Some((key, picked)) = coordinator.place(now, &wish, &self.nodes) {
            live.attempt += 1;
            live.key = Some(key);
            live.predicted = whole(picked.cached, self.block).min(request.input);
            let by = Try { request: number, attempt: live.attempt, coordinator: live.coordinator, life: live.life };
            if let Some(record) = self.results.records.get_mut(number) {
                record.asked += 1;
            }
            let node = usize::try_from(key.node.0).unwrap_or(usize::MAX);
            return self.schedule.plan(now + self.setup.wire, What::Submits(by, node));
        }
        // Nobody takes it now.
        live.tried.clear();
        let (at, life, deadline) = (live.coordinator, live.life, live.since + self.setup.patience);
        if let Some(place) = live.place {
            coordinator.queue.back(place);
            if deadline <= now {
                // Its patience ended while it was not in the queue.
                self.expires(now, at, life);
            }
            return;
        }
        let entry = Entry {
            class: Class::default(),
            tenant: String::new(),
            tokens: request.input,
            since: live.since,
            deadline,
            again: false,
        };
        let random = coordinator.random.draw();
        match coordinator.queue.push(now, entry, random) {
            Ok((place, pushed)) => {
                live.place = Some(place);
                coordinator.waiting.insert(place, number);
                let out: Vec<usize> = pushed.iter().filter_map(|(id, _)| coordinator.waiting.remove(id)).collect();
                self.schedule.plan(deadline.max(now), What::Expires { coordinator: at, life });
                out.into_iter().for_each(|number| self.over(now, number, Outcome::Refused));
            }
            Err(_) => self.over(now, number, Outcome::Refused),
        }
    }

    /// A job reaches a node, which grants or refuses.
    fn submits(&mut self, now: Duration, by: Try, place: usize) -> Result<(), SetupError> {
        if !self.alive(&by) {
            return Ok(());
        }
        let Some(job) = self.job(&by) else { return Ok(()) };
        let Some(node) = self.nodes.get_mut(place) else { return Ok(()) };
        let said = match node.admit(now, job, by) {
            Ok(()) => Said::Granted,
            Err(_) => Said::Refused,
        };
        self.schedule.plan(now + self.setup.wire, What::Says(by, said));
        self.stirs(now, place);
        self.start(now, place)
    }

    fn job(&self, by: &Try) -> Option<Job> {
        let request = self.trace.requests.get(by.request)?;
        Some(Job {
            key: JobKey { request: RequestId(by.request as u128), choice: 0, attempt: by.attempt },
            model: MODEL.to_owned(),
            prompt: prompt::tokens(self.trace, request, by.request),
            generated: Vec::new(),
            sampling: Sampling { seed: by.request as u64, ..Sampling::default() },
            limits: Limits { max_tokens: request.output, min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
            salt: [0; 16],
            priority: Class::default().priority(),
        })
    }

    fn start(&mut self, now: Duration, place: usize) -> Result<(), SetupError> {
        let Some(node) = self.nodes.get_mut(place) else { return Ok(()) };
        if let Some(pace) = node.start().map_err(SetupError::Engine)? {
            self.schedule.plan(now + pace, What::Steps(place));
        }
        Ok(())
    }

    /// A node's step ends.
    fn steps(&mut self, now: Duration, place: usize) -> Result<(), SetupError> {
        let Some(node) = self.nodes.get_mut(place) else { return Ok(()) };
        let (events, changes) = node.end();
        for event in events {
            match event {
                Event::Started { key, cached } => {
                    node.begun(key);
                    if let Some(record) = node.whose(key).and_then(|by| self.results.records.get_mut(by.request)) {
                        record.cached = cached;
                    }
                }
                Event::Token { key, .. } => {
                    // Of every try: a second one computes its prompt too, though its client has had a token before.
                    if let Some(by) = node.speaks(key) {
                        self.schedule.plan(now + self.setup.wire, What::Says(by, Said::First));
                    }
                }
                Event::Finished { key, .. } => {
                    node.worked.requests += 1;
                    if let Some(by) = node.ended(key) {
                        self.schedule.plan(now + self.setup.wire, What::Says(by, Said::Done));
                    }
                }
                Event::Failed { key, error } => return Err(SetupError::Engine(format!("job {key}: {error}"))),
            }
        }
        self.tell(now, place, &changes);
        self.stirs(now, place);
        self.start(now, place)
    }

    fn tell(&mut self, now: Duration, place: usize, changes: &[CacheChange]) {
        let Some(node) = self.nodes.get_mut(place).filter(|_| !changes.is_empty()) else { return };
        for (at, coordinator) in self.coordinators.iter().enumerate() {
            let heard_at = (now + self.setup.delay).max(node.ready(at));
            for batch in node.tell(at, changes) {
                let (life, heard) = (coordinator.life, Heard::Batch(batch));
                let what = What::Hears { coordinator: at, life, node: place, heard };
                self.schedule.plan(heard_at, what);
            }
        }
    }

    fn hears(&mut self, now: Duration, at: usize, life: u32, node: usize, heard: Heard) {
        let Some(coordinator) = self.coordinators.get_mut(at).filter(|it| it.up && it.life == life) else { return };
        let report = matches!(heard, Heard::Report(_));
        self.results.operations += coordinator.hears(now, node, heard);
        if report {
            self.again(now, at);
        }
    }

    /// There may be room.
    fn again(&mut self, now: Duration, at: usize) {
        let Some(coordinator) = self.coordinators.get_mut(at) else { return };
        for number in coordinator.release(now) {
            self.place(now, number);
        }
    }

    fn expires(&mut self, now: Duration, at: usize, life: u32) {
        let Some(coordinator) = self.coordinators.get_mut(at).filter(|it| it.up && it.life == life) else { return };
        let random = coordinator.random.draw();
        let late = coordinator.queue.expire(now, random);
        let late: Vec<usize> = late.iter().filter_map(|(id, _)| coordinator.waiting.remove(id)).collect();
        late.into_iter().for_each(|number| self.over(now, number, Outcome::Refused));
    }

    /// Whether a coordinator still lives in which a try was made, and the try is its last.
    fn alive(&self, by: &Try) -> bool {
        let coordinator = self.coordinators.get(by.coordinator);
        coordinator.is_some_and(|it| it.up && it.life == by.life)
            && self.live.get(&by.request).is_some_and(|live| live.attempt == by.attempt)
    }

    /// A coordinator hears of its job.
    fn says(&mut self, now: Duration, by: Try, said: Said) {
        if !self.alive(&by) {
            return;
        }
        let (Some(live), Some(coordinator), Some(record), Some(request)) = (
            self.live.get_mut(&by.request),
            self.coordinators.get_mut(by.coordinator),
            self.results.records.get_mut(by.request),
            self.trace.requests.get(by.request),
        ) else {
            return;
        };
        let Some(key) = live.key else { return };
        let prompt = Prompt { tokens: request.input, answer: request.output, block: self.block };
        let wish = Wish { prompt, chain: &live.chain, session: request.session, tried: &[] };
        match said {
            Said::Granted => {
                coordinator.roster().granted(now, &key);
                if let Some(place) = live.place.take() {
                    coordinator.waiting.remove(&place);
                    coordinator.queue.served(now, place);
                }
            }
            Said::Refused => {
                coordinator.roster().judge(now, &key, Some(Verdict::Busy), &self.breaker, 0.0);
                coordinator.roster().ended(&key, &live.chain, false);
                coordinator.chooser().computed(key.node, request.input - live.predicted);
                coordinator.chooser().ended(key.node, &wish);
                live.key = None;
                live.tried.push(key.node);
                self.place(now, by.request);
            }
            Said::First => {
                record.first.get_or_insert(now - record.arrived);
                coordinator.roster().computed(&key);
                coordinator.chooser().computed(key.node, request.input - live.predicted);
            }
            Said::Done => {
                record.node = u32::try_from(key.node.0).ok();
                record.predicted = live.predicted;
                coordinator.roster().judge(now, &key, Some(Verdict::Good), &self.breaker, 0.0);
                coordinator.roster().ended(&key, &live.chain, true);
                coordinator.chooser().ended(key.node, &wish);
                self.over(now, by.request, Outcome::Done);
                self.again(now, by.coordinator);
            }
        }
    }

    /// A request has ended, and does so once.
    fn over(&mut self, now: Duration, number: usize, outcome: Outcome) {
        self.live.remove(&number);
        let Some(record) = self.results.records.get_mut(number) else { return };
        if record.outcome == Outcome::Pending {
            record.took = now - record.arrived;
            record.outcome = outcome;
            self.left -= 1;
        } else {
            self.broken = Some(SetupError::Twice { request: number + 1, at: now });
        }
    }
}

/// What so much an hour comes to.
fn over(hour: Nanos, span: Duration) -> Nanos {
    let nanos = u128::from(hour.0) * span.as_nanos() / 3_600_000_000_000;
    Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
