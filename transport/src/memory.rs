//! Connections inside one process, for tests and simulations: ordered, bounded, under paused time.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};

use crate::BoxFuture;
use crate::connection::{Connection, Peer};
use crate::error::{Code, Lost, StreamError};
use crate::frames::{ByteReader, ByteWriter, Duplex, FrameReader, FrameWriter};

/// Writes that may be under way in one direction of a stream; one more waits.
const WINDOW: usize = 4;
/// Streams that wait to be accepted; one more waits to be opened.
const STREAMS: usize = 64;

type End = watch::Sender<Option<Lost>>;

/// One end of a connection in memory.
pub struct MemoryConnection {
    peer: Peer,
    opened: mpsc::Sender<Duplex>,
    incoming: Mutex<mpsc::Receiver<Duplex>>,
    /// Why this end is gone.
    here: Arc<End>,
    /// Why the other end is gone.
    there: Arc<End>,
}

/// Two ends; each sees the peer that is given for it.
pub fn pair(first_sees: Peer, second_sees: Peer) -> (Arc<MemoryConnection>, Arc<MemoryConnection>) {
    let (to_second, from_first) = mpsc::channel(STREAMS);
    let (to_first, from_second) = mpsc::channel(STREAMS);
    let (first, second) = (Arc::new(watch::channel(None).0), Arc::new(watch::channel(None).0));
    let end = |peer, opened, incoming, here: &Arc<End>, there: &Arc<End>| {
        let (here, there) = (Arc::clone(here), Arc::clone(there));
        Arc::new(MemoryConnection { peer, opened, incoming: Mutex::new(incoming), here, there })
    };
    (end(first_sees, to_second, from_second, &first, &second), end(second_sees, to_first, from_first, &second, &first))
}

impl MemoryConnection {
    /// Cuts it: both ends see the other fall silent.
    pub fn sever(&self) {
        set(&self.here, Lost::Silent);
        set(&self.there, Lost::Silent);
    }
}

fn set(end: &End, lost: Lost) {
    end.send_if_modified(|state| {
        let first = state.is_none();
        if first {
            *state = Some(lost);
        }
        first
    });
}

async fn gone(mut end: watch::Receiver<Option<Lost>>) -> Lost {
    match end.wait_for(Option::is_some).await {
        Ok(lost) => lost.clone().unwrap_or(Lost::Here),
        Err(_) => Lost::Silent,
    }
}

impl Connection for MemoryConnection {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async {
            let (our_writer, their_reader) = pipe(&self.here, &self.there);
            let (their_writer, our_reader) = pipe(&self.there, &self.here);
            tokio::select! {
                biased;
                lost = gone(self.here.subscribe()) => Err(lost),
                sent = self.opened.send((their_writer, their_reader)) => match sent {
                    Ok(()) => Ok((our_writer, our_reader)),
                    Err(_) => Err(Lost::Silent),
                },
            }
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async {
            let mut incoming = self.incoming.lock().await;
            tokio::select! {
                biased;
                lost = gone(self.here.subscribe()) => Err(lost),
                stream = incoming.recv() => stream.ok_or(Lost::Silent),
            }
        })
    }

    fn close(&self, code: Code, reason: &str) {
        set(&self.here, Lost::Here);
        set(&self.there, Lost::Closed { code, reason: reason.to_owned() });
    }

    fn closed(&self) -> BoxFuture<'static, Lost> {
        Box::pin(gone(self.here.subscribe()))
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for MemoryConnection {
    /// As QUIC does when the last handle goes.
    fn drop(&mut self) {
        self.close(Code::Done, "");
    }
}

impl fmt::Debug for MemoryConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConnection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// How a direction was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriterEnd {
    Open,
    Finished,
    Reset(Code),
}

struct Writer {
    bytes: mpsc::Sender<Vec<u8>>,
    end: watch::Sender<WriterEnd>,
    stopped: watch::Receiver<Option<Code>>,
    connection: watch::Receiver<Option<Lost>>,
}

struct Reader {
    bytes: mpsc::Receiver<Vec<u8>>,
    end: watch::Receiver<WriterEnd>,
    stopped: watch::Sender<Option<Code>>,
    connection: watch::Receiver<Option<Lost>>,
}

/// One direction, from an end to the other.
fn pipe(from: &End, to: &End) -> (FrameWriter, FrameReader) {
    let (bytes, received) = mpsc::channel(WINDOW);
    let (end, ended) = watch::channel(WriterEnd::Open);
    let (stop, stopped) = watch::channel(None);
    let writer = Writer { bytes, end, stopped, connection: from.subscribe() };
    let reader = Reader { bytes: received, end: ended, stopped: stop, connection: to.subscribe() };
    (FrameWriter::new(Box::new(writer)), FrameReader::new(Box::new(reader)))
}

async fn stopped(mut stop: watch::Receiver<Option<Code>>) -> Code {
    match stop.wait_for(Option::is_some).await {
        Ok(code) => code.unwrap_or(Code::Cancelled),
        Err(_) => Code::Cancelled,
    }
}

impl ByteWriter for Writer {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async {
            tokio::select! {
                biased;
                lost = gone(self.connection.clone()) => Err(lost.into()),
                code = stopped(self.stopped.clone()) => Err(StreamError::Stopped(code)),
                sent = self.bytes.send(bytes.to_vec()) => sent.map_err(|_| StreamError::Stopped(Code::Cancelled)),
            }
        })
    }

    fn finish(&mut self) {
        self.end.send_replace(WriterEnd::Finished);
    }

    fn reset(&mut self, code: Code) {
        self.end.send_replace(WriterEnd::Reset(code));
    }

    fn stopped(&self) -> BoxFuture<'static, StreamError> {
        let (stop, connection) = (self.stopped.clone(), self.connection.clone());
        Box::pin(async {
            tokio::select! {
                biased;
                lost = gone(connection) => lost.into(),
                code = stopped(stop) => StreamError::Stopped(code),
            }
        })
    }

    fn set_priority(&self, _priority: i32) {}
}

impl ByteReader for Reader {
    fn read<'a>(&'a mut self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize, StreamError>> {
        Box::pin(async move {
            let mut end = self.end.clone();
            let reset = async move {
                match end.wait_for(|end| matches!(end, WriterEnd::Reset(_))).await.map(|end| *end) {
                    Ok(WriterEnd::Reset(code)) => code,
                    // Ended otherwise: what is left to read says how.
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                lost = gone(self.connection.clone()) => Err(lost.into()),
                code = reset => Err(StreamError::Reset(code)),
                bytes = next(&mut self.bytes, self.end.clone()) => match bytes {
                    Some(bytes) => {
                        into.extend_from_slice(&bytes);
                        Ok(bytes.len())
                    }
                    None => Ok(0),
                },
            }
        })
    }

    fn stop(&mut self, code: Code) {
        self.stopped.send_replace(Some(code));
    }
}

/// The next bytes, or none when the writer has finished and all was read.
async fn next(bytes: &mut mpsc::Receiver<Vec<u8>>, mut end: watch::Receiver<WriterEnd>) -> Option<Vec<u8>> {
    tokio::select! {
        biased;
        bytes = bytes.recv() => bytes,
        _ = end.wait_for(|end| *end == WriterEnd::Finished) => bytes.try_recv().ok(),
    }
}
