//! One direction of one connection: what is on its way, and when it arrives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actors::guarded::Guarded;
use actors::watch;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use transport::error::Lost;

use super::{Network, Place};

/// What a packet does where it arrives.
type Arrival = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    /// By when they are due, then in the order in which they were sent. Streams' windows bound it.
    packets: BTreeMap<(Instant, u64), Arrival>,
    sent: u64,
    /// When the last byte has left the sender.
    free: Option<Instant>,
    /// The sender is gone without a word: nothing more leaves.
    dead: bool,
}

/// One direction of one connection.
pub(super) struct Direction {
    network: Arc<Network>,
    from: Place,
    to: Place,
    /// Which start of the sender's machine it belongs to.
    life: u64,
    queue: Guarded<Queue>,
    more: Notify,
}

impl Direction {
    pub(super) fn new(network: &Arc<Network>, from: Place, to: Place) -> Arc<Self> {
        let (life, network, queue) = (network.life(from), Arc::clone(network), Guarded::new(Queue::default()));
        Arc::new(Self { network, from, to, life, queue, more: Notify::new() })
    }

    /// Sends a packet, to arrive after `after`, which is when the stream's last one does. When it is due.
    pub(super) fn send(
        &self,
        bytes: usize,
        after: Option<Instant>,
        arrival: impl FnOnce() + Send + 'static,
    ) -> Instant {
        let (line, now) = (self.network.line(self.from, self.to), Instant::now());
        let jitter = if line.jitter.is_zero() { Duration::ZERO } else { line.jitter.mul_f64(self.network.draw()) };
        let mut queue = self.queue.lock();
        let mut left = now;
        if let Some(bandwidth) = line.bandwidth {
            let takes = Duration::from_secs_f64(bytes as f64 / bandwidth.max(1) as f64);
            left = queue.free.map_or(now, |free| free.max(now)) + takes;
            queue.free = Some(left);
        }
        let due = (left + line.delay + jitter).max(after.unwrap_or(now));
        // What a machine that is gone drops is not said.
        if !queue.dead && self.network.life(self.from) == self.life {
            let number = queue.sent;
            queue.sent += 1;
            queue.packets.insert((due, number), Box::new(arrival));
            self.more.notify_one();
        }
        due
    }

    /// The sender is gone: what has not arrived never will.
    pub(super) fn die(&self) {
        let lost = {
            let mut queue = self.queue.lock();
            queue.dead = true;
            std::mem::take(&mut queue.packets)
        };
        // Outside of the lock: what is dropped may send.
        drop(lost);
        self.more.notify_one();
    }

    /// Delivers until the receiver is gone.
    pub(super) async fn deliver(&self, mut lost: watch::Receiver<Option<Lost>>) {
        let mut changes = self.network.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let passes = self.network.line(self.from, self.to).passes;
            let (next, dead) = {
                let queue = self.queue.lock();
                (queue.packets.keys().next().copied(), queue.dead)
            };
            if dead && next.is_none() {
                return;
            }
            let now = Instant::now();
            if passes && let Some(key) = next.filter(|(due, _)| *due <= now) {
                let arrival = self.queue.lock().packets.remove(&key);
                if let Some(arrival) = arrival {
                    arrival();
                }
                continue;
            }
            let due = async {
                match next {
                    Some((due, _)) if passes => sleep_until(due).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = lost.wait_for(Option::is_some) => return,
                () = due => {}
                () = self.more.notified() => {}
                _ = changes.changed() => {}
            }
        }
    }
}
