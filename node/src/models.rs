//! From a model's settings to what makes its engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actors::mock::{self, MockEngine, MockOptions, Timing};
use actors::worker::{Drive, Factory, Loaded};
use engine::{EngineOptions, LocalEngine};
use protocol::config::{Model, Node};

use crate::options::EngineKind;

/// KV blocks of a mock: they hold nothing, so memory does not bound them.
const MOCK_BLOCKS: u32 = 4096;
/// A mock is about as quick as a small model on a few cores.
const MOCK_TIMING: Timing = Timing {
    prefill_per_token: Duration::from_micros(200),
    decode_per_step: Duration::from_millis(15),
    decode_per_sequence: Duration::from_micros(500),
    ..Timing::ZERO
};

/// What makes the engine of a model, and what moves it.
/// What cannot be opened is a factory that says so: the node then shows it as it shows any model that cannot be loaded.
pub(crate) fn factory(
    kind: EngineKind,
    name: &str,
    model: &Model,
    node: &Node,
    place: Result<PathBuf, String>,
) -> (Factory, Drive) {
    match kind {
        EngineKind::Torch => (torch(name, model, node, place), Drive::Thread),
        EngineKind::Mock => (imitate(name, model), Drive::Task),
    }
}

fn torch(name: &str, model: &Model, node: &Node, place: Result<PathBuf, String>) -> Factory {
    let options = EngineOptions::new(name, model, &node.device, node.threads);
    Arc::new(move || {
        let path = place.clone()?;
        tracing::info!("loading {} from {}", options.name, path.display());
        let engine = LocalEngine::load(&path, &options).map_err(|error| error.to_string())?;
        for line in engine.describe() {
            tracing::info!("{}: {line}", options.name);
        }
        let bundle = engine.bundle().clone();
        Ok(Loaded { engine: Box::new(engine), bundle })
    })
}

fn imitate(name: &str, model: &Model) -> Factory {
    let options = MockOptions {
        model: name.to_owned(),
        blocks: MOCK_BLOCKS,
        block: model.block,
        queue: model.queue,
        step_tokens: model.step_tokens,
        prefill_chunk: model.prefill_chunk,
        max_batch: model.max_batch,
        context: model.context.unwrap_or(MockOptions::default().context),
        timing: MOCK_TIMING,
        ..MockOptions::default()
    };
    Arc::new(move || Ok(Loaded { engine: Box::new(MockEngine::new(options.clone())), bundle: mock::bundle() }))
}
