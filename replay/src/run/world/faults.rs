//! Coordinators that are lost and come back, and nodes that connect to them.

use std::time::Duration;

use super::super::coordinator::Coordinator;
use super::super::schedule::{Heard, What, snapshot};
use super::World;

impl World<'_> {
    /// A node connects: what it says first comes at `late`.
    pub(super) fn connect(&mut self, at: usize, place: usize, late: Duration) {
        let (Some(node), Some(coordinator)) = (self.nodes.get_mut(place), self.coordinators.get(at)) else { return };
        let whole = snapshot(node.cached(), self.setup.bandwidth);
        let report = node.report(late);
        let heard = [Heard::Joined, Heard::Report(report)].into_iter();
        let batches = node.connect(at, late + whole).into_iter().map(Heard::Batch);
        let life = coordinator.life;
        for (place_in, heard) in heard.chain(batches).enumerate() {
            // What is told in pieces is known with the last.
            let at_last = if place_in > 1 { late + whole } else { late };
            self.schedule.plan(at_last, What::Hears { coordinator: at, life, node: place, heard });
        }
    }

    pub(super) fn lose(&mut self, now: Duration, at: usize) {
        let Some(coordinator) = self.coordinators.get_mut(at).filter(|coordinator| coordinator.up) else { return };
        coordinator.up = false;
        let life = coordinator.life;
        self.nodes.iter_mut().for_each(|node| node.lose(at));
        self.schedule.plan(now + self.setup.notice, What::Forgets { coordinator: at, life });
        // Their clients notice later, and ask another one. Those of an earlier life are on their way already.
        let since = now + self.setup.notice;
        for (number, live) in self.live.iter_mut().filter(|(_, live)| live.coordinator == at && live.life == life) {
            live.attempt += 1;
            live.key = None;
            live.place = None;
            self.schedule.plan(since, What::Arrives { request: *number, since });
        }
    }

    pub(super) fn restart(&mut self, now: Duration, at: usize) {
        let Some(life) = self.coordinators.get(at).filter(|it| !it.up).map(|coordinator| coordinator.life + 1) else {
            return;
        };
        let fresh = Coordinator::new(self.setup, &self.nodes, at, life, now);
        if let Some(coordinator) = self.coordinators.get_mut(at) {
            *coordinator = fresh;
        }
        for node in 0..self.nodes.len() {
            let dials = now + self.setup.redial.mul_f64(self.random.draw());
            self.schedule.plan(dials, What::Dials { coordinator: at, life, node });
        }
    }
}
