//! One end of a simulated connection, and the keeper that ends both as QUIC would.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actors::watch;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use transport::BoxFuture;
use transport::connection::{Connection, Peer};
use transport::error::{Code, Lost};
use transport::frames::Duplex;

use super::line::Direction;
use super::stream::{gone, pipe};
use super::{IDLE, KEEP_ALIVE, Network, Place, is_up};

/// Streams that are on their way or wait to be accepted; one more waits to be opened.
const STREAMS: usize = 64;

/// A stream that was opened, with its place among those that wait.
type Opened = (Duplex, OwnedSemaphorePermit);

/// One end, as both know it.
struct Side {
    place: Place,
    /// Which start of its machine.
    life: u64,
    /// Why it is gone.
    lost: Arc<watch::Sender<Option<Lost>>>,
    /// From it to the other.
    out: Arc<Direction>,
    opened: mpsc::Sender<Opened>,
    room: Arc<Semaphore>,
}

struct Core {
    network: Arc<Network>,
    sides: [Side; 2],
    breaks: u64,
}

/// One end of a connection over lines with faults.
pub struct SimulatedConnection {
    core: Arc<Core>,
    /// Which of the two sides it is.
    second: bool,
    peer: Peer,
    incoming: Mutex<mpsc::Receiver<Opened>>,
}

impl SimulatedConnection {
    /// Two ends; each sees the peer that is given for it.
    pub(super) fn pair(
        network: &Arc<Network>,
        [near, far]: [Place; 2],
        [first, second]: [Peer; 2],
    ) -> [Arc<dyn Connection>; 2] {
        let side = |place: Place, other: Place| {
            let (opened, incoming) = mpsc::channel(STREAMS);
            let (life, lost) = (network.life(place), Arc::new(watch::Sender::new(None)));
            let (out, room) = (Direction::new(network, place, other), Arc::new(Semaphore::new(STREAMS)));
            (Side { place, life, lost, out, opened, room }, Mutex::new(incoming))
        };
        let ((here, to_here), (there, to_there)) = (side(near, far), side(far, near));
        let breaks = network.breaks(near, far);
        let core = Arc::new(Core { network: Arc::clone(network), sides: [here, there], breaks });
        let [here, there] = &core.sides;
        for (from, to) in [(here, there), (there, here)] {
            let (direction, lost) = (Arc::clone(&from.out), to.lost.subscribe());
            tokio::spawn(async move { direction.deliver(lost).await });
        }
        let kept = Arc::clone(&core);
        tokio::spawn(async move { kept.keep().await });
        let end = |second, peer, incoming| -> Arc<dyn Connection> {
            Arc::new(Self { core: Arc::clone(&core), second, peer, incoming })
        };
        [end(false, first, to_here), end(true, second, to_there)]
    }

    /// This side and the other.
    fn sides(&self) -> (&Side, &Side) {
        let [first, second] = &self.core.sides;
        if self.second { (second, first) } else { (first, second) }
    }
}

impl Side {
    /// The first reason counts. Without a word, nothing that was on its way arrives.
    fn lose(&self, lost: Lost, silently: bool) {
        let first = self.lost.send_if_modified(|state| {
            let first = state.is_none();
            if first {
                *state = Some(lost);
            }
            first
        });
        if first && silently {
            self.out.die();
        }
    }

    fn alive(&self) -> bool {
        self.lost.borrow().is_none()
    }
}

/// What a side waits for.
#[derive(Default)]
struct Patience {
    /// Since when it hears nothing.
    quiet: Option<Instant>,
    /// When it is told that it is forgotten.
    told: Option<Instant>,
}

impl Core {
    /// Ends the sides as time and faults want it, until both are over.
    async fn keep(&self) {
        let mut changes = self.network.changes.subscribe();
        let [first, second] = &self.sides;
        let mut ends = [first.lost.subscribe(), second.lost.subscribe()];
        let mut patience = <[Patience; 2]>::default();
        loop {
            changes.mark_unchanged();
            ends.iter_mut().for_each(watch::Receiver::mark_unchanged);
            self.see_machines();
            let [near, far] = &mut patience;
            let due = [self.see(first, second, near), self.see(second, first, far)].into_iter().flatten().min();
            if !first.alive() && !second.alive() {
                return;
            }
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let [near, far] = &mut ends;
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                _ = near.changed() => {}
                _ = far.changed() => {}
                () = wait => {}
            }
        }
    }

    /// A machine that is gone takes its end with it; one that breaks connections takes both.
    fn see_machines(&self) {
        let [first, second] = &self.sides;
        for side in &self.sides {
            if self.network.life(side.place) != side.life {
                side.lose(Lost::Here, true);
            }
        }
        if self.network.breaks(first.place, second.place) != self.breaks {
            first.lose(Lost::Silent, true);
            second.lose(Lost::Silent, true);
        }
    }

    /// Whether a side must end now; if not, when to look again.
    fn see(&self, side: &Side, other: &Side, patience: &mut Patience) -> Option<Instant> {
        if !side.alive() {
            return None;
        }
        let now = Instant::now();
        let (there, here) = (self.network.line(side.place, other.place), self.network.line(other.place, side.place));
        let forgotten = !other.alive() && is_up(self.network.life(other.place)) && there.passes && here.passes;
        if forgotten {
            let told = *patience.told.get_or_insert_with(|| {
                let next: Duration = KEEP_ALIVE.mul_f64(self.network.draw());
                now + there.delay + here.delay + there.jitter + here.jitter + next
            });
            if told <= now {
                side.lose(Lost::Forgotten, true);
                return None;
            }
        } else {
            patience.told = None;
        }
        if here.passes && other.alive() {
            patience.quiet = None;
            return patience.told;
        }
        let over = *patience.quiet.get_or_insert(now) + IDLE;
        if over <= now {
            side.lose(Lost::Silent, true);
            return None;
        }
        Some(patience.told.map_or(over, |told| told.min(over)))
    }
}

impl Connection for SimulatedConnection {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async {
            let (ours, theirs) = self.sides();
            let permit = tokio::select! {
                biased;
                lost = gone(ours.lost.subscribe()) => return Err(lost),
                permit = Arc::clone(&theirs.room).acquire_owned() => permit.map_err(|_| Lost::Here)?,
            };
            let (hand, mut handed) = oneshot::channel();
            let opened = theirs.opened.clone();
            let at = ours.out.send(1, None, move || {
                if let Ok(stream) = handed.try_recv() {
                    // The permit is its place.
                    drop(opened.try_send((stream, permit)));
                }
            });
            let (writer, their_reader) = pipe((&ours.out, &theirs.out), (&ours.lost, &theirs.lost), Some(at));
            let (their_writer, our_reader) = pipe((&theirs.out, &ours.out), (&theirs.lost, &ours.lost), None);
            // Nobody takes it if the other end is gone; the streams then say so.
            drop(hand.send((their_writer, their_reader)));
            Ok((writer, our_reader))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async {
            let mut incoming = self.incoming.lock().await;
            tokio::select! {
                biased;
                lost = gone(self.sides().0.lost.subscribe()) => Err(lost),
                stream = incoming.recv() => stream.map(|(stream, _place)| stream).ok_or(Lost::Here),
            }
        })
    }

    fn close(&self, code: Code, reason: &str) {
        let (ours, theirs) = self.sides();
        if ours.alive() {
            let (peer, reason) = (Arc::clone(&theirs.lost), reason.to_owned());
            ours.out.send(1, None, move || {
                peer.send_if_modified(|state| {
                    let first = state.is_none();
                    if first {
                        *state = Some(Lost::Closed { code, reason });
                    }
                    first
                });
            });
            ours.lose(Lost::Here, false);
        }
    }

    fn closed(&self) -> BoxFuture<'static, Lost> {
        Box::pin(gone(self.sides().0.lost.subscribe()))
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for SimulatedConnection {
    /// As QUIC does when the last handle goes.
    fn drop(&mut self) {
        self.close(Code::Done, "");
    }
}

impl fmt::Debug for SimulatedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedConnection").field("peer", &self.peer).finish_non_exhaustive()
    }
}
