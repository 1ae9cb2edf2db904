//! A cluster to measure: a coordinator, and imitated nodes that have joined it.

use std::fs;
use std::path::{Path, PathBuf};

use actors::mock::MockOptions;
use futures_util::future::{join_all, try_join_all};
use protocol::config::{Config, Policy};
use tempfile::TempDir;

use crate::error::BenchError;
use crate::http::Http;
use crate::node::MockNode;
use crate::process::{ANYWHERE, Coordinator};

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: u64,
    pub(crate) mock: MockOptions,
    pub(crate) policy: Policy,
}

/// A running cluster. Dropping ends it.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) coordinator: Coordinator,
    pub(crate) http: Http,
    nodes: Vec<MockNode>,
    program: PathBuf,
    config: PathBuf,
    folder: TempDir,
}

impl Bed {
    /// Starts it and waits until every node serves.
    ///
    /// # Errors
    /// A part of it does not start.
    pub(crate) async fn start(program: &Path, plan: &Plan) -> Result<Self, BenchError> {
        let folder = tempfile::Builder::new().prefix("troupe-bench-").tempdir()?;
        let config = folder.path().join("cluster.toml");
        let text = format!("[placement]\npolicy = \"{}\"\n", plan.policy.as_str());
        fs::write(&config, text).map_err(|source| BenchError::File { path: config.clone(), source })?;
        let coordinator = Coordinator::start(program, folder.path(), &config, ANYWHERE, ANYWHERE).await?;
        let settings = Config::default();
        let reach = &coordinator.reach;
        let starting =
            (1..=plan.nodes).map(|number| MockNode::start(number, &reach.quic, &reach.token, &plan.mock, &settings));
        let nodes = try_join_all(starting).await?;
        let http = Http::new(&reach.http, &reach.key);
        Ok(Self { coordinator, http, nodes, program: program.to_owned(), config, folder })
    }

    /// Starts the coordinator again after its end, with its state and addresses.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn restart_coordinator(&mut self) -> Result<(), BenchError> {
        let reach = self.coordinator.reach.clone();
        self.coordinator =
            Coordinator::start(&self.program, self.folder.path(), &self.config, &reach.http, &reach.quic).await?;
        // The old connections have died with the old process.
        self.http = Http::new(&reach.http, &reach.key);
        Ok(())
    }

    /// Waits until every node is connected.
    pub(crate) async fn connected(&self) {
        join_all(self.nodes.iter().map(MockNode::connected)).await;
    }
}
