//! The directory as the wish to load a model sees it.

use policy::health::Verdict;
use policy::loading::Host;
use protocol::message::WorkerReport;
use protocol::units::Tokens;

use super::Directory;

impl Directory {
    /// Whether some node has the model in its settings.
    pub fn could_serve(&self, model: &str) -> bool {
        self.nodes.iter().any(|entry| entry.places.iter().any(|place| place.model == model))
    }

    /// All nodes, with what they could serve.
    pub fn hosts(&self) -> Vec<Host> {
        let now = self.clock.now();
        let rests = |worker: &WorkerReport| {
            let load = &worker.load;
            load.running == 0 && load.waiting == 0 && load.prefill == Tokens::ZERO
        };
        let host = |entry: dashmap::mapref::multiple::RefMulti<'_, _, super::Entry>| {
            let trusted = !entry.draining && entry.health.verdict(now, &self.rules) == Verdict::Trusted;
            Host {
                node: entry.hello.node,
                free: trusted && entry.workers.iter().all(rests),
                loaded: entry.hello.cards.len(),
                places: entry.places.clone(),
            }
        };
        self.nodes.iter().map(host).collect()
    }
}
