//! A simulated coordinator: what it has heard of the nodes, and the requests in its hands.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::index::{Index, Outcome};
use policy::placement::roster::{Key, Roster, Wish};
use policy::placement::{Choice, Settings};
use policy::queue::{Bounds, Id, Queue};
use policy::restart::Jitter;
use protocol::ids::NodeId;
use protocol::message::WorkerReport;
use protocol::units::Blocks;

use super::schedule::Heard;
use super::{Node, Setup};
use crate::rules::{Chooser, Picked, told};

/// What a coordinator has heard of the nodes.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) index: Index,
    pub(crate) roster: Roster,
    /// By place; none of whom no report came.
    pub(crate) workers: Vec<Option<WorkerReport>>,
    /// Jobs that a node can hold, and blocks it has, by place: as its card says.
    pub(crate) cards: Vec<(u32, Blocks)>,
    /// Nodes of which the cache and a report are known.
    known: usize,
}

/// A coordinator in one of its lives.
#[derive(Debug)]
pub(super) struct Coordinator {
    pub(super) life: u32,
    pub(super) up: bool,
    /// When this life began.
    pub(super) since: Duration,
    pub(super) queue: Queue,
    /// Whose places in the queue these are.
    pub(super) waiting: BTreeMap<Id, usize>,
    pub(super) random: Jitter,
    view: View,
    chooser: Chooser,
    settings: Settings,
    trials: usize,
}

impl Coordinator {
    pub(super) fn new(setup: &Setup, nodes: &[Node], number: usize, life: u32, since: Duration) -> Self {
        let bounds = Bounds::from(&setup.queue);
        let settings = Settings { policy: setup.rule.policy(), ..Settings::from(&setup.placement) };
        Self {
            life,
            up: true,
            since,
            queue: Queue::new(bounds),
            waiting: BTreeMap::new(),
            random: Jitter::new(crate::prompt::mix(setup.seed ^ ((number as u64) << 32) ^ u64::from(life))),
            view: View {
                index: Index::default(),
                roster: Roster::new(&setup.placement),
                workers: vec![None; nodes.len()],
                cards: nodes.iter().map(|node| (node.card().jobs, node.card().blocks)).collect(),
                known: 0,
            },
            chooser: Chooser::new(setup.rule, nodes.len()),
            settings,
            trials: bounds.trials,
        }
    }

    /// Hears of a node. How many operations on blocks that were.
    pub(super) fn hears(&mut self, now: Duration, place: usize, heard: Heard) -> u64 {
        let node = NodeId(place as u64);
        let before = self.view.knows(place);
        let mut operations = 0;
        match heard {
            Heard::Joined => {
                let blocks = self.view.cards.get(place).map_or(Blocks::ZERO, |card| card.1);
                self.view.index.join(node, blocks);
                self.view.roster.serves(node, 1);
            }
            Heard::Report(report) => {
                if let Some(worker) = self.view.workers.get_mut(place) {
                    *worker = Some(report);
                }
                let (jobs, blocks) = self.view.cards.get(place).copied().unwrap_or_default();
                self.view.roster.told(node, 1, 0, Some(told(report, jobs, blocks)));
                self.view.roster.reported(now, node, 1);
            }
            Heard::Batch(batch) => {
                operations = batch.changes.iter().map(protocol::cache::CacheChange::count).sum();
                let outcome = self.view.index.apply(node, &batch);
                debug_assert!(outcome == Outcome::Taken, "{outcome:?} of {place}: nothing is lost here");
            }
        }
        match (before, self.view.knows(place)) {
            (false, true) => self.view.known += 1,
            (true, false) => self.view.known -= 1,
            _ => {}
        }
        operations
    }

    /// Whether it knows all nodes.
    pub(super) fn sees(&self) -> bool {
        self.view.known == self.view.workers.len()
    }

    /// Where a job goes, entered there; none if there is nobody to ask.
    pub(super) fn place(&mut self, now: Duration, wish: &Wish<'_>, nodes: &[Node]) -> Option<(Key, Picked)> {
        let random = &mut self.random;
        let picked = self.chooser.choose(now, wish, &mut self.view, nodes, &self.settings, &mut || random.draw())?;
        let choice = Choice { place: 0, node: picked.node, cached: picked.cached, price: Default::default() };
        let key = self.view.roster.enter(now, wish, &choice)?;
        self.chooser.sent(wish, &picked);
        Some((key, picked))
    }

    pub(super) fn roster(&mut self) -> &mut Roster {
        &mut self.view.roster
    }

    pub(super) fn chooser(&mut self) -> &mut Chooser {
        &mut self.chooser
    }

    /// Whether nobody is in its hands, by all that is counted.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.view.roster.open() == 0 && self.chooser.is_idle() && self.queue.is_empty() && self.waiting.is_empty()
    }

    /// There may be room: who tries again.
    pub(super) fn release(&mut self, now: Duration) -> Vec<usize> {
        if self.queue.is_empty() {
            return Vec::new();
        }
        self.queue.release(now, self.trials).iter().filter_map(|id| self.waiting.get(id).copied()).collect()
    }
}

impl View {
    fn knows(&self, place: usize) -> bool {
        self.workers.get(place).is_some_and(Option::is_some) && self.index.knows(NodeId(place as u64))
    }
}
