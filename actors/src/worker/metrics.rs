//! What a worker counts: made once, by the recorder that is current then, and passed on.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use protocol::engine::Load;

/// One worker's metrics.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    running: Gauge,
    waiting: Gauge,
    blocks_used: Gauge,
    blocks_total: Gauge,
    pub(super) generated: Counter,
    pub(super) prefilled: Counter,
    pub(super) cached: Counter,
    pub(super) preemptions: Counter,
    pub(super) step_seconds: Histogram,
    pub(super) restarts: Counter,
}

impl WorkerMetrics {
    /// Metrics of the worker of `model`, at the current recorder.
    pub fn new(model: &str) -> Self {
        let model = model.to_owned();
        Self {
            running: gauge!("troupe_node_jobs_running", "model" => model.clone()),
            waiting: gauge!("troupe_node_jobs_waiting", "model" => model.clone()),
            blocks_used: gauge!("troupe_node_blocks_used", "model" => model.clone()),
            blocks_total: gauge!("troupe_node_blocks_total", "model" => model.clone()),
            generated: counter!("troupe_node_tokens_generated_total", "model" => model.clone()),
            prefilled: counter!("troupe_node_tokens_prefilled_total", "model" => model.clone()),
            cached: counter!("troupe_node_tokens_cached_total", "model" => model.clone()),
            preemptions: counter!("troupe_node_preemptions_total", "model" => model.clone()),
            step_seconds: histogram!("troupe_node_step_seconds", "model" => model.clone()),
            restarts: counter!("troupe_node_worker_restarts_total", "model" => model),
        }
    }

    /// Metrics that nobody reads.
    pub fn none() -> Self {
        Self {
            running: Gauge::noop(),
            waiting: Gauge::noop(),
            blocks_used: Gauge::noop(),
            blocks_total: Gauge::noop(),
            generated: Counter::noop(),
            prefilled: Counter::noop(),
            cached: Counter::noop(),
            preemptions: Counter::noop(),
            step_seconds: Histogram::noop(),
            restarts: Counter::noop(),
        }
    }

    pub(super) fn carry(&self, load: &Load) {
        self.running.set(f64::from(load.running));
        self.waiting.set(f64::from(load.waiting));
        self.blocks_used.set(load.blocks_used.0 as f64);
        self.blocks_total.set(load.blocks_total.0 as f64);
    }
}
