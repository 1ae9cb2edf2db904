//! A node gets the files of its models itself: from the Hugging Face hub, from a folder, from another node.
//!
//! Rules: what is there already is not fetched again. Nothing that comes from outside is trusted: names are checked
//! before they become paths, sizes before room is taken, hashes before a file gets its name. One process at a time
//! fetches a model into a folder. A model that cannot be had is an error with a remedy, and does not stop the others.
//! Which file means what is the engine's business.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::config::{Model, Source};
use protocol::files::{MAX_FILES, Sha256};
use tokio::sync::watch;
use transport::pki::Credentials;
use transport::quic::Dialler;

mod all;
mod asking;
mod choose;
mod fetch;
mod folder;
mod hash;
mod hub;
mod lock;
mod manifest;
mod names;
mod origin;
mod peer;
mod progress;
mod room;
mod serve;
mod take;

pub(crate) use all::{Fetching, Places, obtain_all};
pub(crate) use serve::FileServer;

use fetch::Fetch;
use names::BadName;
use origin::Pace;
pub(crate) use progress::Progress;

/// What fetching needs to know of the node.
#[derive(Clone)]
pub(crate) struct NodeFiles {
    /// Where fetched models lie.
    pub(crate) folder: PathBuf,
    /// The most bytes that may lie there.
    pub(crate) limit: u64,
    /// The hub's address.
    pub(crate) hub: String,
    /// What the hub is told.
    pub(crate) token: Option<String>,
    /// Nodes to ask.
    pub(crate) peers: Vec<String>,
    /// How they are reached; none if no model needs them.
    pub(crate) network: Option<(Dialler, Arc<Credentials>)>,
    pub(crate) pace: Pace,
}

impl fmt::Debug for NodeFiles {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeFiles").field("folder", &self.folder).field("hub", &self.hub).finish_non_exhaustive()
    }
}

/// The files of a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObtainError {
    #[error("cannot use {path}: {source}")]
    Files { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("{place} is no model: {problem}")]
    NoModel { place: String, problem: String },
    #[error("{0}")]
    Token(String),
    #[error("{what} is not at {base}: check the name and the revision; what is private needs HF_TOKEN")]
    NotThere { what: String, base: String },
    #[error("{base}: {problem}")]
    Hub { base: String, problem: String },
    #[error("{address}: {problem}")]
    Peer { address: String, problem: String },
    #[error("{file} is not what it should be: {wanted} was wanted, {got} came; its bytes were removed")]
    Hash { file: String, wanted: String, got: String },
    #[error("{file} has sha256 {listed} where it comes from, and the settings want {wanted}: nothing was fetched")]
    Listed { file: String, wanted: Sha256, listed: Sha256 },
    #[error("{file} is longer than the {size} bytes that were announced; its bytes were removed")]
    TooLong { file: String, size: u64 },
    #[error("{file} was cut at byte {have} of {size}: {problem}; the next start goes on there")]
    Cut { file: String, have: u64, size: u64, problem: String },
    #[error("{what}: {problem}; is the network up?")]
    Unreachable { what: String, problem: String },
    #[error("{0} files are too many: a model has at most {MAX_FILES}")]
    TooMany(usize),
    #[error("sha256 names {0}, which is not among the model's files")]
    NoSuchFile(String),
    #[error("sha256 is one hash, but the model has {0} files: write {{ \"FILE\" = \"HASH\" }}")]
    OneHash(usize),
    #[error(transparent)]
    NoRoom(#[from] room::NoRoom),
    #[error("no node of node.peers hands out '{model}': {}", .reasons.join("; "))]
    NoPeer { model: String, reasons: Vec<String> },
    #[error("a task has failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Makes sure that the files of a model are on this machine, and says what the engine opens. `progress` hears how far
/// it is.
pub(crate) async fn obtain(
    name: &str,
    model: &Model,
    files: &NodeFiles,
    progress: &watch::Sender<Progress>,
) -> Result<PathBuf, ObtainError> {
    let Some(source) = model.fetched() else { return Ok(model.path.clone()) };
    let folder = files.folder.join(names::folder(name));
    let made = tokio::fs::create_dir_all(&folder).await;
    made.map_err(|source| ObtainError::Files { path: folder.clone(), source })?;
    // The lock lies beside the folder, under a name that no folder has.
    let _lock = lock::hold(&files.folder.join(format!(".{}.lock", names::folder(name)))).await?;
    let fetch = Fetch { name, source, pins: model.sha256.as_ref(), folder: &folder, files, progress };
    if let Some(place) = fetch.look().await? {
        tracing::debug!("{name}: all of {source} is in {}", folder.display());
        return Ok(place);
    }
    match source {
        Source::Hub(hub) => fetch.take_from(&hub::Hub::new(&files.hub, files.token.as_deref(), hub, files.pace)?).await,
        Source::Folder(path) => fetch.take_from(&folder::Folder::new(path)).await,
        Source::Node => fetch.take_from_peers().await,
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObtainError> + Send + 'static,
) -> Result<T, ObtainError> {
    tokio::task::spawn_blocking(work).await?
}

#[cfg(test)]
mod tests;
