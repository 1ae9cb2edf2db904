//! Who asks, and what they hear: the other side of what the cluster promises.
//!
//! Rules: a client knows what an undisturbed engine says to its request, and compares. Each time it asks is an [`Ask`]
//! of its own, which ends once. It goes to the next coordinator when the one it asked is gone before it has said a
//! word, once to each; and comes again when it was told to, if it is patient.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::mock::words::{END, VOCABULARY};
use actors::mock::{MockEngine, MockOptions};
use policy::invariants::ends::ends_once;
use policy::invariants::tokens::tokens_once;
use policy::invariants::{Breach, Invariant};
use protocol::answer::{ErrorKind, JobError};
use protocol::engine::{Engine, Event};
use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::units::Tokens;

use super::events::Due;
use super::ground::Ground;
use super::plan::{BLOCK, MODEL, Random, Work};

/// How often a patient client comes again.
const AGAIN: u32 = 4;
/// It does not come again for a longer wait.
const LONGEST: Duration = Duration::from_secs(15);
/// How long a client may take to notice that a coordinator is gone, in milliseconds.
const NOTICE: (u64, u64) = (5, 5_000);
/// How often it looks for a coordinator when none is there.
const SEARCH: Duration = Duration::from_millis(700);

/// One time that a client asks.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its name.
    pub id: u64,
    /// Whom.
    pub coordinator: usize,
    /// What came.
    pub heard: Vec<TokenId>,
    /// How often it ended.
    pub ends: u32,
    /// With a whole answer.
    pub done: bool,
}

/// A client with one request.
#[derive(Clone, Debug)]
pub struct Client {
    /// What it wants.
    pub work: Work,
    /// Its prompt, and how it is to be answered.
    pub job: Job,
    /// What an undisturbed engine says.
    pub wanted: Vec<TokenId>,
    /// Every time that it asked.
    pub asks: Vec<Ask>,
    /// Whom it has asked in vain.
    tried: Vec<usize>,
    /// How often it came again.
    comes: u32,
    /// It was told to come.
    pub again: bool,
    /// How it all ended.
    pub outcome: Option<Outcome>,
}

/// How it ended for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With a whole answer.
    Done,
    /// Nobody had room for it.
    Busy,
    /// Its budget, or what a coordinator may spend of it, was too small.
    Unpaid,
    /// It failed.
    Failed,
    /// Its coordinator was lost in the middle.
    Lost,
    /// It left.
    Left,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Done, Self::Busy, Self::Unpaid, Self::Failed, Self::Lost, Self::Left];

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Busy => "busy",
            Self::Unpaid => "unpaid",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }
}

/// How an ask ended, as a coordinator says it.
#[derive(Clone, Debug)]
pub enum End {
    /// With a whole answer.
    Done,
    /// It was not paid for: when it may be worth another try.
    Unpaid(Option<Duration>),
    /// It failed.
    Failed(JobError),
}

/// All clients.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// By their place.
    pub all: Vec<Client>,
    asks: BTreeMap<u64, (usize, usize)>,
    /// The first promise that was broken to one of them.
    pub breach: Option<Breach>,
}

fn tokens(random: &mut Random, count: u32) -> impl Iterator<Item = TokenId> + '_ {
    // Not the one that ends an answer.
    (0..count).map(|_| TokenId(random.below(u64::from(VOCABULARY) - 1) as u32))
}

fn job(seed: u64, work: &Work) -> Job {
    let (mut group, mut own) = (Random::of(seed, 6, work.group), Random::of(seed, 7, work.number.into()));
    let prompt = tokens(&mut group, work.shared).chain(tokens(&mut own, work.own)).collect();
    Job {
        key: JobKey { request: RequestId(0), choice: 0, attempt: 0 },
        model: MODEL.to_owned(),
        prompt,
        generated: Vec::new(),
        sampling: Sampling { seed: work.seed, temperature: if work.warm { 0.8 } else { 0.0 }, ..Sampling::default() },
        limits: Limits {
            max_tokens: Tokens(work.answer.into()),
            min_tokens: Tokens::ZERO,
            stop_ids: if work.stops { vec![END] } else { Vec::new() },
        },
        salt: [work.key as u8; 16],
        priority: work.class.priority(),
    }
}

/// What an engine says that does nothing else.
fn undisturbed(job: &Job) -> Vec<TokenId> {
    let options = MockOptions { model: MODEL.to_owned(), block: BLOCK, ..MockOptions::default() };
    let mut engine = MockEngine::new(options);
    let (mut events, mut said) = (Vec::new(), Vec::new());
    if engine.admit(job.clone()).is_err() {
        return said;
    }
    while !engine.load().is_idle() {
        if engine.step(&mut events).is_err() {
            break;
        }
        said.extend(events.drain(..).filter_map(|event| match event {
            Event::Token { sampled, .. } => Some(sampled.token),
            _ => None,
        }));
    }
    said
}

impl Clients {
    /// Those who bring this work.
    pub fn new(seed: u64, work: &[Work]) -> Self {
        let mut clients = Self::default();
        for work in work {
            clients.add(seed, work.clone());
        }
        clients
    }

    /// One more. Its place.
    pub fn add(&mut self, seed: u64, work: Work) -> usize {
        let job = job(seed, &work);
        let mut wanted = undisturbed(&job);
        if let Some(enough) = work.enough {
            wanted.truncate(enough as usize);
        }
        let (asks, tried) = (Vec::new(), Vec::new());
        self.all.push(Client { work, job, wanted, asks, tried, comes: 0, again: false, outcome: None });
        self.all.len() - 1
    }

    fn of(&mut self, ask: u64) -> Option<(&mut Client, usize)> {
        let (client, place) = self.asks.get(&ask).copied()?;
        Some((self.all.get_mut(client)?, place))
    }

    /// A client asks a coordinator. The name of the ask.
    pub fn ask(&mut self, client: usize, coordinator: usize) -> u64 {
        let id = self.asks.len() as u64 + 1;
        if let Some(found) = self.all.get_mut(client) {
            self.asks.insert(id, (client, found.asks.len()));
            found.asks.push(Ask { id, coordinator, heard: Vec::new(), ends: 0, done: false });
        }
        id
    }

    /// Tokens come.
    pub fn hear(&mut self, ask: u64, tokens: impl Iterator<Item = TokenId>) {
        let Some((client, place)) = self.of(ask) else { return };
        let Some(found) = client.asks.get_mut(place) else { return };
        found.heard.extend(tokens);
        let mut held = tokens_once(&found.heard, &client.wanted, false);
        if found.ends > 0 {
            held = Err(Breach::new(
                Invariant::EndsOnce,
                format!("tokens came after the end, {} in all", found.heard.len()),
            ));
        }
        self.note(ask, held);
    }

    fn note(&mut self, ask: u64, held: Result<(), Breach>) {
        if let Err(breach) = held
            && self.breach.is_none()
        {
            let number = self.asks.get(&ask).and_then(|(client, _)| self.all.get(*client)).map_or(0, |c| c.work.number);
            self.breach = Some(Breach::new(breach.invariant, format!("w{number}, ask {ask:x}: {}", breach.what)));
        }
    }

    /// The coordinator has said that an ask has ended.
    fn end(&mut self, ask: u64, done: bool) {
        let Some((client, place)) = self.of(ask) else { return };
        let Some(found) = client.asks.get_mut(place) else { return };
        found.ends += 1;
        found.done |= done;
        let held = ends_once(found.ends, true).and_then(|()| tokens_once(&found.heard, &client.wanted, done));
        self.note(ask, held);
    }
}

impl Ground {
    /// The coordinator says how an ask has ended.
    pub fn ends(&mut self, ask: u64, end: &End) {
        self.note(|| format!("ask {ask:x} ends: {end:?}"));
        self.clients.end(ask, matches!(end, End::Done));
        let Some(&(number, _)) = self.clients.asks.get(&ask) else { return };
        let Some(client) = self.clients.all.get_mut(number) else { return };
        let (outcome, wait) = match end {
            End::Done => (Outcome::Done, None),
            End::Unpaid(wait) => (Outcome::Unpaid, *wait),
            End::Failed(error) if matches!(error.kind, ErrorKind::Busy | ErrorKind::Overloaded) => {
                (Outcome::Busy, error.retry_after)
            }
            End::Failed(_) => (Outcome::Failed, None),
        };
        if let Some(wait) = wait
            && client.work.patient
            && client.comes < AGAIN
            && wait <= LONGEST
        {
            (client.comes, client.again) = (client.comes + 1, true);
            client.tried.clear();
            self.at(self.now + wait, Due::Asks(number));
            return;
        }
        client.outcome = Some(outcome);
    }

    /// The coordinators that a client may ask now, the one that it prefers first.
    pub fn choices(&mut self, client: usize, coordinators: usize) -> Option<Vec<usize>> {
        let found = self.clients.all.get(client).filter(|client| client.outcome.is_none())?;
        let from = found.work.to;
        Some((0..coordinators).map(|n| (from + n) % coordinators).filter(|n| !found.tried.contains(n)).collect())
    }

    /// No coordinator is there: it looks again later.
    pub fn searches(&mut self, client: usize) {
        if let Some(found) = self.clients.all.get_mut(client) {
            found.tried.clear();
        }
        self.at(self.now + SEARCH, Due::Asks(client));
    }

    /// The coordinator of an ask is gone. The client notices after a while.
    pub fn deserted(&mut self, ask: u64) {
        if let Some(&(client, _)) = self.clients.asks.get(&ask) {
            let when = self.now + self.random.millis(NOTICE.0, NOTICE.1);
            self.at(when, Due::Notices(client, ask));
        }
    }

    /// A client notices that the coordinator of its ask is gone.
    pub fn notices(&mut self, client: usize, ask: u64) {
        let Some(found) = self.clients.all.get_mut(client).filter(|client| client.outcome.is_none()) else { return };
        let Some(last) = found.asks.last_mut().filter(|last| last.id == ask && last.ends == 0) else { return };
        last.ends = 1;
        if last.heard.is_empty() {
            found.tried.push(last.coordinator);
            let now = self.now;
            self.at(now, Due::Asks(client));
        } else {
            found.outcome = Some(Outcome::Lost);
        }
    }

    /// A client leaves. The coordinator and the ask that it leaves, if it has one.
    pub fn leaves(&mut self, client: usize) -> Option<(usize, u64)> {
        let found = self.clients.all.get_mut(client).filter(|client| client.outcome.is_none())?;
        found.outcome = Some(Outcome::Left);
        let last = found.asks.last_mut().filter(|last| last.ends == 0)?;
        last.ends = 1;
        Some((last.coordinator, last.id))
    }
}
