//! A coordinator's nodes: who is connected, how they are, what they have cached. See `actors::cluster::directory`,
//! `link`, `events` and `index`.

use std::time::Duration;

use policy::health::{Health, Verdict};
use policy::index::Outcome;
use policy::placement::roster::{Kind, Told, View};
use protocol::cache::CacheBatch;
use protocol::ids::{Incarnation, NodeId};
use protocol::message::{Report, WorkerReport};
use protocol::units::Blocks;

use super::{Coordinator, SWEEP};
use crate::chaos::events::{Body, Machine, Packet, Stream, Timer};
use crate::chaos::ground::Ground;
use crate::chaos::net::{How, IDLE};
use crate::chaos::node;

/// How often nodes report.
const REPORT: Duration = Duration::from_millis(200);

/// A node that is connected.
#[derive(Debug)]
pub struct Entry {
    /// Its machine.
    pub machine: Machine,
    /// By which connection.
    pub conn: u64,
    /// Which link that is here.
    pub link: u64,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// How it is.
    pub health: Health,
    /// As it last reported.
    pub worker: WorkerReport,
    /// Jobs that it can hold.
    pub jobs: u32,
    /// Blocks that it has.
    pub blocks: Blocks,
    /// Whether it was suspect when it was last looked at.
    pub suspect: bool,
    /// When it was last heard, by the connection.
    heard: Duration,
}

impl Coordinator {
    /// Something comes.
    pub fn hear(&mut self, ground: &mut Ground, packet: Packet) {
        let number = match packet.from {
            Machine::Node(number) => number,
            Machine::Coordinator(number) => return self.hear_coordinator(ground, number, packet.body),
        };
        let node = node::id(number);
        if let Body::Hello(incarnation, blocks, jobs) = packet.body {
            return self.join(ground, (packet.from, node), packet.conn, (incarnation, blocks, jobs));
        }
        if !ground.net.holds(self.me, packet.conn) {
            return;
        }
        match packet.body {
            Body::Closed => self.part(ground, node, packet.conn, "the connection was closed"),
            Body::Report(report) => self.report(ground, node, packet.conn, report),
            Body::Cache(batch) => self.cache(ground, node, packet.conn, &batch),
            Body::Said(key, said) => self.said(ground, packet.conn, key, said),
            _ => {}
        }
    }

    /// Takes a node in. An older connection of it is closed.
    fn join(
        &mut self,
        ground: &mut Ground,
        (machine, node): (Machine, NodeId),
        conn: u64,
        (incarnation, blocks, jobs): (Incarnation, Blocks, u32),
    ) {
        let (me, now) = (self.me, ground.local(self.me));
        let Some(running) = &mut self.up else { return };
        if !ground.net.holds(machine, conn) {
            // Whoever dialled has given up.
            return;
        }
        ground.net.accept(conn);
        if running.entries.get(&node).is_some_and(|old| old.incarnation > incarnation) {
            return ground.close(me, machine, conn);
        }
        running.links += 1;
        let link = running.links;
        let health = Health::new(now, REPORT);
        let worker = WorkerReport::default();
        let entry =
            Entry { machine, conn, link, incarnation, health, worker, jobs, blocks, suspect: false, heard: now };
        let old = running.entries.insert(node, entry);
        running.roster.serves(node, link);
        running.index.join(node, blocks);
        ground.send(Packet { from: me, to: machine, conn, body: Body::Welcome }, How::On(Stream::Control));
        if let Some(old) = old {
            ground.close(me, machine, old.conn);
            self.lose_attempts(ground, node, Some(old.conn), "the node has connected again");
        }
    }

    /// A connection is gone, and its node with it.
    fn part(&mut self, ground: &mut Ground, node: NodeId, conn: u64, why: &str) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        let Some(entry) = running.entries.get(&node) else { return };
        let (machine, link) = (entry.machine, entry.link);
        if entry.conn != conn {
            return ground.net.forget(me, conn);
        }
        running.entries.remove(&node);
        running.roster.leaves(node, link);
        running.index.leave(node);
        ground.close(me, machine, conn);
        self.lose_attempts(ground, node, Some(conn), why);
    }

    fn report(&mut self, ground: &mut Ground, node: NodeId, conn: u64, report: Report) {
        let (now, rules) = (ground.local(self.me), self.settings.health);
        let Some(running) = &mut self.up else { return };
        let Some(entry) = running.entries.get_mut(&node).filter(|entry| entry.conn == conn) else { return };
        if entry.health.on_report(now, &report) {
            entry.worker = report.workers.first().copied().unwrap_or_default();
            let view = View { worker: entry.worker, jobs: entry.jobs, blocks: entry.blocks };
            let until = entry.health.until(&rules).filter(|_| entry.worker.ready);
            let told = until.map(|until| Told { view, until, kind: Kind::default() });
            running.roster.told(node, entry.link, report.sequence, told);
            running.roster.reported(now, node, entry.link);
        } else {
            ground.tally.stale += 1;
        }
    }

    fn cache(&mut self, ground: &mut Ground, node: NodeId, conn: u64, batch: &CacheBatch) {
        let me = self.me;
        let Some(running) = &mut self.up else { return };
        let Some(entry) = running.entries.get(&node).filter(|entry| entry.conn == conn) else { return };
        if let Outcome::Resync(reason) = running.index.apply(node, batch) {
            ground.tally.resyncs += 1;
            ground.note(|| format!("{me} asks {node} to tell all anew: {}", reason.as_str()));
            let packet = Packet { from: me, to: entry.machine, conn, body: Body::Resync };
            ground.send(packet, How::On(Stream::Events));
        }
    }

    /// Looks at every node's health and connection, and at those that wait.
    pub(super) fn sweep(&mut self, ground: &mut Ground) {
        let (me, now, rules) = (self.me, ground.local(self.me), self.settings.health);
        ground.timer(me, SWEEP, Timer::Sweep);
        let Some(running) = &mut self.up else { return };
        let (mut suspects, mut gone) = (Vec::new(), Vec::new());
        for (node, entry) in &mut running.entries {
            let verdict = entry.health.verdict(now, &rules);
            let suspect = verdict != Verdict::Trusted;
            if std::mem::replace(&mut entry.suspect, suspect) != suspect {
                ground.note(|| format!("{me} finds {node} {verdict:?}"));
                ground.tally.suspects += u64::from(suspect);
            }
            if suspect {
                suspects.push(*node);
            }
            match ground.hears(me, entry.machine, entry.conn) {
                // A clock that has jumped has let it fall silent.
                _ if now.saturating_sub(entry.heard) >= IDLE => gone.push((*node, entry.conn)),
                Some(true) => entry.heard = now,
                Some(false) => {}
                None => gone.push((*node, entry.conn)),
            }
        }
        suspects.into_iter().for_each(|node| self.lose_attempts(ground, node, None, "the node is suspect"));
        gone.into_iter().for_each(|(node, conn)| self.part(ground, node, conn, "the connection was lost"));
        self.probe(ground);
    }
}
