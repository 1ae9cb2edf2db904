//! Hands the files of this node's models to other nodes.
//!
//! Rules: regular files right in the model's folder, of those that make a model, and nothing else; a name is looked for
//! in the list, never put into a path. Hashes are computed once and kept, for models that were fetched with their
//! manifest, for others in the models folder. A file that has changed since is not handed out as if it had not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actors::node::pull::Beside;
use arc_swap::ArcSwap;
use protocol::files::{FileChunk, FileEnd, FileEntry, FileList, FileWanted, FilesRefused};
use protocol::frame::Frame;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::{Mutex, Semaphore};
use transport::BoxFuture;
use transport::error::Code;
use transport::frames::{Duplex, FrameWriter, SendError};

use super::choose::choose;
use super::manifest::{Manifest, survey};
use super::names::{self, SafeName};
use super::peer::PRIORITY;

/// Files and lists that are handed out at once; one more is refused.
const SERVES: usize = 4;
/// Bytes of a file in one frame.
const CHUNK: usize = 256 << 10;
/// How long a peer may leave a frame unread.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where hashes of models are kept that lie elsewhere.
const KEPT: &str = ".served";

/// Files of these models, for other nodes.
pub(crate) struct FileServer {
    /// What the engine opens, by model.
    places: ArcSwap<BTreeMap<String, PathBuf>>,
    /// The models folder.
    folder: PathBuf,
    /// Held while hashes are computed: one model at a time.
    lists: Mutex<BTreeMap<String, Arc<Manifest>>>,
    serves: Semaphore,
}

/// A stream that ends early: the peer is told why, or is gone.
enum Ended {
    Refused(FilesRefused),
    Gone(SendError),
}

impl From<FilesRefused> for Ended {
    fn from(refused: FilesRefused) -> Self {
        Self::Refused(refused)
    }
}

impl From<SendError> for Ended {
    fn from(error: SendError) -> Self {
        Self::Gone(error)
    }
}

impl FileServer {
    /// Hands out nothing yet. `folder` is where hashes are kept.
    pub(crate) fn new(folder: &Path) -> Self {
        let lists = Mutex::new(BTreeMap::new());
        Self { places: ArcSwap::default(), folder: folder.to_owned(), lists, serves: Semaphore::new(SERVES) }
    }

    /// Hands out the files of a model, too.
    pub(crate) fn add(&self, model: &str, place: &Path) {
        self.places.rcu(|places| {
            let mut places = BTreeMap::clone(places);
            places.insert(model.to_owned(), place.to_owned());
            places
        });
    }

    async fn stream(&self, wanted: Frame, (mut writer, reader): Duplex) {
        if !matches!(wanted, Frame::FilesWanted(_) | Frame::FileWanted(_)) {
            reader.stop(Code::Unexpected);
            writer.reset(Code::Unexpected);
            return;
        }
        writer.set_priority(PRIORITY);
        let stopped = writer.stopped();
        let ended = tokio::select! {
            biased;
            _ = stopped => return writer.reset(Code::Cancelled),
            ended = self.hand_out(wanted, &mut writer) => ended,
        };
        let said = match ended {
            Err(Ended::Refused(refused)) => {
                tracing::debug!("a peer gets no files: {refused}");
                send(&mut writer, refused).await
            }
            Err(Ended::Gone(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        match said {
            Ok(()) => writer.finish(),
            Err(error) => {
                tracing::debug!("files are not handed out any further: {error}");
                writer.reset(Code::Internal);
            }
        }
    }

    async fn hand_out(&self, wanted: Frame, writer: &mut FrameWriter) -> Result<(), Ended> {
        let limit = u32::try_from(SERVES).unwrap_or(u32::MAX);
        let _permit = self.serves.try_acquire().map_err(|_| FilesRefused::Busy { limit })?;
        match wanted {
            Frame::FilesWanted(wanted) => {
                let list = self.list(&wanted.model).await?;
                let entry = |file: &super::manifest::Entry| FileEntry {
                    name: file.name.to_string(),
                    size: file.size,
                    sha256: file.sha256,
                };
                let total = list.files.iter().map(|file| file.size).fold(0, u64::saturating_add);
                Ok(send(writer, FileList { files: list.files.iter().map(entry).collect(), total }).await?)
            }
            Frame::FileWanted(wanted) => self.file(wanted, writer).await,
            _ => Ok(()),
        }
    }

    async fn list(&self, model: &str) -> Result<Arc<Manifest>, FilesRefused> {
        let unknown = || FilesRefused::UnknownModel { model: model.chars().take(128).collect() };
        let place = self.places.load().get(model).ok_or_else(unknown)?.clone();
        let kept = self.folder.join(KEPT).join(format!("{}.json", names::folder(model)));
        let mut lists = self.lists.lock().await;
        let known = lists.get(model).map(Arc::clone).unwrap_or_default();
        let looked = tokio::task::spawn_blocking(move || look(&place, &kept, &known)).await;
        let list = looked.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
        let list = Arc::new(list);
        lists.insert(model.to_owned(), Arc::clone(&list));
        Ok(list)
    }

    async fn file(&self, wanted: FileWanted, writer: &mut FrameWriter) -> Result<(), Ended> {
        let FileWanted { model, name, offset } = wanted;
        let list = self.list(&model).await?;
        let unknown = || FilesRefused::UnknownFile { name: name.chars().take(240).collect() };
        let entry = list.files.iter().find(|entry| entry.name.as_str() == name).ok_or_else(unknown)?;
        if offset > entry.size {
            return Err(FilesRefused::Offset { offset, size: entry.size }.into());
        }
        let place = self.places.load().get(&model).ok_or_else(unknown)?.clone();
        let changed = || FilesRefused::Changed { name: entry.name.to_string() };
        let path = root(&place).join(entry.name.as_str());
        let file = open(&path).map_err(|error| unreadable(&error))?;
        if !file.metadata().is_ok_and(|meta| entry.is(&meta)) {
            return Err(changed().into());
        }
        let mut file = tokio::fs::File::from_std(file);
        file.seek(io::SeekFrom::Start(offset)).await.map_err(|error| unreadable(&error))?;
        let mut left = entry.size - offset;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
            let mut bytes = vec![0; room];
            let count = file.read(&mut bytes).await.map_err(|error| unreadable(&error))?;
            if count == 0 {
                return Err(changed().into());
            }
            bytes.truncate(count);
            left -= count as u64;
            send(writer, FileChunk { bytes }).await?;
        }
        Ok(send(writer, FileEnd {}).await?)
    }
}

impl Beside for FileServer {
    fn answer(&self, first: Frame, stream: Duplex) -> BoxFuture<'_, ()> {
        Box::pin(self.stream(first, stream))
    }
}

/// Sends a frame; who reads nothing for long is gone.
async fn send(writer: &mut FrameWriter, frame: impl Into<Frame>) -> Result<(), SendError> {
    let sent = tokio::time::timeout(PATIENCE, writer.send(frame)).await;
    sent.unwrap_or_else(|_| Err(transport::error::StreamError::Stopped(Code::Late).into()))
}

fn unreadable(error: &dyn std::error::Error) -> FilesRefused {
    FilesRefused::Unreadable { problem: error.to_string().chars().take(1000).collect() }
}

/// The folder of what the engine opens.
fn root(place: &Path) -> &Path {
    if place.is_dir() { place } else { place.parent().unwrap_or(Path::new("")) }
}

/// A link would lead out of the folder.
fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits()).open(path)
}

/// The files of a model with their hashes, of which those are computed that are not known. Blocks.
fn look(place: &Path, kept: &Path, known: &Manifest) -> io::Result<Manifest> {
    let folder = root(place);
    let mut names = Vec::new();
    if place.is_dir() {
        for entry in std::fs::read_dir(place)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
    } else {
        names.extend(place.file_name().and_then(|name| name.to_str()).map(str::to_owned));
    }
    let chosen = choose(names.iter().map(String::as_str).filter(|name| !name.contains('\\')));
    let chosen = chosen.map_err(|problem| io::Error::new(io::ErrorKind::NotFound, problem.to_string()))?;
    let fetched = Manifest::load(folder);
    let served = Manifest::read(kept).unwrap_or_default();
    let mut list = Manifest { complete: true, ..Manifest::default() };
    let mut computed = false;
    for name in chosen {
        let Ok(name) = SafeName::new(name) else { continue };
        let path = folder.join(name.as_str());
        let meta = std::fs::symlink_metadata(&path)?;
        let cached =
            [known, &fetched, &served].into_iter().find_map(|all| all.entry(&name).filter(|entry| entry.is(&meta)));
        list.put(match cached {
            Some(entry) => entry.clone(),
            None => {
                tracing::info!("hashing {} once, for other nodes", path.display());
                computed = true;
                survey(&path, name)?
            }
        });
    }
    if computed && let Some(folder) = kept.parent() {
        let saved = std::fs::create_dir_all(folder).and_then(|()| list.write(kept));
        if let Err(error) = saved {
            tracing::warn!("{}: {error}; its hashes are computed again at the next start", kept.display());
        }
    }
    Ok(list)
}
