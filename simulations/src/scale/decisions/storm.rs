//! Events and requests that come whether or not anybody is ready for them, on one core.

use std::time::Duration;

use policy::index::{Index, Outcome};

use super::super::fleet::{Event, Fleet};
use super::desk::{Asked, Desk};
use super::{Clock, Taken};

/// From one request to the next: two thousand a second.
const GAP: Duration = Duration::from_micros(500);

/// What came of a time with events.
pub(super) struct Storm {
    /// How long each placement took,
    pub(super) placements: Vec<Duration>,
    /// and from when its request came.
    pub(super) waited: Vec<Duration>,
    /// From when each event came until it was applied.
    pub(super) events: Vec<Duration>,
    pub(super) taken: Taken,
}

/// What the index took in and what it did not.
#[derive(Default)]
struct Count {
    applied: u64,
    refused: u64,
}

impl Count {
    fn apply(&mut self, index: &mut Index, desk: &mut Desk, event: &Event) {
        match index.apply(event.node, &event.batch) {
            Outcome::Taken => {
                self.applied += event.operations();
                desk.came(event.came);
            }
            Outcome::Ignored | Outcome::Resync(_) => self.refused += event.operations(),
        }
    }

    fn taken(self, took: Duration) -> Taken {
        let Self { applied, refused } = self;
        let rate = applied as f64 / took.as_secs_f64().max(1e-9);
        Taken { came: applied + refused, applied, refused, took: took.as_secs_f64() * 1e3, rate }
    }
}

/// Events come at a rate, and requests beside them; what came first is done first. An event comes when the last of its
/// operations does.
pub(super) fn open_loop(
    fleet: &Fleet,
    desk: &mut Desk,
    index: &mut Index,
    events: &[Event],
    rate: u64,
    clock: &mut Clock<'_>,
) -> Storm {
    let (mut placements, mut waited, mut latencies) = (Vec::new(), Vec::new(), Vec::with_capacity(events.len()));
    let (mut count, mut came, mut request) = (Count::default(), 0, GAP);
    let begun = clock();
    for event in events {
        came += event.operations();
        let due = Duration::from_secs_f64(came as f64 / rate.max(1) as f64);
        while request <= due {
            while clock().saturating_sub(begun) < request {}
            placements.push(desk.place(fleet, index, Asked::Mixed, clock).1);
            waited.push(clock().saturating_sub(begun + request));
            request += GAP;
        }
        while clock().saturating_sub(begun) < due {}
        count.apply(index, desk, event);
        latencies.push(clock().saturating_sub(begun + due));
    }
    let taken = count.taken(clock().saturating_sub(begun));
    Storm { placements, waited, events: latencies, taken }
}

/// All events are there at once, as after a stall; requests go on and are done between two of them. And how many were.
pub(super) fn backlog(
    fleet: &Fleet,
    desk: &mut Desk,
    index: &mut Index,
    events: &[Event],
    clock: &mut Clock<'_>,
) -> (Taken, usize) {
    let (mut count, mut placements, mut request) = (Count::default(), 0, GAP);
    let begun = clock();
    for event in events {
        while clock().saturating_sub(begun) >= request {
            desk.place(fleet, index, Asked::Mixed, clock);
            placements += 1;
            request += GAP;
        }
        count.apply(index, desk, event);
    }
    (count.taken(clock().saturating_sub(begun)), placements)
}
