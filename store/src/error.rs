//! What can go wrong, and what to do about it.

use std::path::PathBuf;

use protocol::units::UnixMillis;

use crate::write::BadBatch;

/// A store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its folder is not there, or it has gone while it was in use.
    #[error("the store {path} is not there, nor can it be made: make its folder, or name another place")]
    NotThere {
        /// The file.
        path: PathBuf,
    },
    /// It may not be written.
    #[error("the store {path} cannot be opened: {why}; let this user read and write the file and its folder")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The disk is full.
    #[error("no room for the store {path}: {why}; free some, or move the store to a larger disk")]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Somebody else has it open.
    #[error("the store {path} is in use: stop the other process that has it open, or name another file")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{path} is not a store: {why}; name another file, or move this one away")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// It was written by another version.
    #[error(
        "the store {path} has format {found}, this version reads up to {known}: use the version that wrote it, or a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// Its container has a format that is no longer read.
    #[error("the store {path} is in a file of format {found}, which is no longer read: use the version that wrote it")]
    Outdated {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u8,
    },
    /// It does not hold what was written to it.
    #[error("the store {path} is damaged: {why}; move the file away and put the last copy of it in its place")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// Anything else that the system says.
    #[error("the store {path} cannot be opened: {why}; check the disk")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

/// A store cannot do what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The batch can never be taken; nothing of it was.
    #[error("the batch is refused: {0}")]
    Refused(#[from] BadBatch),
    /// The disk is full.
    #[error("no room for the store {path}: {why}; free some, it goes on by itself then")]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The disk fails.
    #[error("the store {path} cannot be read or written: {why}; check the disk, it is opened anew at the next call")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It does not hold what was written to it.
    #[error("the store {path} is damaged: {why}; stop, move the file away and put the last copy of it in its place")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// It holds something that a newer version has written.
    #[error("the store {path} holds {what} in format {found}, this version reads up to {known}: use a newer version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// What.
        what: &'static str,
        /// Its format.
        found: u8,
        /// The newest that this version reads.
        known: u8,
    },
    /// Something cannot be written as bytes.
    #[error("{what} cannot be encoded: {why}; this is a fault of the program")]
    Unwritable {
        /// What.
        what: &'static str,
        /// What the codec says.
        why: String,
    },
    /// A sum is too large.
    #[error("the total of '{label}' does not fit: ask for a shorter span")]
    Overflow {
        /// Of what.
        label: String,
    },
    /// A moment that has no date.
    #[error("{at} ms after 1970 is after the year 9999: ask for an earlier moment", at = .0.0)]
    Far(UnixMillis),
    /// After a failure of the disk, the store could not be opened anew.
    #[error(transparent)]
    Reopen(#[from] OpenError),
    /// It was closed.
    #[error("the store is closed: open it again")]
    Closed,
}
