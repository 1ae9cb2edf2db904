//! The state folder: who this node is, how often it has started, and its certificate.
//!
//! Rules: one process per folder, by a lock that the system lets go when the process ends; every file is
//! written whole or not at all; a file that cannot be read is named, with the remedy.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use protocol::ids::{Incarnation, NodeId};

/// The state of a node, locked for this process.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Holds the lock.
    _lock: File,
}

/// A state folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("cannot use {path}: {source}")]
    Files { path: PathBuf, source: io::Error },
    #[error("another node runs with the state folder {0}: stop it, or give this one a folder of its own with --state")]
    InUse(PathBuf),
    #[error("{path} holds '{found}', expected {wanted}: restore it, or remove the folder and join again")]
    Damaged { path: PathBuf, found: String, wanted: &'static str },
}

impl State {
    /// Opens the folder, making it at the first start, and counts this start. `fresh` is the identity
    /// of a node that has none yet.
    pub(crate) fn open(folder: &Path, fresh: NodeId) -> Result<Self, StateError> {
        fs::create_dir_all(folder).map_err(files(folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(files(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(files(&path)(source)),
        }
        let id = match read(&folder.join("id"), "a node id of 16 hexadecimal digits", |text| text.parse().ok())? {
            Some(id) => id,
            None => {
                write(&folder.join("id"), &format!("{fresh}\n"))?;
                fresh
            }
        };
        let path = folder.join("incarnation");
        let last = read(&path, "the number of starts", |text| text.parse::<u64>().ok())?.unwrap_or(0);
        let incarnation = Incarnation(last.saturating_add(1));
        write(&path, &format!("{}\n", incarnation.0))?;
        Ok(Self { folder: folder.to_owned(), id, incarnation, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn files(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Files { path, source }
}

/// What a file holds; none if it is not there.
fn read<T>(path: &Path, wanted: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StateError> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().chars().take(64).collect::<String>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(files(path)(error)),
    };
    match parse(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(StateError::Damaged { path: path.to_owned(), found: text, wanted }),
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), StateError> {
    let beside = path.with_extension("new");
    let all = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    all().map_err(files(path))
}

#[cfg(test)]
mod tests;
