//! How hit rate and tail grow: the same load for each node, on more nodes, with more coordinators that hear later.

use std::time::Duration;

use protocol::units::{Span, Tokens};
use replay::profile::Profile;
use replay::trace::synthetic::{Kind, Plan, PlanError};
use replay::trace::{Lengths, Trace};
use replay::{Rule, Setup, SetupError, simulate};
use serde::Serialize;

/// One cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Nodes.
    pub nodes: u32,
    /// Coordinators, between which requests are divided.
    pub coordinators: u32,
    /// How late each hears what nodes say.
    pub delay: Duration,
}

/// The load, for each node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests in all.
    pub requests: u32,
    /// Requests a second.
    pub rate: f64,
    /// For the requests and all chance.
    pub seed: u64,
}

/// What came of it, in virtual time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Nodes.
    pub nodes: u32,
    /// Coordinators.
    pub coordinators: u32,
    /// How late each heard.
    pub delay: Span,
    /// Requests that came.
    pub requests: usize,
    /// Requests that nobody took in time.
    pub refused: u64,
    /// Prompt tokens that were cached, as a share.
    pub hits: f64,
    /// Prompt tokens that were believed to be cached when a node was chosen, as a share.
    pub predicted: f64,
    /// Seconds to the first token, of half of the requests.
    pub ttft_p50: f64,
    /// Of 99 in 100.
    pub ttft_p99: f64,
    /// Standard deviation of the nodes' busy time over its mean.
    pub imbalance: f64,
    /// Nodes asked for a request, in the mean.
    pub asked: f64,
    /// Operations on blocks that all coordinators heard of.
    pub operations: u64,
}

/// Why there is no row.
#[derive(Debug, thiserror::Error)]
pub enum ScaleError {
    /// The load makes no trace.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The cluster cannot be.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Conversations whose number grows with the nodes; of the system prompts there are four for every ten nodes.
///
/// # Errors
/// The load makes no trace.
pub fn trace(nodes: u32, load: &Load) -> Result<Trace, PlanError> {
    let plan = Plan {
        seed: load.seed,
        requests: nodes.saturating_mul(load.requests),
        rate: f64::from(nodes) * load.rate,
        block: Tokens(64),
        input: Lengths::LogNormal { mean: 512.0, sigma: 0.8 },
        output: Lengths::LogNormal { mean: 64.0, sigma: 0.6 },
        groups: (nodes * 2 / 5).clamp(4, 1_000),
        prefix: Tokens(2_048),
        turns: 5.0,
        think: Duration::from_secs(2),
        ..Plan::new(Kind::Agents)
    };
    plan.generate()
}

/// Runs one cluster.
///
/// # Errors
/// The load or the cluster cannot be.
pub fn row(point: &Point, profile: &Profile, load: &Load) -> Result<Row, ScaleError> {
    let trace = trace(point.nodes, load)?;
    let setup = Setup {
        coordinators: point.coordinators,
        delay: point.delay,
        seed: load.seed,
        ..Setup::new(profile.clone(), point.nodes, Rule::Prefix)
    };
    let results = simulate(&setup, &trace)?;
    let summary = results.summary(Duration::from_secs(2), Duration::from_secs(60));
    let share = |tokens: Tokens| tokens.0 as f64 / summary.prompt.0.max(1) as f64;
    let asked: u64 = results.records.iter().map(|record| u64::from(record.asked)).sum();
    Ok(Row {
        nodes: point.nodes,
        coordinators: point.coordinators,
        delay: Span(point.delay),
        requests: trace.requests.len(),
        refused: summary.refused,
        hits: share(summary.hits),
        predicted: share(summary.predicted),
        ttft_p50: summary.ttft.p50,
        ttft_p99: summary.ttft.p99,
        imbalance: summary.imbalance,
        asked: asked as f64 / trace.requests.len().max(1) as f64,
        operations: results.operations,
    })
}
