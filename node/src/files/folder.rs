//! A folder that is there already, as one on a shared disk: copied, so that the node loads from a disk of its own.
//!
//! Where a `SHA256SUMS` (as `sha256sum *` writes it) or a manifest of ours lies beside the files, they must match it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use futures_util::StreamExt as _;
use protocol::files::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use transport::BoxFuture;

use super::choose::{choose, is_gguf};
use super::hash::Expect;
use super::manifest::Manifest;
use super::names::{MANIFEST, SafeName};
use super::origin::{Fault, Listing, Opened, Origin, Wanted};
use super::{ObtainError, blocking};

const SUMS: &str = "SHA256SUMS";
/// The longest file of hashes.
const LONGEST: u64 = 1 << 20;
/// Read at once.
const BLOCK: usize = 1 << 20;

/// A folder, or one GGUF file.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Origin for Folder {
    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>> {
        let path = self.path.clone();
        Box::pin(async move { blocking(move || listing(&path)).await.map_err(Fault::from) })
    }

    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>> {
        Box::pin(async move {
            let path = PathBuf::from(&file.remote);
            let mut source = tokio::fs::File::open(&path).await.map_err(Fault::io(&path))?;
            source.seek(SeekFrom::Start(offset)).await.map_err(Fault::io(&path))?;
            let bytes = futures_util::stream::unfold((source, path), |(mut source, path)| async move {
                let mut block = vec![0; BLOCK];
                match source.read(&mut block).await {
                    Ok(0) => None,
                    Ok(count) => {
                        block.truncate(count);
                        Some((Ok(Bytes::from(block)), (source, path)))
                    }
                    Err(error) => Some((Err(Fault::io(&path)(error)), (source, path))),
                }
            });
            Ok(Opened { begins: offset, bytes: bytes.boxed() })
        })
    }
}

fn listing(path: &Path) -> Result<Listing, ObtainError> {
    let io = |source| ObtainError::Files { path: path.to_owned(), source };
    let no_model = |problem: String| ObtainError::NoModel { place: format!("folder:{}", path.display()), problem };
    let (folder, names) = if std::fs::metadata(path).map_err(io)?.is_dir() {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            // What is no text is no name of a model's file.
            names.extend(entry.map_err(io)?.file_name().into_string());
        }
        let chosen = choose(names.iter().map(String::as_str).filter(|name| !name.contains('\\')));
        let chosen = chosen.map_err(|problem| no_model(problem.to_string()))?;
        (path, chosen.into_iter().map(str::to_owned).collect())
    } else {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_gguf(name) {
            return Err(no_model("it is one file, and no GGUF file".to_owned()));
        }
        (path.parent().unwrap_or(Path::new("")), vec![name.to_owned()])
    };
    let hashes = hashes(folder)?;
    let files = names.into_iter().map(|name| {
        let path = folder.join(&name);
        let io = |source| ObtainError::Files { path: path.clone(), source };
        let meta = std::fs::metadata(&path).map_err(io)?;
        if !meta.is_file() {
            return Err(io(io::Error::new(ErrorKind::InvalidInput, "not a regular file")));
        }
        let expect = Expect { sha256: hashes.get(&name).copied(), git: None };
        let remote = path.to_str().unwrap_or_default().to_owned();
        Ok(Wanted { name: SafeName::new(&name)?, size: meta.len(), expect, remote })
    });
    Ok(Listing { files: files.collect::<Result<_, _>>()?, commit: None })
}

/// What the folder says its files are.
fn hashes(folder: &Path) -> Result<BTreeMap<String, Sha256>, ObtainError> {
    let path = folder.join(SUMS);
    let io = |source| ObtainError::Files { path: path.clone(), source };
    match std::fs::metadata(&path) {
        Ok(meta) if meta.len() > LONGEST => {
            return Err(io(io::Error::new(ErrorKind::InvalidData, format!("longer than {LONGEST} bytes"))));
        }
        Ok(_) => {
            let text = std::fs::read_to_string(&path).map_err(io)?;
            return sums(&text).map_err(|line| {
                io(io::Error::new(ErrorKind::InvalidData, format!("line {line} is not as sha256sum writes it")))
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    match Manifest::read(&folder.join(MANIFEST)) {
        Ok(manifest) => Ok(manifest.files.into_iter().map(|file| (file.name.to_string(), file.sha256)).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(ObtainError::Files { path: folder.join(MANIFEST), source }),
    }
}

/// `HASH  NAME` or `HASH *NAME` in each line; the number of the line that is neither.
fn sums(text: &str) -> Result<BTreeMap<String, Sha256>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let (hash, name) = line.split_once(' ').ok_or(number + 1)?;
            let name = name.strip_prefix([' ', '*']).ok_or(number + 1)?;
            let name = name.strip_prefix("./").unwrap_or(name);
            Ok((name.to_owned(), hash.parse().map_err(|_| number + 1)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_as_sha256sum_writes_them() {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let read = sums(&format!("# made by hand\n{one}  a b.gguf\n\n{two} *./c.json\n")).unwrap();
        assert_eq!(read["a b.gguf"], Sha256([0x11; 32]));
        assert_eq!(read["c.json"], Sha256([0x22; 32]));
        for (bad, line) in [("x  a".to_owned(), 1), (format!("{one}  a\n{two} b"), 2), (one, 1)] {
            assert_eq!(sums(&bad), Err(line), "{bad}");
        }
    }
}
