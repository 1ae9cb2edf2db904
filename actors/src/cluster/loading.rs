//! The cluster's own wish to load a model on one more node: the shell around [`policy::loading`].
//!
//! Rule: a wish is an order as an operator's is, and the node does with it what it does with those.

use policy::loading::{Loading, Rules, Wanted};
use protocol::message::OrderAction;
use tokio::sync::Mutex;

use super::Clock;
use super::directory::Directory;
use super::waiting::Waiting;

/// Wishes of one coordinator.
#[derive(Debug)]
pub struct Wishing {
    clock: Clock,
    rules: Option<Rules>,
    loading: Mutex<Loading>,
}

impl Wishing {
    /// By these rules; without any it wishes nothing.
    pub fn new(rules: Option<Rules>) -> Self {
        Self { clock: Clock::start(), rules, loading: Mutex::default() }
    }

    /// Looks at all models and nodes. To be called several times a second.
    pub fn tick(&self, directory: &Directory, waiting: &Waiting) {
        let Some(rules) = &self.rules else { return };
        // Nobody else holds it, but for a tick that overlaps; the next one is soon enough.
        let Ok(mut loading) = self.loading.try_lock() else { return };
        let delays: Vec<_> = directory
            .models()
            .into_iter()
            .map(|card| {
                let delay = waiting.jam(&card.model).oldest.max(directory.pressure(&card.model).oldest);
                (card.model, delay)
            })
            .collect();
        let wanted = loading.observe(self.clock.now(), &delays, &directory.hosts(), rules);
        let Some(Wanted { node, model }) = wanted else { return };
        let labels = [("model", model.clone())];
        match directory.order(&node.to_string(), OrderAction::Load { model: model.clone() }) {
            Ok(name) => {
                metrics::counter!("troupe_models_asked_total", &labels).increment(1);
                tracing::info!("requests for {model} wait: {name}, which is idle, is asked to load it");
            }
            Err(error) => tracing::warn!("requests for {model} wait, and no node can be asked to load it: {error}"),
        }
    }
}
