//! What was fetched into a folder: names, sizes, hashes, and where it all came from.
//!
//! Rules: a file counts as the one that was hashed as long as its size and its time of change are the same, so that a
//! second start reads no weights; otherwise it is hashed again. A manifest that cannot be read counts as none: then
//! everything is hashed again. It is written whole or not at all.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use protocol::config::{Hashes, Source};
use protocol::files::Sha256;
use serde::{Deserialize, Serialize};

use super::choose::is_gguf;
use super::hash::{self, Expect, Found, GitName, Hasher};
use super::names::{MANIFEST, SafeName};

/// A longer one is not ours.
const LONGEST: u64 = 4 << 20;

/// What lies in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// As the settings name it.
    #[serde(default)]
    pub(crate) source: String,
    /// What exactly that was then: a commit.
    #[serde(default)]
    pub(crate) commit: Option<String>,
    /// Whether all files are there.
    #[serde(default)]
    pub(crate) complete: bool,
    pub(crate) files: Vec<Entry>,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: SafeName,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    /// Git's name of the bytes, in hexadecimal digits.
    #[serde(default)]
    pub(crate) git: String,
    /// When it was last changed, in nanoseconds since 1970.
    #[serde(default)]
    pub(crate) modified: i128,
}

impl Entry {
    pub(crate) fn new(name: SafeName, found: &Found, meta: &Metadata) -> Self {
        let git = hash::hex(&found.git);
        Self { name, size: meta.len(), sha256: found.sha256, git, modified: modified(meta) }
    }

    /// Whether this is the file that was hashed.
    pub(crate) fn is(&self, meta: &Metadata) -> bool {
        meta.is_file() && self.size == meta.len() && self.modified == modified(meta)
    }

    pub(crate) fn agrees(&self, expect: &Expect) -> bool {
        let git = protocol::files::unhex::<20>(&self.git);
        let git: GitName = git.unwrap_or_default();
        expect.check(&Found { sha256: self.sha256, git }).is_ok()
    }
}

pub(crate) fn modified(meta: &Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

impl Manifest {
    /// Of this folder; an empty one if there is none that can be read.
    pub(crate) fn load(folder: &Path) -> Self {
        Self::read(&folder.join(MANIFEST)).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("{}: {error}; its files are hashed again", folder.join(MANIFEST).display());
            }
            Self::default()
        })
    }

    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {LONGEST} bytes")));
        }
        serde_json::from_reader(io::BufReader::new(file))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    pub(crate) fn save(&self, folder: &Path) -> io::Result<()> {
        self.write(&folder.join(MANIFEST))
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    }

    pub(crate) fn entry(&self, name: &SafeName) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.name == *name)
    }

    /// Takes an entry in, in place of the one that has its name.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.files.retain(|known| known.name != entry.name);
        self.files.push(entry);
        self.files.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// What the engine opens: the GGUF file, or the folder.
    pub(crate) fn place(&self, folder: &Path) -> PathBuf {
        match &self.files[..] {
            [only] if is_gguf(only.name.as_str()) => folder.join(only.name.as_str()),
            _ => folder.to_owned(),
        }
    }

    /// Whether all that this source had is in the folder, unchanged, with the hashes that are asked for. Blocks: files
    /// whose time of change differs are read.
    pub(crate) fn is_whole(&mut self, folder: &Path, source: &Source, pins: Option<&Hashes>) -> bool {
        self.complete
            && !self.files.is_empty()
            && self.source == source.to_string()
            && self.meets(pins)
            && self.files.iter_mut().all(|entry| still(folder, entry))
    }

    fn meets(&self, pins: Option<&Hashes>) -> bool {
        match (pins, &self.files[..]) {
            (None, _) => true,
            (Some(Hashes::One(hash)), [only]) => only.sha256 == *hash,
            (Some(Hashes::One(_)), _) => false,
            (Some(Hashes::Each(each)), files) => each
                .iter()
                .all(|(name, hash)| files.iter().any(|file| file.name.as_str() == name && file.sha256 == *hash)),
        }
    }
}

/// Whether the file is what it was; one that was only touched is, and its new time is noted.
fn still(folder: &Path, entry: &mut Entry) -> bool {
    let path = folder.join(entry.name.as_str());
    let Ok(meta) = fs::symlink_metadata(&path) else { return false };
    if entry.is(&meta) {
        return true;
    }
    match survey(&path, entry.name.clone()) {
        Ok(now) if now.sha256 == entry.sha256 => {
            *entry = now;
            true
        }
        _ => false,
    }
}

/// Reads a file to its end. Blocks.
pub(crate) fn survey(path: &Path, name: SafeName) -> io::Result<Entry> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let mut hasher = Hasher::new(meta.len());
    hash::read(&mut file, meta.len(), &mut hasher)?;
    Ok(Entry::new(name, &hasher.finish(), &meta))
}

#[cfg(test)]
mod tests;
