//! Where requests wait that no node takes now. See `actors::cluster::waiting`.

use std::time::Duration;

use policy::job::Event;
use policy::queue::{self, Id};
use protocol::answer::{ErrorKind, JobError};
use protocol::job::Class;
use protocol::units::Tokens;

use super::Coordinator;
use crate::chaos::ground::Ground;

/// What is left of a request's time when its waits are over.
const LAST_WORDS: Duration = Duration::from_millis(500);

fn turned_away(away: &queue::TurnedAway, hint: Option<Duration>) -> JobError {
    JobError::new(ErrorKind::Busy, away.why.to_string()).retry_after(away.retry_after.max(hint.unwrap_or_default()))
}

impl Coordinator {
    /// Waits for its turn; or the reason why it does not.
    pub(super) fn wait(
        &mut self,
        ground: &mut Ground,
        ask: u64,
        attempt: u32,
        hint: Option<Duration>,
    ) -> Option<Event> {
        let (now, patience) = (ground.local(self.me), self.settings.patience);
        let running = self.up.as_mut()?;
        let request = running.requests.get_mut(&ask)?;
        if let Some(id) = request.turn.take() {
            // Whoever had its turn and was refused goes back to its old place.
            if !running.queue.back(id) {
                return Some(Event::TurnedAway(JobError::new(ErrorKind::Busy, "its place in the queue is gone")));
            }
            request.place = Some(id);
            running.waiting.insert(id, (ask, attempt));
            return None;
        }
        let waited = now.saturating_sub(*request.waits.get_or_insert(now));
        let left = request.deadline.saturating_sub(now).saturating_sub(LAST_WORDS);
        let begun = !request.generated.is_empty();
        let patience = if begun { left } else { patience.min(left) }.saturating_sub(waited);
        let entry = queue::Entry {
            class: if begun { Class::Interactive } else { request.class },
            tenant: request.subject.key.clone(),
            tokens: Tokens::of(request.job.prompt.len()),
            since: now.saturating_sub(waited),
            deadline: now + patience,
            again: request.again,
        };
        ground.tally.waits += 1;
        match running.queue.push(now, entry, running.random.draw()) {
            Ok((id, out)) => {
                request.place = Some(id);
                running.waiting.insert(id, (ask, attempt));
                self.turn_away(ground, out);
                None
            }
            Err(away) => Some(Event::TurnedAway(turned_away(&away, hint))),
        }
    }

    fn turn_away(&mut self, ground: &mut Ground, out: Vec<(Id, queue::TurnedAway)>) {
        for (id, away) in out {
            let Some(running) = &mut self.up else { return };
            let Some((ask, attempt)) = running.waiting.remove(&id) else { continue };
            if let Some(request) = running.requests.get_mut(&ask) {
                request.place = None;
            }
            self.happens(ground, ask, attempt, Event::TurnedAway(turned_away(&away, None)));
        }
    }

    /// A node has taken a job that had its turn: perhaps there is room for the next one too.
    pub(super) fn turn_granted(&mut self, ground: &mut Ground, ask: u64) {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        let Some(id) = running.requests.get_mut(&ask).and_then(|request| request.turn.take()) else { return };
        running.queue.leave(now, id);
        self.release(ground, 1);
    }

    /// There may be room for so many.
    pub(super) fn release(&mut self, ground: &mut Ground, most: usize) {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        let out = running.queue.release(now, most);
        for id in out {
            let Some(running) = &mut self.up else { return };
            let Some((ask, attempt)) = running.waiting.remove(&id) else { continue };
            if let Some(request) = running.requests.get_mut(&ask) {
                (request.place, request.turn) = (None, Some(id));
            }
            self.happens(ground, ask, attempt, Event::Turn);
        }
    }

    /// It waits no more.
    pub(super) fn leave_queue(&mut self, ground: &mut Ground, ask: u64) {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        let Some(request) = running.requests.get_mut(&ask) else { return };
        for id in [request.turn.take(), request.place.take()].into_iter().flatten() {
            running.waiting.remove(&id);
            running.queue.leave(now, id);
        }
    }

    /// Looks at those that wait: some have waited too long, and one asks again though nobody has said that there is
    /// room.
    pub(super) fn probe(&mut self, ground: &mut Ground) {
        let now = ground.local(self.me);
        let Some(running) = &mut self.up else { return };
        if running.queue.is_empty() {
            return;
        }
        let random = running.random.draw();
        let late = running.queue.expire(now, random);
        let due = now.saturating_sub(running.probed) >= super::SWEEP;
        running.probed = if due { now } else { running.probed };
        self.turn_away(ground, late);
        if due {
            self.release(ground, 1);
        }
    }
}
