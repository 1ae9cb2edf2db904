//! Frames over a stream of bytes.
//!
//! Rules: a frame's length is checked before a byte of it is kept; what cannot be read stops the stream
//! with a code and leaves the connection alone. A half that is dropped before its end is reset, never
//! finished: the peer must not take a cut for an end.

use std::fmt;
use std::time::Duration;

use protocol::frame::{Frame, Kind, ReadError, WriteError};

use crate::BoxFuture;
use crate::error::{Code, StreamError};

/// The bytes of a stream, outgoing.
pub trait ByteWriter: Send + Sync {
    /// Waits until all bytes are taken. To drop the future may leave a part of them sent.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), StreamError>>;
    /// Nothing follows.
    fn finish(&mut self);
    /// Nothing of it matters any more.
    fn reset(&mut self, code: Code);
    /// Resolves when the peer stops reading, or the connection is lost.
    fn stopped(&self) -> BoxFuture<'static, StreamError>;
    /// Higher goes first.
    fn set_priority(&self, priority: i32);
}

/// The bytes of a stream, incoming.
pub trait ByteReader: Send + Sync {
    /// Appends what is there to `into` and returns how much; 0 at the end. To drop the future loses
    /// nothing.
    fn read<'a>(&'a mut self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize, StreamError>>;
    /// Reads no further.
    fn stop(&mut self, code: Code);
}

/// Frames, outgoing.
pub struct FrameWriter {
    bytes: Box<dyn ByteWriter>,
    buffer: Vec<u8>,
    /// A frame is under way, or was cut when its future was dropped.
    cut: bool,
    ended: bool,
}

/// Frames, incoming.
pub struct FrameReader {
    bytes: Box<dyn ByteReader>,
    buffer: Vec<u8>,
    /// The last frame was read.
    finished: bool,
    /// Reading was given up: a second read must not take that for the end.
    stopped: bool,
}

/// Both halves of a stream.
pub type Duplex = (FrameWriter, FrameReader);

/// A frame cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is too long for its kind.
    #[error(transparent)]
    Frame(#[from] WriteError),
    /// The stream has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// A frame cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// The bytes are no frame.
    #[error(transparent)]
    Frame(#[from] ReadError),
    /// The stream was finished in the middle of a frame.
    #[error("the stream ended in the middle of a frame, {0} bytes into it")]
    CutOff(usize),
    /// The stream was finished where a frame was due.
    #[error("the stream ended where {0} was due")]
    Missing(&'static str),
    /// A frame of another kind was due.
    #[error("expected {wanted}, got {got:?}")]
    Unexpected {
        /// What was due.
        wanted: &'static str,
        /// What came.
        got: Kind,
    },
    /// Nothing came in time.
    #[error("no frame came within {0:?}")]
    Late(Duration),
    /// The stream has ended.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl RecvError {
    /// What the peer is told.
    pub fn code(&self) -> Code {
        match self {
            Self::Frame(_) | Self::CutOff(_) => Code::Malformed,
            Self::Missing(_) | Self::Unexpected { .. } => Code::Unexpected,
            Self::Late(_) => Code::Late,
            Self::Stream(_) => Code::Cancelled,
        }
    }
}

impl FrameWriter {
    /// Over a stream of bytes.
    pub fn new(bytes: Box<dyn ByteWriter>) -> Self {
        Self { bytes, buffer: Vec::new(), cut: false, ended: false }
    }

    /// Sends a frame; waits while the peer's window is full. To drop the future may cut the frame:
    /// nothing more can then be sent, and even `finish` resets the stream.
    ///
    /// # Errors
    /// A frame too long, or a stream that has ended.
    pub async fn send(&mut self, frame: impl Into<Frame>) -> Result<(), SendError> {
        self.hold(frame)?;
        self.flush().await
    }

    /// Keeps a frame back, to go out in one piece with those that follow.
    ///
    /// # Errors
    /// A frame too long.
    pub fn hold(&mut self, frame: impl Into<Frame>) -> Result<(), WriteError> {
        let held = self.buffer.len();
        let written = frame.into().write(&mut self.buffer);
        if written.is_err() {
            self.buffer.truncate(held);
        }
        written
    }

    /// Sends what was kept back. To drop the future may cut a frame, as in [`FrameWriter::send`].
    ///
    /// # Errors
    /// A stream that has ended.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        if self.cut {
            return Err(StreamError::Ended.into());
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.cut = true;
        self.bytes.write(&self.buffer).await?;
        self.cut = false;
        self.buffer.clear();
        Ok(())
    }

    /// Nothing follows.
    pub fn finish(mut self) {
        if !self.cut {
            self.ended = true;
            self.bytes.finish();
        }
    }

    /// Nothing of it matters any more.
    pub fn reset(mut self, code: Code) {
        self.ended = true;
        self.bytes.reset(code);
    }

    /// Resolves when the peer stops reading, or the connection is lost.
    pub fn stopped(&self) -> BoxFuture<'static, StreamError> {
        self.bytes.stopped()
    }

    /// Higher goes first: control above answers.
    pub fn set_priority(&self, priority: i32) {
        self.bytes.set_priority(priority);
    }

    /// Bytes that are no frame, for tests of the other side.
    ///
    /// # Errors
    /// A stream that has ended.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.bytes.write(bytes).await
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.bytes.reset(Code::Cancelled);
        }
    }
}

impl FrameReader {
    /// Over a stream of bytes.
    pub fn new(bytes: Box<dyn ByteReader>) -> Self {
        Self { bytes, buffer: Vec::new(), finished: false, stopped: false }
    }

    /// The next frame, or none after the last. To drop the future loses nothing.
    ///
    /// # Errors
    /// What is no frame; the stream is then stopped with a code.
    pub async fn recv(&mut self) -> Result<Option<Frame>, RecvError> {
        let outcome = self.next().await;
        match &outcome {
            Ok(Some(_)) => {}
            Ok(None) => self.finished = true,
            Err(error) => self.end(error.code()),
        }
        outcome
    }

    /// The next frame, which must come in time.
    ///
    /// # Errors
    /// As [`FrameReader::recv`]; silence, which stops the stream with [`Code::Late`]; the stream's end.
    pub async fn recv_within(&mut self, limit: Duration, wanted: &'static str) -> Result<Frame, RecvError> {
        match tokio::time::timeout(limit, self.recv()).await {
            Ok(Ok(Some(frame))) => Ok(frame),
            Ok(Ok(None)) => Err(RecvError::Missing(wanted)),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.end(Code::Late);
                Err(RecvError::Late(limit))
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Frame>, RecvError> {
        if self.stopped {
            return Err(StreamError::Ended.into());
        }
        loop {
            if let Some((frame, length)) = Frame::read(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(Some(frame));
            }
            if self.finished {
                return Ok(None);
            }
            if self.bytes.read(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(RecvError::CutOff(self.buffer.len())) };
            }
        }
    }

    /// Reads no further.
    pub fn stop(mut self, code: Code) {
        self.end(code);
    }

    fn end(&mut self, code: Code) {
        if !self.finished && !self.stopped {
            self.stopped = true;
            self.bytes.stop(code);
        }
        self.buffer.clear();
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}
