//! A node: a mock engine, and what `actors::worker` and `actors::node` do around it.
//!
//! Rules, as theirs: jobs are taken between two steps; nobody's job is computed for longer than a step after it is not
//! wanted; what a step brings goes out in order, gathered if it was asked for so; a connection that is lost takes its
//! jobs with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use actors::mock::{MockEngine, MockOptions};
use policy::queue::backlog;
use policy::rates::{Estimator, Step};
use protocol::cache::{BlockKey, CacheChange};
use protocol::engine::{CacheEvent, Engine, Event, JobFault, Progress, RefusalReason};
use protocol::ids::{Incarnation, JobKey, NodeId, RequestId, TokenId};
use protocol::job::{Finish, Job, Limits, Sampled, Sampling};
use protocol::message::{Begun, Failed, Finished, Granted, Refused, Report, Submit, TokenBatch, WorkerReport};
use protocol::units::Tokens;

use super::events::{Body, Machine, Packet, Said, Stream, Timer};
use super::ground::Ground;
use super::net::How;
use super::plan::{BLOCK, NodeShape};

mod links;

use links::Session;

/// How long an engine that does nothing is left alone.
const STALLED: Duration = Duration::from_millis(10);
/// Jobs on their way to the engine.
const COMMANDS: usize = 256;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// Its machine.
    pub me: Machine,
    shape: NodeShape,
    coordinators: usize,
    /// How many faults hold its engine up.
    pub stalls: u32,
    /// By how much it is slower.
    pub slow: Vec<u32>,
    /// How many faults its engine has.
    pub broken: u32,
    /// None while it is down.
    pub up: Option<Running>,
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    incarnation: Incarnation,
    /// None while it starts.
    pub engine: Option<MockEngine>,
    pub(super) sessions: Vec<Session>,
    jobs: BTreeMap<JobKey, Held>,
    inbox: VecDeque<(usize, u64, Submit)>,
    /// What the step under way brings.
    step: Option<(Progress, Vec<Event>)>,
    /// Steps that were begun: one that was lost with its engine does not end the next.
    steps: u64,
    /// What is cached.
    pub mirror: BTreeSet<BlockKey>,
    speed: Estimator,
    /// When its engine last did something, or work came after a pause.
    active: Duration,
    reports: u64,
}

#[derive(Debug)]
struct Held {
    coordinator: usize,
    conn: u64,
    granted: Duration,
    started: bool,
    wanted: bool,
    deadline: Option<Duration>,
    /// The position of the next token that goes out.
    next: Tokens,
    gather: Option<Duration>,
    gathered: Vec<Sampled>,
    /// When the next piece may go.
    free: Duration,
}

/// Which node a number is.
pub fn id(number: usize) -> NodeId {
    NodeId(number as u64 + 1)
}

impl Node {
    /// One that is not started yet.
    pub fn new(number: usize, shape: NodeShape, coordinators: usize) -> Self {
        let me = Machine::Node(number);
        Self { me, shape, coordinators, stalls: 0, slow: Vec::new(), broken: 0, up: None }
    }

    /// How its engine is made.
    pub fn options(&self) -> &MockOptions {
        &self.shape.engine
    }

    /// It starts.
    pub fn start(&mut self, ground: &mut Ground) {
        let incarnation = Incarnation(ground.starts(self.me));
        let engine = (self.broken == 0).then(|| MockEngine::new(self.shape.engine.clone()));
        self.up = Some(Running {
            incarnation,
            engine,
            sessions: (0..self.coordinators).map(|_| Session::default()).collect(),
            jobs: BTreeMap::new(),
            inbox: VecDeque::new(),
            step: None,
            steps: 0,
            mirror: BTreeSet::new(),
            speed: Estimator::default(),
            active: ground.local(self.me),
            reports: 0,
        });
        for coordinator in 0..self.coordinators {
            let wait = ground.random.millis(0, 20);
            ground.timer(self.me, wait, Timer::Dial(coordinator));
        }
        ground.timer(self.me, links::REPORT, Timer::Report);
    }

    /// It is killed.
    pub fn kill(&mut self, ground: &mut Ground) {
        if let Some(running) = self.up.take() {
            ground.dies(self.me);
            running.sessions.iter().filter_map(Session::conn).for_each(|conn| ground.net.forget(self.me, conn));
        }
    }

    /// Its engine fails: its jobs are lost, and the cache.
    pub fn lose_engine(&mut self, ground: &mut Ground) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        running.engine = None;
        running.step = None;
        let error = JobFault::WorkerLost { reason: "the engine failed".to_owned() };
        for (key, mut held) in std::mem::take(&mut running.jobs) {
            held.release(ground, me, key);
            held.say(ground, me, key, Said::Failed(Failed { error: error.clone() }));
        }
        for (coordinator, conn, submit) in std::mem::take(&mut running.inbox) {
            let refused = Refused { reason: RefusalReason::NotReady, retry_after: None, load: Default::default() };
            say(ground, me, coordinator, conn, submit.job.key, Said::Refused(refused));
        }
        running.mirror.clear();
        self.tell(ground, &[CacheChange::Cleared]);
    }

    /// There is a new engine.
    pub fn new_engine(&mut self, ground: &mut Ground) {
        let now = ground.local(self.me);
        if let Some(running) = &mut self.up
            && running.engine.is_none()
            && self.broken == 0
        {
            running.engine = Some(MockEngine::new(self.shape.engine.clone()));
            (running.speed, running.active) = (Estimator::default(), now);
        }
        self.work(ground);
    }

    fn submit(&mut self, ground: &mut Ground, coordinator: usize, conn: u64, submit: Submit) {
        let (me, key) = (self.me, submit.job.key);
        let Some(running) = &mut self.up else { return };
        let refuse = |reason, wait| Refused { reason, retry_after: wait, load: Default::default() };
        let refused = if running.engine.is_none() {
            Some(refuse(RefusalReason::NotReady, Some(Duration::from_secs(1))))
        } else if running.inbox.len() >= COMMANDS {
            Some(refuse(RefusalReason::QueueFull { limit: COMMANDS as u32 }, Some(Duration::from_millis(250))))
        } else {
            None
        };
        if let Some(refused) = refused {
            return say(ground, me, coordinator, conn, key, Said::Refused(refused));
        }
        running.inbox.push_back((coordinator, conn, submit));
        self.work(ground);
    }

    /// It gets something to do that no coordinator waits for.
    pub fn stir(&mut self, ground: &mut Ground) {
        let Some(running) = &self.up else { return };
        let Some(conn) = running.sessions.first().and_then(Session::conn) else { return };
        let request = RequestId(u128::from(ground.random.draw()) << 64);
        let prompt = (0..BLOCK * 2).map(|_| TokenId(ground.random.below(200) as u32)).collect();
        let job = Job {
            key: JobKey { request, choice: 0, attempt: 0 },
            model: self.shape.engine.model.clone(),
            prompt,
            generated: Vec::new(),
            sampling: Sampling::default(),
            limits: Limits { max_tokens: Tokens(1), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
            salt: [0; 16],
            priority: 0,
        };
        self.submit(ground, 0, conn, job.into());
    }

    fn cancel(&mut self, ground: &mut Ground, key: JobKey) {
        if let Some(running) = &mut self.up {
            running.inbox.retain(|(_, _, submit)| submit.job.key != key);
            if let Some(held) = running.jobs.get_mut(&key) {
                held.wanted = false;
            }
        }
        self.work(ground);
    }

    /// Takes what has come and makes the next step, unless one is under way.
    pub fn work(&mut self, ground: &mut Ground) {
        let (me, now) = (self.me, ground.local(self.me));
        let Some(running) = &mut self.up else { return };
        let Some(engine) = &mut running.engine else { return };
        if running.step.is_some() {
            return;
        }
        if engine.load().is_idle() {
            running.active = now;
        }
        while let Some((coordinator, conn, submit)) = running.inbox.pop_front() {
            let key = submit.job.key;
            let next = Tokens::of(submit.job.generated.len());
            let prompt = Tokens::of(submit.job.prompt.len()) + next;
            let bound = Tokens(self.shape.queue_tokens);
            let room = backlog::admit(engine.load().prefill, prompt, submit.job.priority, bound);
            let said = match room.and_then(|()| engine.admit(submit.job)) {
                Ok(grant) => {
                    let deadline = submit.deadline.map(|left| now + left);
                    let (gather, gathered, free) = (submit.gather, Vec::new(), now);
                    let (started, wanted) = (false, true);
                    let held = Held {
                        coordinator,
                        conn,
                        granted: now,
                        started,
                        wanted,
                        deadline,
                        next,
                        gather,
                        gathered,
                        free,
                    };
                    running.jobs.insert(key, held);
                    Said::Granted(Granted { cached: grant.cached, queue: grant.queue })
                }
                Err(reason) => {
                    let retry_after = Some(Duration::from_millis(250));
                    Said::Refused(Refused { reason, retry_after, load: engine.load() })
                }
            };
            say(ground, me, coordinator, conn, key, said);
        }
        running.sweep(ground, me, now);
        let Some(engine) = &mut running.engine else { return };
        if engine.load().is_idle() {
            return;
        }
        if self.stalls > 0 {
            // A step that takes for ever is one that is not over.
            running.step = Some((Progress::default(), Vec::new()));
            running.steps += 1;
            return ground.timer(me, STALLED * 10, Timer::Step(running.steps));
        }
        let mut events = Vec::new();
        let Ok(mut progress) = engine.step(&mut events) else { return };
        progress.pace *= self.slow.iter().copied().max().unwrap_or(1);
        let pace = if progress.is_idle() && events.is_empty() { STALLED } else { progress.pace };
        running.step = Some((progress, events));
        running.steps += 1;
        ground.timer(me, pace, Timer::Step(running.steps));
    }

    /// The step under way is over.
    pub fn step_ends(&mut self, ground: &mut Ground, number: u64) {
        let (me, now) = (self.me, ground.local(self.me));
        let Some(running) = self.up.as_mut().filter(|running| running.steps == number) else { return };
        let Some((progress, events)) = running.step.take() else { return };
        if !progress.is_idle() {
            running.active = now;
            running.speed.observe(Step { prefill: progress.prefill, decoded: progress.decoded, took: progress.pace });
        }
        events.into_iter().for_each(|event| running.deliver(ground, me, now, event));
        let mut told = Vec::new();
        if let Some(engine) = &mut running.engine {
            engine.cache_events(&mut told);
        }
        let changes = running.mirror_changes(&told);
        self.tell(ground, &changes);
        self.work(ground);
    }

    /// What was gathered of a job may go.
    pub fn gathered(&mut self, ground: &mut Ground, key: JobKey) {
        let (me, now) = (self.me, ground.local(self.me));
        if let Some(held) = self.up.as_mut().and_then(|running| running.jobs.get_mut(&key))
            && held.free <= now
        {
            held.release(ground, me, key);
        }
    }
}

impl Running {
    /// How it is.
    fn report(&mut self, now: Duration) -> Report {
        self.reports += 1;
        let load = self.engine.as_ref().map(Engine::load).unwrap_or_default();
        let waiting = self.jobs.values().filter(|held| !held.started).map(|held| held.granted).min();
        let worker = WorkerReport {
            ready: self.engine.is_some(),
            load,
            oldest: waiting.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            still: now.saturating_sub(self.active),
            rates: self.speed.rates(),
        };
        Report { incarnation: self.incarnation, sequence: self.reports, workers: vec![worker], draining: false }
    }

    /// Jobs that it has.
    pub fn jobs(&self) -> usize {
        self.jobs.len() + self.inbox.len()
    }

    /// Jobs on their way to its engine, and how many may be.
    pub fn inbox(&self) -> (usize, usize) {
        (self.inbox.len(), COMMANDS)
    }

    /// Cancels what nobody wants any more, and what comes too late.
    fn sweep(&mut self, ground: &mut Ground, me: Machine, now: Duration) {
        let Some(engine) = &mut self.engine else { return };
        let late = |held: &Held| !held.started && held.deadline.is_some_and(|deadline| deadline <= now);
        let gone: Vec<JobKey> =
            self.jobs.iter().filter(|(_, held)| !held.wanted || late(held)).map(|(key, _)| *key).collect();
        for key in gone {
            let Some(held) = self.jobs.remove(&key) else { continue };
            let usage = engine.cancel(key);
            let said = match usage {
                Some(usage) if !held.wanted => Said::Finished(Finished { finish: Finish::Cancelled, usage }),
                _ => Said::Failed(Failed { error: JobFault::Expired }),
            };
            held.say(ground, me, key, said);
        }
    }

    fn deliver(&mut self, ground: &mut Ground, me: Machine, now: Duration, event: Event) {
        let (Event::Started { key, .. }
        | Event::Token { key, .. }
        | Event::Finished { key, .. }
        | Event::Failed { key, .. }) = &event;
        let key = *key;
        let Some(held) = self.jobs.get_mut(&key) else { return };
        let said = match event {
            Event::Started { cached, .. } => {
                held.started = true;
                return held.say(ground, me, key, Said::Begun(Begun { cached }));
            }
            Event::Token { sampled, .. } => {
                held.gathered.push(sampled);
                if held.gather.is_none() || now >= held.free {
                    held.free = now + held.gather.unwrap_or_default();
                    held.release(ground, me, key);
                } else if held.gathered.len() == 1 {
                    ground.timer(me, held.free.saturating_sub(now), Timer::Gather(key));
                }
                return;
            }
            Event::Finished { finish, usage, .. } => Said::Finished(Finished { finish, usage }),
            Event::Failed { error, .. } => Said::Failed(Failed { error }),
        };
        held.release(ground, me, key);
        held.say(ground, me, key, said);
        self.jobs.remove(&key);
    }

    /// Keeps the mirror, and makes of events in a row of one kind one change.
    fn mirror_changes(&mut self, events: &[CacheEvent]) -> Vec<CacheChange> {
        let mut changes: Vec<CacheChange> = Vec::new();
        for event in events {
            match event {
                CacheEvent::Stored { hash, .. } => {
                    let key = BlockKey::from(*hash);
                    self.mirror.insert(key);
                    match changes.last_mut() {
                        Some(CacheChange::Stored(keys)) => keys.push(key),
                        _ => changes.push(CacheChange::Stored(vec![key])),
                    }
                }
                CacheEvent::Removed { hash } => {
                    let key = BlockKey::from(*hash);
                    self.mirror.remove(&key);
                    match changes.last_mut() {
                        Some(CacheChange::Removed(keys)) => keys.push(key),
                        _ => changes.push(CacheChange::Removed(vec![key])),
                    }
                }
                CacheEvent::Cleared => {
                    self.mirror.clear();
                    changes.push(CacheChange::Cleared);
                }
            }
        }
        changes
    }
}

impl Held {
    /// Sends what was gathered.
    fn release(&mut self, ground: &mut Ground, me: Machine, key: JobKey) {
        if self.gathered.is_empty() {
            return;
        }
        let (first, tokens) = (self.next, std::mem::take(&mut self.gathered));
        self.next += Tokens::of(tokens.len());
        self.say(ground, me, key, Said::Tokens(TokenBatch { first, tokens }));
    }

    fn say(&self, ground: &mut Ground, me: Machine, key: JobKey, said: Said) {
        say(ground, me, self.coordinator, self.conn, key, said);
    }
}

fn say(ground: &mut Ground, me: Machine, coordinator: usize, conn: u64, key: JobKey, said: Said) {
    if ground.net.holds(me, conn) {
        let packet = Packet { from: me, to: Machine::Coordinator(coordinator), conn, body: Body::Said(key, said) };
        ground.send(packet, How::On(Stream::Attempt(key)));
    }
}
