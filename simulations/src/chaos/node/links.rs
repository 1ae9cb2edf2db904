//! A node's connections to its coordinators: it dials, reports, tells what it has cached, and dials again.

use std::time::Duration;

use policy::restart::Backoff;
use policy::telling::Telling;
use protocol::cache::{BlockKey, CacheBatch, CacheChange};
use protocol::engine::Engine as _;
use protocol::units::Blocks;

use super::Node;
use crate::chaos::events::{Body, Machine, Packet, Stream, Timer};
use crate::chaos::ground::Ground;
use crate::chaos::net::{How, IDLE};
use crate::chaos::plan::MODEL;

/// How often a node reports.
pub(super) const REPORT: Duration = Duration::from_millis(200);
/// How long a welcome may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node waits before it dials again.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(2) };

/// A link to one coordinator.
#[derive(Debug)]
pub(crate) enum Session {
    /// It waits before it dials, after so many tries in vain.
    Idle {
        /// How often.
        tries: u32,
    },
    /// It waits for a welcome.
    Dialling {
        /// On this connection.
        conn: u64,
        /// Since.
        since: Duration,
        /// How often it has tried before.
        tries: u32,
    },
    /// It serves.
    Up {
        /// On this connection.
        conn: u64,
        /// When it last heard of the other side.
        heard: Duration,
        /// What it tells of its cache.
        telling: Box<Telling>,
    },
}

impl Default for Session {
    fn default() -> Self {
        Self::Idle { tries: 0 }
    }
}

impl Session {
    pub(super) fn conn(&self) -> Option<u64> {
        match self {
            Self::Idle { .. } => None,
            Self::Dialling { conn, .. } | Self::Up { conn, .. } => Some(*conn),
        }
    }

    /// Whether it serves.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }
}

impl Node {
    /// Whether it serves all coordinators.
    pub fn is_connected(&self) -> bool {
        self.up.as_ref().is_some_and(|running| running.sessions.iter().all(Session::is_up))
    }

    /// It dials a coordinator.
    pub fn dial(&mut self, ground: &mut Ground, coordinator: usize) {
        let (me, now) = (self.me, ground.local(self.me));
        let Some(running) = &mut self.up else { return };
        let Some(session) = running.sessions.get_mut(coordinator) else { return };
        let Session::Idle { tries } = *session else { return };
        let conn = ground.net.dial();
        *session = Session::Dialling { conn, since: now, tries };
        let (blocks, jobs) = (Blocks(self.shape.engine.blocks.into()), self.shape.engine.queue);
        let body = Body::Hello(running.incarnation, blocks, jobs);
        ground.send(Packet { from: me, to: Machine::Coordinator(coordinator), conn, body }, How::On(Stream::Control));
    }

    /// A connection is lost: what it brought is not wanted any more.
    pub fn lose(&mut self, ground: &mut Ground, coordinator: usize, conn: u64) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        let Some(session) = running.sessions.get_mut(coordinator).filter(|session| session.conn() == Some(conn)) else {
            return;
        };
        let tries = if let Session::Dialling { tries, .. } = session { *tries + 1 } else { 0 };
        *session = Session::Idle { tries };
        ground.close(me, Machine::Coordinator(coordinator), conn);
        running.inbox.retain(|(_, on, _)| *on != conn);
        running.jobs.values_mut().filter(|held| held.conn == conn).for_each(|held| held.wanted = false);
        let wait = BACKOFF.full_jitter(tries, ground.random.unit());
        ground.timer(me, wait, Timer::Dial(coordinator));
        self.work(ground);
    }

    /// It reports to all, and looks whether they are still heard.
    pub fn tick(&mut self, ground: &mut Ground) {
        let (me, now) = (self.me, ground.local(self.me));
        ground.timer(me, REPORT, Timer::Report);
        let Some(running) = &mut self.up else { return };
        let (mut lost, mut reports) = (Vec::new(), Vec::new());
        for (coordinator, session) in running.sessions.iter_mut().enumerate() {
            let other = Machine::Coordinator(coordinator);
            match session {
                Session::Idle { .. } => {}
                Session::Dialling { conn, since, .. } => {
                    if now.saturating_sub(*since) >= PATIENCE {
                        lost.push((coordinator, *conn));
                    }
                }
                Session::Up { conn, heard, .. } => match ground.hears(me, other, *conn) {
                    // A clock that has jumped has let it fall silent.
                    _ if now.saturating_sub(*heard) >= IDLE => lost.push((coordinator, *conn)),
                    Some(true) => {
                        *heard = now;
                        reports.push((other, *conn));
                    }
                    Some(false) => reports.push((other, *conn)),
                    None => lost.push((coordinator, *conn)),
                },
            }
        }
        for (to, conn) in reports {
            let body = Body::Report(running.report(now));
            ground.send(Packet { from: me, to, conn, body }, How::Datagram);
        }
        lost.into_iter().for_each(|(coordinator, conn)| self.lose(ground, coordinator, conn));
    }

    /// Something comes from a coordinator.
    pub fn hear(&mut self, ground: &mut Ground, packet: Packet) {
        let Machine::Coordinator(coordinator) = packet.from else { return };
        let now = ground.local(self.me);
        if !ground.net.holds(self.me, packet.conn) {
            return;
        }
        match packet.body {
            Body::Welcome => {
                let Some(running) = &mut self.up else { return };
                let Some(session) = running.sessions.get_mut(coordinator) else { return };
                if session.conn() == Some(packet.conn) && !session.is_up() {
                    let telling = Box::new(Telling::new(MODEL));
                    *session = Session::Up { conn: packet.conn, heard: now, telling };
                    self.tell_all(ground, coordinator);
                }
            }
            Body::Closed => self.lose(ground, coordinator, packet.conn),
            Body::Resync => self.tell_all(ground, coordinator),
            Body::Submit(submit) => self.submit(ground, coordinator, packet.conn, *submit),
            Body::Cancel(key) => self.cancel(ground, key),
            _ => {}
        }
    }

    /// Tells all that is cached.
    fn tell_all(&mut self, ground: &mut Ground, coordinator: usize) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        let all: Vec<BlockKey> = running.mirror.iter().copied().collect();
        if let Some(Session::Up { conn, telling, .. }) = running.sessions.get_mut(coordinator) {
            let (conn, batches) = (*conn, telling.all(&all));
            send_all(ground, me, coordinator, conn, batches);
        }
    }

    /// Tells all coordinators what has changed.
    pub(super) fn tell(&mut self, ground: &mut Ground, changes: &[CacheChange]) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        if changes.is_empty() {
            return;
        }
        for (coordinator, session) in running.sessions.iter_mut().enumerate() {
            if let Session::Up { conn, telling, .. } = session {
                let batches = telling.changes(changes);
                send_all(ground, me, coordinator, *conn, batches);
            }
        }
    }

    /// Whether its engine has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.up.as_ref().is_some_and(|running| {
            running.jobs() == 0 && running.engine.as_ref().is_some_and(|engine| engine.load().is_idle())
        })
    }
}

fn send_all(ground: &mut Ground, me: Machine, coordinator: usize, conn: u64, batches: Vec<CacheBatch>) {
    for batch in batches {
        let packet = Packet { from: me, to: Machine::Coordinator(coordinator), conn, body: Body::Cache(batch) };
        ground.send(packet, How::On(Stream::Events));
    }
}
