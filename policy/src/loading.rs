//! When the cluster loads a model on one more node by its own wish.
//!
//! Rules: a model whose requests have waited too long, for a while on end, gets one node more; then it is looked again.
//! Only a node is asked that has the model in its settings, has been without any work for a while, and is not loading
//! anything. One that could not load the model is not asked for it again: that takes an operator. A model that is on its
//! way somewhere is not asked for elsewhere. All coordinators choose alike, so that two of them do not load two.
//! Nothing is unloaded here: what an idle model costs, only its owner knows.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::ids::NodeId;
use protocol::serving::{LoadState, ModelPlace};

/// When a node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Requests that wait so long are too much.
    pub delay: Duration,
    /// How long it must be too much.
    pub after: Duration,
    /// How long a node must have been without work.
    pub idle: Duration,
    /// How long a node that was asked may need to say that it is about it.
    pub patience: Duration,
}

impl From<&protocol::config::Loading> for Rules {
    fn from(loading: &protocol::config::Loading) -> Self {
        let (delay, after, idle) = (loading.delay.0, loading.after.0, loading.idle.0);
        Self { delay, after, idle, patience: loading.patience.0 }
    }
}

/// A node, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub node: NodeId,
    /// Whether it is trusted, takes work, and has none.
    pub free: bool,
    /// Models that it serves.
    pub loaded: usize,
    /// What it could serve.
    pub places: Vec<ModelPlace>,
}

impl Host {
    fn state(&self, model: &str) -> Option<&LoadState> {
        self.places.iter().find(|place| place.model == model).map(|place| &place.state)
    }

    fn is_loading(&self) -> bool {
        self.places.iter().any(|place| matches!(place.state, LoadState::Loading { .. } | LoadState::Unloading))
    }
}

/// A node shall load a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which node.
    pub node: NodeId,
    /// Which model.
    pub model: String,
}

/// What has been so for how long.
#[derive(Clone, Debug, Default)]
pub struct Loading {
    /// Since when requests for a model have waited too long.
    pressed: BTreeMap<String, Duration>,
    /// Since when a node has been without work.
    free: BTreeMap<NodeId, Duration>,
    /// Until when what was asked for is taken to be on its way.
    asked: BTreeMap<String, Duration>,
}

impl Loading {
    /// Looks at all models, each with how long its requests wait, and all nodes. At most one wish at a time.
    pub fn observe(
        &mut self,
        now: Duration,
        delays: &[(String, Duration)],
        hosts: &[Host],
        rules: &Rules,
    ) -> Option<Wanted> {
        let over: Vec<&String> =
            delays.iter().filter(|(_, delay)| *delay >= rules.delay).map(|(name, _)| name).collect();
        self.pressed.retain(|model, _| over.contains(&model));
        for model in over {
            self.pressed.entry(model.clone()).or_insert(now);
        }
        let free: Vec<NodeId> = hosts.iter().filter(|host| host.free).map(|host| host.node).collect();
        self.free.retain(|node, _| free.contains(node));
        for node in free {
            self.free.entry(node).or_insert(now);
        }
        self.asked.retain(|_, until| *until > now);
        let wanted = self.pressed.iter().find_map(|(model, since)| {
            let due = now.saturating_sub(*since) >= rules.after && !self.asked.contains_key(model);
            let comes = |host: &Host| matches!(host.state(model), Some(LoadState::Loading { .. }));
            if !due || hosts.iter().any(comes) {
                return None;
            }
            let can = hosts.iter().filter(|host| host.state(model) == Some(&LoadState::Idle) && !host.is_loading());
            let rested =
                |host: &&Host| self.free.get(&host.node).is_some_and(|since| now.saturating_sub(*since) >= rules.idle);
            let host = can.filter(rested).min_by_key(|host| (host.loaded, host.node))?;
            Some(Wanted { node: host.node, model: model.clone() })
        })?;
        self.asked.insert(wanted.model.clone(), now + rules.patience);
        // With a node more, it must be too much anew.
        self.pressed.remove(&wanted.model);
        Some(wanted)
    }
}

#[cfg(test)]
mod tests;
