//! Where requests wait that no node takes now: the shell around [`policy::queue`], one queue per model.
//!
//! Rules: a place is held by a guard, and is free when the guard goes, whatever became of its owner. Who is
//! let out asks nodes again ([`Turn`]); refused once more, it waits in its old place ([`Turn::again`]). Few
//! are let out at once, when there may be room: a job has ended, a node has taken one, some time has passed.
//! Guards of the map never leave this file.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use policy::invariants::Invariant;
use policy::invariants::queues::queue_bounded;
use policy::queue::{self, Bounds, Id, Queue};
use policy::restart::Jitter;
use protocol::answer::{ErrorKind, JobError};
use protocol::job::Class;
use protocol::units::Tokens;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Clock;
use crate::promises::Promises;

/// How long a request waits, if nobody says.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one is let out without a sign of room.
const PROBE: Duration = Duration::from_millis(100);

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The model it is for.
    pub model: String,
    /// How urgent it is.
    pub class: Class,
    /// Whose it is: tenants of a class share fairly.
    pub tenant: String,
    /// How long its prompt is.
    pub tokens: Tokens,
    /// Its client has seen a part of it: it goes before those that have not begun, and waits for as long as it has.
    pub begun: bool,
    /// It was refused before, and comes when it was told to.
    pub again: bool,
    /// How long it has waited already.
    pub waited: Duration,
    /// What is left of its time.
    pub left: Duration,
    /// When some node wants to be asked again, at the earliest.
    pub retry_after: Option<Duration>,
}

impl Entry {
    /// As the queue knows it; with the time that it may wait.
    fn known(self, now: Duration, patience: Duration) -> (String, queue::Entry) {
        let patience = if self.begun { self.left } else { patience.min(self.left) }.saturating_sub(self.waited);
        let class = if self.begun { Class::Interactive } else { self.class };
        let since = now.saturating_sub(self.waited);
        let entry = queue::Entry {
            class,
            tenant: self.tenant,
            tokens: self.tokens,
            since,
            deadline: now + patience,
            again: self.again,
        };
        (self.model, entry)
    }
}

/// A request that waits no longer, and was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TurnedAway {
    /// For the client.
    pub reason: String,
    /// When it is worth another try.
    pub retry_after: Duration,
    /// Whether the tenant's own share is what is full: 429, not 503.
    pub own: bool,
}

impl From<TurnedAway> for JobError {
    fn from(away: TurnedAway) -> Self {
        let error = Self::new(ErrorKind::Busy, away.reason).retry_after(away.retry_after);
        // A limit that is named is one of the client's own.
        if away.own { error.field("model") } else { error }
    }
}

type Word = Result<(), queue::TurnedAway>;

#[derive(Debug)]
struct Room {
    queue: Queue,
    /// When somebody was let out last without a sign of room.
    probed: Duration,
    sleepers: HashMap<Id, oneshot::Sender<Word>>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    bounds: Bounds,
    patience: Duration,
    rooms: DashMap<String, Room>,
    draws: AtomicU64,
    promises: Promises,
}

/// All that wait. Clones share it.
#[derive(Clone, Debug)]
pub struct Waiting {
    inner: Arc<Inner>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self::new(Bounds::default(), PATIENCE)
    }
}

/// A place in a queue: to drop it is to leave.
#[derive(Debug)]
struct Place {
    inner: Arc<Inner>,
    model: String,
    id: Id,
    deadline: Duration,
    hint: Option<Duration>,
}

/// It may ask nodes again. To drop it is to say that it waits no more.
#[derive(Debug)]
pub struct Turn {
    place: Place,
}

/// How a model's queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jam {
    /// How many wait.
    pub requests: usize,
    /// Their prompts.
    pub tokens: Tokens,
    /// How long the oldest has waited.
    pub oldest: Duration,
    /// Prompt tokens that leave in a second, as measured.
    pub rate: f64,
}

impl Waiting {
    /// Empty queues of these bounds, in which a request that has not begun waits for so long at most.
    pub fn new(bounds: Bounds, patience: Duration) -> Self {
        let (clock, draws) = (Clock::start(), AtomicU64::new(0));
        Self {
            inner: Arc::new(Inner {
                clock,
                bounds,
                patience,
                rooms: DashMap::new(),
                draws,
                promises: Promises::default(),
            }),
        }
    }

    /// Waits for its turn. To drop the future is to leave.
    ///
    /// # Errors
    /// There is no room, or its time is over.
    pub async fn turn(&self, entry: Entry) -> Result<Turn, TurnedAway> {
        let (inner, now, hint) = (&self.inner, self.inner.clock.now(), entry.retry_after);
        let (model, entry) = entry.known(now, inner.patience);
        let deadline = entry.deadline;
        let (word, heard) = oneshot::channel();
        let pushed = inner.change(&model, |room, random| {
            room.queue.push(now, entry, random).map(|(id, out)| {
                room.sleepers.insert(id, word);
                room.tell(out);
                id
            })
        });
        let id = pushed.map_err(|away| said(&model, away, hint))?;
        Place { inner: Arc::clone(inner), model, id, deadline, hint }.wait(heard).await
    }

    /// What somebody is told who does not want to wait.
    pub fn refuse(&self, entry: Entry) -> TurnedAway {
        let (now, hint) = (self.inner.clock.now(), entry.retry_after);
        let (model, entry) = entry.known(now, self.inner.patience);
        let away = self.inner.change(&model, |room, random| room.queue.refuse(now, &entry, random));
        said(&model, away, hint)
    }

    /// There may be room for so many of a model.
    pub fn room(&self, model: &str, most: usize) {
        self.inner.release(model, most);
    }

    /// Sets the gauges of all queues, and looks whether they are within their bounds.
    pub fn measure(&self) {
        for room in &self.inner.rooms {
            self.inner.promises.look(Invariant::QueuesBounded, room.key(), queue_bounded(&room.queue));
        }
        let models: Vec<String> = self.inner.rooms.iter().map(|room| room.key().clone()).collect();
        for model in models {
            let jam = self.jam(&model);
            metrics::gauge!("troupe_queue_requests", "model" => model.clone()).set(jam.requests as f64);
            metrics::gauge!("troupe_queue_tokens", "model" => model).set(jam.tokens.0 as f64);
        }
    }

    /// What must hold of the queues.
    pub fn promises(&self) -> &Promises {
        &self.inner.promises
    }

    /// How a model's queue is.
    pub fn jam(&self, model: &str) -> Jam {
        let now = self.inner.clock.now();
        let jam = |room: dashmap::mapref::one::Ref<'_, String, Room>| {
            let queue = &room.queue;
            Jam { requests: queue.len(), tokens: queue.tokens(), oldest: queue.oldest(now), rate: queue.rate() }
        };
        self.inner.rooms.get(model).map(jam).unwrap_or_default()
    }
}

impl Inner {
    /// Changes a model's queue. `change` gets a number in [0, 1).
    fn change<T>(&self, model: &str, change: impl FnOnce(&mut Room, f64) -> T) -> T {
        let random = Jitter::new(self.draws.fetch_add(1, Ordering::Relaxed)).draw();
        let now = self.clock.now();
        let fresh = || Room { queue: Queue::new(self.bounds), sleepers: HashMap::new(), probed: now };
        let mut room = self.rooms.entry(model.to_owned()).or_insert_with(fresh);
        change(&mut room, random)
    }

    /// Some time has passed without a sign of room: one asks again, whoever's time it is that has passed.
    fn probe(&self, model: &str) {
        let now = self.clock.now();
        let due = self.rooms.get_mut(model).is_some_and(|mut room| {
            let due = now.saturating_sub(room.probed) >= PROBE;
            if due {
                room.probed = now;
            }
            due
        });
        if due {
            self.release(model, 1);
        }
    }

    fn release(&self, model: &str, most: usize) {
        let now = self.clock.now();
        let Some(mut room) = self.rooms.get_mut(model) else { return };
        for id in room.queue.release(now, most) {
            if let Some(word) = room.sleepers.remove(&id) {
                // Whoever does not listen any more leaves by its guard.
                let _ = word.send(Ok(()));
            }
        }
    }
}

impl Room {
    fn tell(&mut self, out: Vec<(Id, queue::TurnedAway)>) {
        for (id, away) in out {
            if let Some(word) = self.sleepers.remove(&id) {
                let _ = word.send(Err(away));
            }
        }
    }
}

impl Place {
    async fn wait(self, mut heard: oneshot::Receiver<Word>) -> Result<Turn, TurnedAway> {
        let word = loop {
            let left = self.deadline.saturating_sub(self.inner.clock.now());
            match timeout(left.min(PROBE), &mut heard).await {
                Ok(word) => break word.ok(),
                Err(_) if left > PROBE => self.inner.probe(&self.model),
                Err(_) => {
                    let now = self.inner.clock.now();
                    self.inner.change(&self.model, |room, random| {
                        let late = room.queue.expire(now, random);
                        room.tell(late);
                    });
                    // Some nanoseconds may be left of its time.
                    if now >= self.deadline {
                        break heard.try_recv().ok();
                    }
                }
            }
        };
        match word {
            Some(Ok(())) => Ok(Turn { place: self }),
            Some(Err(away)) => Err(said(&self.model, away, self.hint)),
            None => {
                let reason = format!("the queue of '{}' is gone: try again", self.model);
                Err(TurnedAway { reason, retry_after: Duration::from_secs(1), own: false })
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.inner.clock.now();
        if let Some(mut room) = self.inner.rooms.get_mut(&self.model) {
            room.sleepers.remove(&self.id);
            // Nothing happens if it was turned away before.
            room.queue.leave(now, self.id);
        }
    }
}

impl Turn {
    /// A node took it: perhaps there is room for the next one too.
    pub fn granted(self) {
        let (inner, model) = (Arc::clone(&self.place.inner), self.place.model.clone());
        drop(self);
        inner.release(&model, 1);
    }

    /// Nobody took it: it waits again, in its old place.
    ///
    /// # Errors
    /// Its time is over, or its place was given to another.
    pub async fn again(self) -> Result<Self, TurnedAway> {
        let (word, heard) = oneshot::channel();
        let place = self.place;
        place.inner.change(&place.model, |room, _| {
            if room.queue.back(place.id) {
                room.sleepers.insert(place.id, word);
            }
        });
        place.wait(heard).await
    }
}

/// For the client: never sooner than the node that can take it soonest has said.
fn said(model: &str, away: queue::TurnedAway, hint: Option<Duration>) -> TurnedAway {
    let reason = format!("every node of '{model}' is full, and {}: try again later", away.why);
    TurnedAway { reason, retry_after: away.retry_after.max(hint.unwrap_or_default()), own: away.own }
}
