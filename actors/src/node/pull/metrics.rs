//! What is counted of blocks that go from node to node.

use metrics::{Counter, counter};
use protocol::units::Blocks;

use super::Pulled;

/// Made once, by the recorder that is current then.
#[derive(Clone, Debug)]
pub(super) struct PullMetrics {
    whole: Counter,
    cut: Counter,
    fetched: Counter,
    handed_out: Counter,
}

impl PullMetrics {
    pub(super) fn new() -> Self {
        Self {
            whole: counter!("troupe_node_pulls_total", "outcome" => "whole"),
            cut: counter!("troupe_node_pulls_total", "outcome" => "cut"),
            fetched: counter!("troupe_node_blocks_fetched_total"),
            handed_out: counter!("troupe_node_blocks_handed_out_total"),
        }
    }

    pub(super) fn came(&self, outcome: &Pulled) {
        match outcome {
            Pulled::Computed => {}
            Pulled::Blocks(blocks) => {
                self.whole.increment(1);
                self.fetched.increment(blocks.0);
            }
            Pulled::Failed { taken, .. } => {
                self.cut.increment(1);
                self.fetched.increment(taken.0);
            }
        }
    }

    pub(super) fn went(&self, blocks: Blocks) {
        self.handed_out.increment(blocks.0);
    }
}
