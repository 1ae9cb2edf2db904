//! The store of one coordinator: a file, kept by redb.
//!
//! Rules:
//! - A commit is one transaction, on disk when it returns.
//! - The whole file is checked when it is opened: what is damaged is found then, not in the middle of a day.
//! - After a failure of the disk redb wants the file opened anew; the next call does that by itself, so that
//!   a disk that was full for a while needs nobody.
//! - The file is its owner's alone (mode 0600): it holds the hashes of keys and who asked for what.

#![expect(
    clippy::disallowed_types,
    reason = "calls of a store block by contract; the lock tells calls, which share it, from reopening and compaction"
)]

mod apply;
mod fold;
mod read;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use protocol::ids::RequestId;
use protocol::manage::UsageQuery;
use protocol::units::{ByteSize, UnixMillis};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

use crate::Store;
use crate::error::{OpenError, StoreError};
use crate::hard::Hard;
use crate::report::{Compacted, Day, Grouping, Total, UsagePage};
use crate::sealed::{KNOWN, Unsealed};
use crate::write::{Receipt, Write, check};

/// What redb may keep of the file in memory. It would take a gibibyte.
const CACHE: usize = 64 << 20;

/// Opens the file, or what stands in for one in a test that lets it fail.
pub type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// A store in a file.
pub struct RedbStore {
    path: PathBuf,
    opener: Opener,
    file: RwLock<File>,
    /// The disk has failed: redb takes nothing more until the file is opened anew.
    failed: AtomicBool,
}

enum File {
    Open(Database),
    /// It could not be opened anew, so far.
    Lost,
    Closed,
}

/// Why a call came to nothing, before the path is known.
#[derive(Debug)]
enum Failure {
    Redb(redb::Error),
    Unsealed(&'static str, Unsealed),
    Store(StoreError),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the file, or makes it. Its folder must be there.
    ///
    /// # Errors
    /// It cannot be opened: each reason with what to do about it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        if !path.exists() {
            create(&path)?;
        }
        let file = path.clone();
        Self::open_with(path, Box::new(move || open_file(&file)))
    }

    /// Opens what `opener` gives, at once and whenever the disk has failed. `path` is its name in errors. For tests
    /// with disks that fail.
    ///
    /// # Errors
    /// As for [`RedbStore::open`].
    pub fn open_with(path: PathBuf, opener: Opener) -> Result<Self, OpenError> {
        let database = opened(&path, &opener)?;
        Ok(Self { path, opener, file: RwLock::new(File::Open(database)), failed: AtomicBool::new(false) })
    }

    fn read(&self) -> RwLockReadGuard<'_, File> {
        self.file.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, File> {
        self.file.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does it, with the file opened anew if that is needed.
    fn with<T>(&self, run: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            self.reopen()?;
        }
        match &*self.read() {
            File::Open(database) => run(database).map_err(|failure| self.tell(failure)),
            File::Closed => Err(StoreError::Closed),
            File::Lost => Err(self.disk("it could not be opened anew")),
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        let mut file = self.write();
        if matches!(*file, File::Closed) || !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        // The old one lets go of the file before it is opened again.
        *file = File::Lost;
        *file = File::Open(opened(&self.path, &self.opener)?);
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    fn disk(&self, why: &str) -> StoreError {
        StoreError::Disk { path: self.path.clone(), why: why.to_owned() }
    }

    /// A failure with its path; one of the disk is remembered.
    fn tell(&self, failure: Failure) -> StoreError {
        let path = self.path.clone();
        let error = match failure {
            Failure::Store(error) => return error,
            Failure::Unsealed(what, Unsealed::Newer(found)) => {
                return StoreError::Newer { path, what, found, known: KNOWN };
            }
            Failure::Unsealed(_, Unsealed::Damaged(why)) => return StoreError::Damaged { path, why },
            Failure::Redb(error) => error,
        };
        self.failed.store(true, Ordering::Release);
        match error {
            redb::Error::Corrupted(why) => StoreError::Damaged { path, why },
            redb::Error::Io(error) if no_room(&error) => StoreError::NoRoom { path, why: error.to_string() },
            other => StoreError::Disk { path, why: other.to_string() },
        }
    }

    fn len(&self) -> u64 {
        fs::metadata(&self.path).map(|data| data.len()).unwrap_or_default()
    }
}

fn no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Makes the file under another name and moves it to its place when it is whole: one that is made in part could
/// not be opened, and nobody could tell it from a stranger's.
fn create(path: &Path) -> Result<(), OpenError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = path.with_file_name(name);
    let disk = |error: io::Error| refused(path, DatabaseError::Storage(StorageError::Io(error)));
    // One that a process of the same id has left.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(error)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(disk)?;
    let file = new.clone();
    let made = opened(path, &(Box::new(move || open_file(&file)) as Opener))
        .and_then(|database| database.close().map_err(|error| refused(path, error)))
        .and_then(|()| place(&new, path).map_err(disk));
    if made.is_err() {
        drop(fs::remove_file(&new));
    }
    made
}

/// Gives a whole file its name, if nobody else has made one meanwhile, and sees to it that a loss of power leaves it
/// there.
fn place(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Ok(()) => fs::remove_file(new)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::remove_file(new)?,
        // Some file systems have no links.
        Err(_) => fs::rename(new, path)?,
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

/// The file, as its owner's alone. It must be there: one that has gone is not to be replaced by an empty one.
fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Database::builder()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true)
        .create_with_backend(FileBackend::new(file)?)
}

/// Opens the file and sees to it that its tables are there.
fn opened(path: &Path, opener: &Opener) -> Result<Database, OpenError> {
    let database = opener().map_err(|error| refused(path, error))?;
    match tables::prepare(&database) {
        Ok(tables::Format::Known) => Ok(database),
        Ok(tables::Format::Other(found)) => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: tables::FORMAT })
        }
        Ok(tables::Format::Foreign) => {
            let why = "it is a database of another program".to_owned();
            Err(OpenError::Foreign { path: path.to_owned(), why })
        }
        Err(redb::Error::Io(error)) => Err(refused(path, DatabaseError::Storage(StorageError::Io(error)))),
        Err(redb::Error::Corrupted(why)) => Err(OpenError::Damaged { path: path.to_owned(), why }),
        Err(error) => Err(OpenError::Disk { path: path.to_owned(), why: error.to_string() }),
    }
}

fn refused(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    let why = error.to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Busy { path },
        DatabaseError::UpgradeRequired(found) => OpenError::Outdated { path, found },
        DatabaseError::RepairAborted => OpenError::Damaged { path, why },
        DatabaseError::Storage(StorageError::Corrupted(why)) => OpenError::Damaged { path, why },
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            io::ErrorKind::NotFound => OpenError::NotThere { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::NotWritable { path, why },
            io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                OpenError::Foreign { path, why }
            }
            // A header that promises more than there is.
            io::ErrorKind::UnexpectedEof => OpenError::Damaged { path, why },
            _ if no_room(&error) => OpenError::NoRoom { path, why },
            _ => OpenError::Disk { path, why },
        },
        _ => OpenError::Disk { path, why },
    }
}

impl Store for RedbStore {
    fn load(&self) -> Result<Hard, StoreError> {
        self.with(read::load)
    }

    fn commit(&self, batch: &[Write]) -> Result<Receipt, StoreError> {
        check(batch)?;
        self.with(|database| apply::commit(database, batch))
    }

    fn usage(&self, query: &UsageQuery) -> Result<UsagePage, StoreError> {
        self.with(|database| read::usage(database, query))
    }

    fn totals(
        &self,
        since: Option<UnixMillis>,
        until: Option<UnixMillis>,
        by: Grouping,
    ) -> Result<BTreeMap<String, Total>, StoreError> {
        self.with(|database| read::totals(database, since, until, by))
    }

    fn compact(&self, before: UnixMillis) -> Result<Compacted, StoreError> {
        let (end, len) = (Day::of(before).start(), self.len());
        let mut compacted = Compacted::default();
        // Step by step, so that commits get their turn between them.
        while self.with(|database| fold::step(database, end, &mut compacted))? {}
        match &mut *self.write() {
            File::Open(database) => {
                database.compact().map_err(|error| self.tell(error.into()))?;
            }
            File::Closed => return Err(StoreError::Closed),
            File::Lost => return Err(self.disk("it could not be opened anew")),
        }
        compacted.freed = ByteSize(len.saturating_sub(self.len()));
        Ok(compacted)
    }

    fn usage_exists(&self, request: RequestId) -> Result<bool, StoreError> {
        self.with(|database| read::exists(database, request))
    }

    fn close(&self) -> Result<(), StoreError> {
        match std::mem::replace(&mut *self.write(), File::Closed) {
            File::Open(database) => database.close().map_err(|error| self.tell(error.into())),
            File::Lost => Ok(()),
            File::Closed => Err(StoreError::Closed),
        }
    }
}

#[cfg(test)]
mod tests;
