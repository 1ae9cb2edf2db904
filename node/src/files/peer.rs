//! Another node of the cluster that has the files: asked over QUIC, both sides certified.
//!
//! Rules: that it is of the cluster does not make its words true. Its list is bounded, its names are checked, and every
//! file must have the hash that the list gave.

use std::sync::Arc;

use axum::body::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use protocol::files::{FileList, FileWanted, FilesRefused, FilesWanted, MAX_FILES};
use protocol::frame::Frame;
use transport::BoxFuture;
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, RecvError};

use super::ObtainError;
use super::choose::choose;
use super::hash::Expect;
use super::names::SafeName;
use super::origin::{Fault, Listing, Opened, Origin, Pace, Wanted};

/// Behind tokens, reports and cached blocks.
pub(crate) const PRIORITY: i32 = -20;

/// A node that may have a model.
pub(crate) struct Peer {
    pub(crate) model: String,
    pub(crate) address: String,
    pub(crate) connection: Arc<dyn Connection>,
    pub(crate) pace: Pace,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connection.close(Code::Done, "");
    }
}

impl Peer {
    async fn listing(&self) -> Result<Listing, Fault> {
        let mut reader = self.ask(FilesWanted { model: self.model.clone() }).await?;
        match reader.recv_within(self.pace.listing, "a list of files").await.map_err(passing)? {
            Frame::FileList(list) => self.judge(&list).map_err(Fault::from),
            other => Err(self.unexpected(other)),
        }
    }

    fn judge(&self, list: &FileList) -> Result<Listing, ObtainError> {
        let wrong = |problem: String| ObtainError::Peer { address: self.address.clone(), problem };
        if list.files.is_empty() || list.files.len() > MAX_FILES {
            return Err(wrong(format!("it lists {} files", list.files.len())));
        }
        let sum = list.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size));
        if sum != Some(list.total) {
            return Err(wrong(format!("it lists {sum:?} bytes and says {}", list.total)));
        }
        let names = choose(list.files.iter().map(|file| file.name.as_str()));
        let names = names.map_err(|problem| wrong(format!("what it lists is no model: {problem}")))?;
        let mut files: Vec<Wanted> = Vec::new();
        for file in list.files.iter().filter(|file| names.contains(&file.name.as_str())) {
            let name = SafeName::new(&file.name)?;
            if files.iter().any(|known| known.name == name) {
                return Err(wrong(format!("it lists {name} twice")));
            }
            let expect = Expect { sha256: Some(file.sha256), git: None };
            files.push(Wanted { name, size: file.size, expect, remote: file.name.clone() });
        }
        Ok(Listing { files, commit: None })
    }

    async fn bytes(&self, file: &Wanted, offset: u64) -> Result<Opened, Fault> {
        let wanted = FileWanted { model: self.model.clone(), name: file.remote.clone(), offset };
        let reader = self.ask(wanted).await?;
        let address = self.address.clone();
        let bytes = unfold(Some(reader), move |reader| {
            let address = address.clone();
            async move {
                let mut reader = reader?;
                let fault = match reader.recv().await {
                    Ok(Some(Frame::FileChunk(chunk))) => return Some((Ok(Bytes::from(chunk.bytes)), Some(reader))),
                    Ok(Some(Frame::FileEnd(_))) => return None,
                    Ok(Some(other)) => unexpected(&address, other),
                    Ok(None) => Fault::Passing("the stream has ended in the middle of the file".to_owned()),
                    Err(error) => passing(error),
                };
                Some((Err(fault), None))
            }
        });
        Ok(Opened { begins: offset, bytes: bytes.boxed() })
    }

    /// Opens a stream and says what is wanted; there is nothing more to say on it.
    async fn ask(&self, wanted: impl Into<Frame>) -> Result<FrameReader, Fault> {
        let (mut writer, reader) = self.connection.open().await.map_err(|lost| Fault::Passing(lost.to_string()))?;
        writer.set_priority(PRIORITY);
        writer.send(wanted).await.map_err(|error| Fault::Passing(error.to_string()))?;
        writer.finish();
        Ok(reader)
    }

    fn unexpected(&self, frame: Frame) -> Fault {
        unexpected(&self.address, frame)
    }
}

impl Origin for Peer {
    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>> {
        Box::pin(self.listing())
    }

    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>> {
        Box::pin(self.bytes(file, offset))
    }
}

fn passing(error: RecvError) -> Fault {
    Fault::Passing(error.to_string())
}

fn unexpected(address: &str, frame: Frame) -> Fault {
    let problem = match frame {
        Frame::FilesRefused(busy @ FilesRefused::Busy { .. }) => return Fault::Passing(busy.to_string()),
        Frame::FilesRefused(refused) => refused.to_string(),
        other => format!("{:?} has no place here", other.kind()),
    };
    ObtainError::Peer { address: address.to_owned(), problem }.into()
}
