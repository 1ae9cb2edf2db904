//! One file, from an origin to the disk.
//!
//! Rules: bytes go to `NAME.part` and are hashed as they come. A cut is gone on from where it happened, also after a
//! restart of the node; then what an earlier run left is hashed first. What does not match its hash is removed: once it
//! is fetched anew if it began with an earlier run's bytes, otherwise it is an error. Only a file that is complete,
//! checked and on the disk gets its name.

use std::io::SeekFrom;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::hash::{self, Hasher};
use super::manifest::Entry;
use super::origin::{Fault, Opened, Origin, Pace, Wanted};
use super::{ObtainError, blocking};

/// Cuts in all after which a file is given up, even if each brought a little.
const CUTS: u32 = 1000;

/// Fetches one file into a folder. `report` hears how many of its bytes are there.
pub(crate) async fn take(
    origin: &dyn Origin,
    wanted: &Wanted,
    folder: &Path,
    pace: &Pace,
    report: &(dyn Fn(u64) + Send + Sync),
) -> Result<Entry, ObtainError> {
    let mut part = Part::open(folder, wanted).await?;
    let mut earlier = part.have > 0;
    let (mut fruitless, mut cuts) = (0, 0);
    loop {
        let before = part.have;
        report(before);
        match pour(origin, wanted, &mut part, pace, report).await {
            Ok(()) => {
                let Err(mismatch) = wanted.expect.check(&part.hasher.clone().finish()) else { break };
                if earlier {
                    tracing::warn!("{}: what an earlier fetch left does not fit, fetching all of it", wanted.name);
                    part.restart().await?;
                    earlier = false;
                    continue;
                }
                part.remove().await?;
                let hash::Mismatch { wanted: due, got } = mismatch;
                return Err(ObtainError::Hash { file: wanted.name.to_string(), wanted: due, got });
            }
            Err(Fault::Final(error)) => {
                if matches!(error, ObtainError::TooLong { .. }) {
                    part.remove().await?;
                }
                return Err(error);
            }
            Err(Fault::Passing(problem)) => {
                cuts += 1;
                fruitless = if part.have > before { 0 } else { fruitless + 1 };
                // Whatever becomes of it, the next run need not fetch this again.
                part.file.flush().await.map_err(files(&part.path))?;
                if fruitless >= pace.attempts || cuts >= CUTS {
                    let (file, have, size) = (wanted.name.to_string(), part.have, wanted.size);
                    return Err(ObtainError::Cut { file, have, size, problem });
                }
                tracing::debug!("{}: cut at byte {} of {}: {problem}", wanted.name, part.have, wanted.size);
                sleep(pace.wait(fruitless.max(1))).await;
            }
        }
    }
    part.complete(folder, wanted).await
}

/// Takes bytes until the file is complete or something goes wrong.
async fn pour(
    origin: &dyn Origin,
    wanted: &Wanted,
    part: &mut Part,
    pace: &Pace,
    report: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), Fault> {
    if part.have == wanted.size {
        return Ok(());
    }
    let silent = || Fault::Passing(format!("nothing came for {:?}", pace.stall));
    let opened = timeout(pace.stall, origin.open(wanted, part.have)).await.map_err(|_| silent())?;
    let Opened { begins, mut bytes } = opened?;
    if begins != part.have {
        part.restart().await?;
    }
    while part.have < wanted.size {
        match timeout(pace.stall, bytes.next()).await.map_err(|_| silent())? {
            None => return Err(Fault::Passing("it ended before its end".to_owned())),
            Some(chunk) => part.write(&chunk?, wanted).await?,
        }
        report(part.have);
    }
    // Whether more would come must not depend on how bytes fall into chunks. Silence is no more.
    match timeout(pace.stall, bytes.next()).await {
        Ok(Some(Ok(more))) if !more.is_empty() => {
            Err(ObtainError::TooLong { file: wanted.name.to_string(), size: wanted.size }.into())
        }
        _ => Ok(()),
    }
}

/// A file that is not complete yet.
struct Part {
    path: PathBuf,
    file: File,
    size: u64,
    have: u64,
    hasher: Hasher,
}

impl Part {
    async fn open(folder: &Path, wanted: &Wanted) -> Result<Self, ObtainError> {
        let path = folder.join(wanted.name.part());
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        // A link would lead out of the folder.
        options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        let file = OpenOptions::from(options).open(&path).await.map_err(files(&path))?;
        let have = file.metadata().await.map_err(files(&path))?.len();
        let mut part = Self { path, file, size: wanted.size, have, hasher: Hasher::new(wanted.size) };
        if have > wanted.size {
            part.restart().await?;
        } else if have > 0 {
            part.look_back().await?;
        }
        Ok(part)
    }

    /// Hashes what an earlier run left.
    async fn look_back(&mut self) -> Result<(), ObtainError> {
        let (path, length) = (self.path.clone(), self.have);
        let mut hasher = self.hasher.clone();
        self.hasher = blocking(move || {
            let read = std::fs::File::open(&path).and_then(|mut file| hash::read(&mut file, length, &mut hasher));
            read.map_err(files(&path)).map(|()| hasher)
        })
        .await?;
        self.file.seek(SeekFrom::Start(length)).await.map_err(files(&self.path))?;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), ObtainError> {
        self.file.set_len(0).await.map_err(files(&self.path))?;
        self.file.seek(SeekFrom::Start(0)).await.map_err(files(&self.path))?;
        self.have = 0;
        self.hasher = Hasher::new(self.size);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8], wanted: &Wanted) -> Result<(), ObtainError> {
        if bytes.len() as u64 > self.size - self.have {
            return Err(ObtainError::TooLong { file: wanted.name.to_string(), size: self.size });
        }
        self.file.write_all(bytes).await.map_err(files(&self.path))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    async fn remove(self) -> Result<(), ObtainError> {
        fs::remove_file(&self.path).await.map_err(files(&self.path))
    }

    /// Gives the file its name, once it is on the disk.
    async fn complete(mut self, folder: &Path, wanted: &Wanted) -> Result<Entry, ObtainError> {
        self.file.flush().await.map_err(files(&self.path))?;
        self.file.sync_all().await.map_err(files(&self.path))?;
        let path = folder.join(wanted.name.as_str());
        fs::rename(&self.path, &path).await.map_err(files(&path))?;
        let meta = self.file.metadata().await.map_err(files(&path))?;
        let synced = File::open(folder).await.map_err(files(folder))?;
        synced.sync_all().await.map_err(files(folder))?;
        Ok(Entry::new(wanted.name.clone(), &self.hasher.finish(), &meta))
    }
}

fn files(path: &Path) -> impl FnOnce(std::io::Error) -> ObtainError {
    let path = path.to_owned();
    move |source| ObtainError::Files { path, source }
}
