//! One try at a node, as its breaker sees it.

use std::sync::Arc;

use policy::breaker::State;
use policy::job::Verdict;
use policy::placement::roster::Key;

use crate::cluster::Clock;
use crate::cluster::directory::roster::Rosters;

/// A permit of a node's breaker. To drop it without a verdict is to say nothing of the node.
#[derive(Debug)]
pub struct Trial {
    rosters: Arc<Rosters>,
    clock: Clock,
    model: String,
    name: String,
    key: Key,
    judged: bool,
}

impl Trial {
    pub(crate) fn new(rosters: Arc<Rosters>, clock: Clock, model: String, name: String, key: Key) -> Self {
        Self { rosters, clock, model, name, key, judged: false }
    }

    /// How it went. `random`, in [0, 1), spreads what opens together.
    pub fn judge(mut self, verdict: Verdict, random: f64) {
        self.judged = true;
        let now = self.clock.now();
        let Some(state) = self.rosters.judge(now, &self.model, &self.key, Some(verdict), random) else { return };
        let (node, model) = (self.name.clone(), self.model.clone());
        tracing::warn!("the breaker of {node} for {model} is {} now", state.as_str().replace('_', " "));
        let open = if state == State::Closed { 0.0 } else { 1.0 };
        metrics::gauge!("troupe_breaker_open", "node" => node, "model" => model).set(open);
        metrics::counter!("troupe_breaker_transitions_total", "to" => state.as_str()).increment(1);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.judged {
            self.rosters.judge(self.clock.now(), &self.model, &self.key, None, 0.0);
        }
    }
}
