//! The fetch of one model: what is there is compared with what there should be, and the rest is taken.

use std::path::{Path, PathBuf};

use protocol::config::{Hashes, Source};
use protocol::files::{MAX_FILES, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::manifest::{self, Entry, Manifest};
use super::origin::{Fault, Listing, Origin, Wanted};
use super::progress::{self, Progress};
use super::{NodeFiles, ObtainError, blocking, names, room, take};

/// The fetch of one model.
pub(super) struct Fetch<'a> {
    pub(super) name: &'a str,
    pub(super) source: &'a Source,
    pub(super) pins: Option<&'a Hashes>,
    pub(super) folder: &'a Path,
    pub(super) files: &'a NodeFiles,
    pub(super) progress: &'a watch::Sender<Progress>,
}

impl Fetch<'_> {
    /// What an earlier start has fetched, if that is all and as it was.
    pub(super) async fn look(&self) -> Result<Option<PathBuf>, ObtainError> {
        let (folder, source, pins) = (self.folder.to_owned(), self.source.clone(), self.pins.cloned());
        blocking(move || {
            let before = Manifest::load(&folder);
            let mut manifest = before.clone();
            if !manifest.is_whole(&folder, &source, pins.as_ref()) {
                return Ok(None);
            }
            if manifest != before {
                save(&manifest, &folder)?;
            }
            Ok(Some(manifest.place(&folder)))
        })
        .await
    }

    pub(super) async fn take_from(&self, origin: &dyn Origin) -> Result<PathBuf, ObtainError> {
        let begun = Instant::now();
        let Listing { mut files, commit } = self.list(origin).await?;
        if files.len() > MAX_FILES {
            return Err(ObtainError::TooMany(files.len()));
        }
        pin(&mut files, self.pins)?;
        let (mut manifest, missing) = self.compare(&files).await?;
        let total = self.afford(&missing).await?;
        manifest.source = self.source.to_string();
        manifest.commit = commit;
        manifest.complete = false;
        let mut done = 0;
        for wanted in &missing {
            let report = |have: u64| {
                let (model, file) = (self.name.to_owned(), wanted.name.to_string());
                self.progress.send_replace(Progress { model, file, done: done + have, total });
            };
            let entry = take::take(origin, wanted, self.folder, &self.files.pace, &report).await?;
            done += wanted.size;
            manifest.put(entry);
            // From here on this file is not fetched again, whatever becomes of the others.
            save(&manifest, self.folder)?;
        }
        self.tidy(&mut manifest, &files)?;
        manifest.complete = true;
        save(&manifest, self.folder)?;
        let (bytes, rate) = (progress::bytes(done), progress::rate(done, begun.elapsed()));
        let (count, of) = (missing.len(), files.len());
        tracing::info!(
            "{}: {count} of {of} files fetched from {}, {bytes}, {rate}, hashes checked",
            self.name,
            self.source
        );
        Ok(manifest.place(self.folder))
    }

    async fn list(&self, origin: &dyn Origin) -> Result<Listing, ObtainError> {
        let mut fruitless = 0;
        loop {
            match origin.list().await {
                Ok(listing) => return Ok(listing),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing(problem)) => {
                    fruitless += 1;
                    if fruitless >= self.files.pace.attempts {
                        let what = format!("the files of {} cannot be listed", self.source);
                        return Err(ObtainError::Unreachable { what, problem });
                    }
                    tracing::debug!("{}: no list yet: {problem}", self.name);
                    sleep(self.files.pace.wait(fruitless)).await;
                }
            }
        }
    }

    /// What is there of the files, and what is not.
    async fn compare(&self, files: &[Wanted]) -> Result<(Manifest, Vec<Wanted>), ObtainError> {
        let (folder, files) = (self.folder.to_owned(), files.to_owned());
        blocking(move || {
            let mut manifest = Manifest::load(&folder);
            let mut missing = Vec::new();
            for wanted in files {
                match here(&folder, &manifest, &wanted) {
                    Some(entry) => manifest.put(entry),
                    None => missing.push(wanted),
                }
            }
            Ok((manifest, missing))
        })
        .await
    }

    /// The bytes of all that is missing, if there is room for what is not there of them.
    async fn afford(&self, missing: &[Wanted]) -> Result<u64, ObtainError> {
        let (folder, all, limit) = (self.folder.to_owned(), self.files.folder.clone(), self.files.limit);
        let sizes: Vec<(String, u64)> = missing.iter().map(|wanted| (wanted.name.part(), wanted.size)).collect();
        blocking(move || {
            let begun = |part: &str| std::fs::symlink_metadata(folder.join(part)).map_or(0, |meta| meta.len());
            let needed = sizes.iter().map(|(part, size)| size - begun(part).min(*size)).fold(0, u64::saturating_add);
            let free = room::free(&all).map_err(|source| ObtainError::Files { path: all.clone(), source })?;
            room::afford(needed, room::used(&all), limit, free, &all)?;
            Ok(sizes.iter().map(|(_, size)| *size).fold(0, u64::saturating_add))
        })
        .await
    }

    /// Removes what an earlier source had and this one has not.
    fn tidy(&self, manifest: &mut Manifest, files: &[Wanted]) -> Result<(), ObtainError> {
        let stays = |entry: &Entry| files.iter().any(|wanted| wanted.name == entry.name);
        for gone in manifest.files.iter().filter(|entry| !stays(entry)) {
            let path = self.folder.join(gone.name.as_str());
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ObtainError::Files { path, source });
                }
                _ => {}
            }
        }
        manifest.files.retain(stays);
        Ok(())
    }
}

/// The entry of a file that is there and is what is wanted. Blocks.
fn here(folder: &Path, manifest: &Manifest, wanted: &Wanted) -> Option<Entry> {
    let path = folder.join(wanted.name.as_str());
    let meta = std::fs::symlink_metadata(&path).ok()?;
    if !meta.is_file() || meta.len() != wanted.size {
        return None;
    }
    let entry = match manifest.entry(&wanted.name).filter(|entry| entry.is(&meta)) {
        Some(entry) => entry.clone(),
        None => manifest::survey(&path, wanted.name.clone()).ok()?,
    };
    // Of a file without a hash nobody knows whether it has changed where it comes from.
    (wanted.expect.is_known() && entry.agrees(&wanted.expect)).then_some(entry)
}

/// Adds the hashes of the settings to those of the listing; where both are known they must agree.
fn pin(files: &mut [Wanted], pins: Option<&Hashes>) -> Result<(), ObtainError> {
    let pairs: Vec<(String, Sha256)> = match (pins, &*files) {
        (None, _) => Vec::new(),
        (Some(Hashes::One(hash)), [only]) => vec![(only.name.to_string(), *hash)],
        (Some(Hashes::One(_)), files) => return Err(ObtainError::OneHash(files.len())),
        (Some(Hashes::Each(each)), _) => each.iter().map(|(name, hash)| (name.clone(), *hash)).collect(),
    };
    for (name, hash) in pairs {
        let Some(file) = files.iter_mut().find(|file| file.name.as_str() == name) else {
            return Err(ObtainError::NoSuchFile(name));
        };
        if let Some(listed) = file.expect.sha256.replace(hash).filter(|listed| *listed != hash) {
            return Err(ObtainError::Listed { file: name, wanted: hash, listed });
        }
    }
    Ok(())
}

fn save(manifest: &Manifest, folder: &Path) -> Result<(), ObtainError> {
    manifest.save(folder).map_err(|source| ObtainError::Files { path: folder.join(names::MANIFEST), source })
}
