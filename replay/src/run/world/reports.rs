//! What nodes report of themselves, and when: in turn, and only while there is something to say.

use std::time::Duration;

use super::super::Node;
use super::super::coordinator::Coordinator;
use super::super::schedule::{Heard, What};
use super::World;

impl World<'_> {
    /// When a node reports first: not all at once.
    pub(super) fn turn_of(&self, node: usize) -> Duration {
        self.setup.report_every.mul_f64(node as f64 / self.nodes.len().max(1) as f64)
    }

    /// A node has something to report: when its turn comes next.
    pub(super) fn stirs(&mut self, now: Duration, place: usize) {
        let Some(planned) = self.reporting.get_mut(place).filter(|planned| !**planned) else { return };
        *planned = true;
        let (first, every) = (self.turn_of(place), self.setup.report_every.as_nanos().max(1));
        let turns = now.checked_sub(first).map_or(0, |since| since.as_nanos() / every + 1);
        let after = u64::try_from(turns * every).map_or(Duration::MAX, Duration::from_nanos);
        self.schedule.plan(first.saturating_add(after), What::Reports(place));
    }

    pub(super) fn reports(&mut self, now: Duration, place: usize) {
        // An idle node stays as it is, so it has nothing to report until work comes.
        let works = self.nodes.get(place).is_some_and(Node::works);
        if works {
            self.schedule.plan(now + self.setup.report_every, What::Reports(place));
        } else if let Some(planned) = self.reporting.get_mut(place) {
            *planned = false;
        }
        let Some(report) = self.nodes.get_mut(place).and_then(|node| node.news(now)) else { return };
        let linked = |at: &(usize, &Coordinator)| self.nodes.get(place).is_some_and(|node| node.linked(at.0));
        for (at, coordinator) in self.coordinators.iter().enumerate().filter(linked) {
            let what =
                What::Hears { coordinator: at, life: coordinator.life, node: place, heard: Heard::Report(report) };
            self.schedule.plan(now + self.setup.delay, what);
        }
    }
}
