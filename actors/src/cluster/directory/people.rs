//! The directory as people see it: states, counts and status.

use protocol::answer::{ClusterStatus, ModelStatus, NodeState, NodeStatus};
use protocol::engine::Card;
use protocol::message::WorkerReport;
use protocol::tree::TreeLine;

use super::{Directory, Entry};

impl Directory {
    /// Sets the gauges of nodes by state, and looks whether all that counts as sent to them has an owner.
    pub fn measure(&self) {
        self.rosters.check_owners();
        let now = self.clock.now();
        let states: Vec<NodeState> = self.nodes.iter().map(|entry| self.state(&entry, now)).collect();
        for (state, name) in [
            (NodeState::Ready, "ready"),
            (NodeState::Starting, "starting"),
            (NodeState::Idle, "idle"),
            (NodeState::Suspect, "suspect"),
            (NodeState::Draining, "draining"),
        ] {
            let count = states.iter().filter(|found| **found == state).count();
            metrics::gauge!("troupe_nodes", "state" => name).set(count as f64);
        }
    }

    /// The cluster, for people.
    pub fn status(&self, cluster: &str, requests: u64, mut tree: Vec<TreeLine>) -> ClusterStatus {
        let now = self.clock.now();
        let mut nodes: Vec<NodeStatus> = self.nodes.iter().map(|entry| self.node_status(&entry, now)).collect();
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        // What comes and goes under the hub is known without asking it.
        tree.push(TreeLine::running(0, "hub"));
        tree.extend(nodes.iter().map(|node| TreeLine::running(1, format!("link to {}", node.name))));
        if requests > 0 {
            tree.push(TreeLine::running(1, format!("requests: {requests}")));
        }
        ClusterStatus { cluster: cluster.to_owned(), nodes, requests, tree }
    }

    fn node_status(&self, entry: &Entry, now: std::time::Duration) -> NodeStatus {
        let model = |(card, worker): (&Card, &WorkerReport)| ModelStatus {
            model: card.model.clone(),
            dtype: card.dtype.clone(),
            device: card.device.clone(),
            context: card.context,
            running: worker.load.running,
            waiting: worker.load.waiting,
            prefill: worker.load.prefill,
            blocks_used: worker.load.blocks_used,
            blocks_total: card.blocks,
            steps: worker.load.step,
        };
        NodeStatus {
            id: entry.hello.node.to_string(),
            name: entry.hello.name.clone(),
            state: self.state(entry, now),
            build: entry.hello.build.clone(),
            address: entry.connection.peer().address.clone(),
            models: entry.hello.cards.iter().zip(&entry.workers).map(model).collect(),
            silent: entry.health.silent(now),
            tree: entry.tree.clone(),
            places: entry.places.clone(),
        }
    }
}
