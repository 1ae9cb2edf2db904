//! Why a benchmark did not end well.

use std::io;
use std::path::PathBuf;

use engine::StartError;
use engine::source::LoadError;
use protocol::engine::{EngineError, JobFault, RefusalReason};
use protocol::ids::JobKey;
use text::TextError;

/// A benchmark did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error(transparent)]
    File(#[from] LoadError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the engine refused a job: {0}")]
    Refused(#[from] RefusalReason),
    #[error("the job {key} failed: {fault}")]
    Job { key: JobKey, fault: JobFault },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the engine has {running} running and {waiting} waiting jobs, and {steps} steps in a row did nothing")]
    Stalled { running: u32, waiting: u32, steps: u32 },
    #[error("nothing was measured: {0}")]
    Nothing(String),
    #[error("the peers read GGUF files: {0} is none")]
    NotForPeers(String),
    #[error("{} cannot be started: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("{name} failed ({how}); the end of what it said:\n{tail}")]
    Child { name: String, how: String, tail: String },
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}
