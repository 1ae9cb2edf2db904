//! The network: connections with ordered streams, datagrams, and what can become of them.
//!
//! Rules, as QUIC has them: what is sent on a stream comes in order and once, or the connection is lost; what the
//! network drops comes later. A way that is cut holds it back. A datagram may be lost, come twice, or late. Who is
//! not heard for [`IDLE`] is gone; one who has forgotten a connection says so as soon as it is spoken to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::events::{Body, Due, Machine, Packet, Stream};
use super::ground::Ground;
use super::plan::{Towards, Way};

/// Silence that ends a connection.
pub const IDLE: Duration = Duration::from_secs(5);
/// Between the shortest and the longest way, in milliseconds, where nothing goes wrong.
const LATENCY: (u64, u64) = (0, 3);

/// What goes wrong between two machines.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// How many faults cut the way up, and the way down.
    cut: [u32; 2],
    /// Of a hundred packets.
    pub lose: Vec<u64>,
    /// How many faults double.
    pub double: u32,
    /// Later by these.
    pub late: Vec<Duration>,
    /// How many faults reorder.
    pub reorder: u32,
    /// Of a hundred batches of cache events.
    pub lose_events: Vec<u64>,
}

/// How something is sent.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// In order.
    On(Stream),
    /// Alone.
    Datagram,
}

/// All ways and connections.
#[derive(Debug, Default)]
pub struct Net {
    trouble: BTreeMap<Way, Trouble>,
    /// When the last packet of a stream arrives.
    fifo: BTreeMap<(u64, usize, Stream), Duration>,
    held: BTreeMap<(Way, usize), Vec<(Stream, Packet)>>,
    /// Which ends still hold a connection: the node's, the coordinator's.
    ends: BTreeMap<u64, [bool; 2]>,
    conns: u64,
    /// When the last packet has arrived that a fault makes late: until then the fault is felt, though it is over.
    pub felt: Duration,
}

/// What chance adds to a packet's way is less.
const LATEST: Duration = Duration::from_secs(1);

/// The way between two machines, and its direction: 0 is up.
fn way(from: Machine, to: Machine) -> (Way, usize) {
    match (from, to) {
        (Machine::Node(node), Machine::Coordinator(coordinator)) => (Way::Node(node, coordinator), 0),
        (Machine::Coordinator(coordinator), Machine::Node(node)) => (Way::Node(node, coordinator), 1),
        (Machine::Coordinator(0), Machine::Coordinator(to)) => (Way::Holder(to), 1),
        (Machine::Coordinator(from), _) => (Way::Holder(from), 0),
        (Machine::Node(node), Machine::Node(_)) => (Way::Node(node, 0), 0),
    }
}

/// Which end of a connection a machine is.
fn side(machine: Machine) -> usize {
    usize::from(matches!(machine, Machine::Coordinator(_)))
}

impl Net {
    /// A new connection, held by its node.
    pub fn dial(&mut self) -> u64 {
        self.conns += 1;
        self.ends.insert(self.conns, [true, false]);
        self.conns
    }

    /// The coordinator holds it too.
    pub fn accept(&mut self, conn: u64) {
        if let Some(ends) = self.ends.get_mut(&conn) {
            ends[1] = true;
        }
    }

    /// Whether a machine holds a connection.
    pub fn holds(&self, machine: Machine, conn: u64) -> bool {
        self.ends.get(&conn).is_some_and(|ends| ends.get(side(machine)).copied().unwrap_or(false))
    }

    /// A machine holds it no more.
    pub fn forget(&mut self, machine: Machine, conn: u64) {
        let Some(ends) = self.ends.get_mut(&conn) else { return };
        if let Some(end) = ends.get_mut(side(machine)) {
            *end = false;
        }
        if *ends == [false, false] {
            self.ends.remove(&conn);
            let gone: Vec<_> = self
                .fifo
                .range((conn, 0, Stream::Control)..(conn + 1, 0, Stream::Control))
                .map(|(key, _)| *key)
                .collect();
            for key in gone {
                self.fifo.remove(&key);
            }
        }
    }

    /// What goes wrong on a way.
    pub fn trouble(&mut self, way: Way) -> &mut Trouble {
        self.trouble.entry(way).or_default()
    }

    /// Whether nothing passes from one machine to the other.
    pub fn is_cut(&self, from: Machine, to: Machine) -> bool {
        let (way, direction) = way(from, to);
        self.trouble.get(&way).and_then(|trouble| trouble.cut.get(direction)).is_some_and(|cut| *cut > 0)
    }

    /// A cut begins, or one ends.
    fn change_cut(&mut self, way: Way, towards: Towards, begins: bool) {
        let [up, down] = &mut self.trouble(way).cut;
        let change = |cut: &mut u32| *cut = if begins { *cut + 1 } else { cut.saturating_sub(1) };
        if towards != Towards::Down {
            change(up);
        }
        if towards != Towards::Up {
            change(down);
        }
    }
}

impl Ground {
    /// Sends something.
    pub fn send(&mut self, packet: Packet, how: How) {
        let (way, direction) = way(packet.from, packet.to);
        let trouble = self.net.trouble(way).clone();
        let cut = trouble.cut.get(direction).is_some_and(|cut| *cut > 0);
        if let Body::Cache(_) = &packet.body
            && let Some(share) = trouble.lose_events.iter().max()
            && self.random.percent(*share)
        {
            if self.random.percent(75) {
                self.tally.lost_events += 1;
                return;
            }
            self.tally.doubled += 1;
            self.pass(packet.clone(), how, &trouble, direction);
        }
        match how {
            How::Datagram if cut => self.tally.lost += 1,
            How::On(stream) if cut => {
                self.tally.held += 1;
                self.net.held.entry((way, direction)).or_default().push((stream, packet));
            }
            _ => self.pass(packet, how, &trouble, direction),
        }
    }

    fn pass(&mut self, packet: Packet, how: How, trouble: &Trouble, direction: usize) {
        let loss = trouble.lose.iter().copied().max().unwrap_or(0);
        let late: Duration = trouble.late.iter().sum();
        if late > Duration::ZERO {
            self.net.felt = self.net.felt.max(self.now + late + LATEST);
        }
        match how {
            How::On(stream) => {
                let mut latency = self.random.millis(LATENCY.0, LATENCY.1) + late;
                if loss > 0 && self.random.percent(loss) {
                    self.tally.held += 1;
                    latency += self.random.millis(30, 600);
                }
                self.arrive(packet, stream, latency, direction);
            }
            How::Datagram => {
                for copy in 0..=u32::from(trouble.double > 0) {
                    if loss > 0 && self.random.percent(loss) {
                        self.tally.lost += 1;
                        continue;
                    }
                    self.tally.doubled += u64::from(copy);
                    let mut latency = self.random.millis(LATENCY.0, LATENCY.1) + late;
                    if trouble.reorder > 0 {
                        self.tally.reordered += 1;
                        latency += self.random.millis(0, 900);
                    }
                    self.at(self.now + latency, Due::Arrives(Box::new(packet.clone())));
                }
            }
        }
    }

    fn arrive(&mut self, packet: Packet, stream: Stream, latency: Duration, direction: usize) {
        let last = self.net.fifo.entry((packet.conn, direction, stream)).or_default();
        let when = (self.now + latency).max(*last + Duration::from_nanos(1));
        *last = when;
        self.at(when, Due::Arrives(Box::new(packet)));
    }

    /// A machine ends a connection. The other end hears of it if it can.
    pub fn close(&mut self, from: Machine, to: Machine, conn: u64) {
        self.net.forget(from, conn);
        self.send(Packet { from, to, conn, body: Body::Closed }, How::Datagram);
    }

    /// A way is cut.
    pub fn cut(&mut self, way: Way, towards: Towards) {
        self.net.change_cut(way, towards, true);
    }

    /// A way is open again: what was held back is sent again.
    pub fn join(&mut self, way: Way, towards: Towards) {
        self.net.change_cut(way, towards, false);
        for direction in 0..2 {
            let open = self.net.trouble(way).cut.get(direction).is_none_or(|cut| *cut == 0);
            if !open {
                continue;
            }
            // Whoever sends again does so in one go.
            let wait = self.random.millis(0, 400);
            for (stream, packet) in self.net.held.remove(&(way, direction)).unwrap_or_default() {
                self.arrive(packet, stream, wait, direction);
            }
        }
    }

    /// Whether one end of a connection hears the other; none if the other says that it has forgotten it.
    pub fn hears(&self, me: Machine, other: Machine, conn: u64) -> Option<bool> {
        let silent = self.net.is_cut(other, me);
        if !self.is_up(other) || silent {
            return Some(false);
        }
        if self.net.holds(other, conn) {
            return Some(true);
        }
        // Spoken to, it says so.
        if self.net.is_cut(me, other) { Some(false) } else { None }
    }
}
