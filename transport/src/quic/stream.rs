//! quinn's streams and connections behind our traits.

use protocol::ids::NodeId;
use quinn::{ReadError, VarInt, WriteError};

use super::{lost, peer};
use crate::BoxFuture;
use crate::connection::{Connection, Peer};
use crate::error::{Code, Lost, StreamError};
use crate::frames::{ByteReader, ByteWriter, Duplex, FrameReader, FrameWriter};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// A connection over QUIC.
#[derive(Debug)]
pub struct QuicConnection {
    connection: quinn::Connection,
    peer: Peer,
    /// Keeps the socket of a dialled connection.
    endpoint: Option<quinn::Endpoint>,
}

impl QuicConnection {
    pub(super) fn new(connection: quinn::Connection, node: Option<NodeId>, endpoint: Option<quinn::Endpoint>) -> Self {
        let peer = peer(&connection, node);
        Self { connection, peer, endpoint }
    }

    /// Waits until a closed connection's peer was told, on the dialling side: before a process ends.
    pub async fn drained(&self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.wait_idle().await;
        }
    }
}

fn duplex((send, recv): (quinn::SendStream, quinn::RecvStream)) -> Duplex {
    (FrameWriter::new(Box::new(Writer(send))), FrameReader::new(Box::new(Reader(recv))))
}

fn number(code: Code) -> VarInt {
    VarInt::from_u32(code.number())
}

fn code(number: VarInt) -> Code {
    Code::from_number(number.into_inner())
}

impl Connection for QuicConnection {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async { self.connection.open_bi().await.map(duplex).map_err(lost) })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>> {
        Box::pin(async { self.connection.accept_bi().await.map(duplex).map_err(lost) })
    }

    fn close(&self, code: Code, reason: &str) {
        self.connection.close(number(code), reason.as_bytes());
    }

    fn closed(&self) -> BoxFuture<'static, Lost> {
        let connection = self.connection.clone();
        Box::pin(async move { lost(connection.closed().await) })
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }
}

struct Writer(quinn::SendStream);

impl ByteWriter for Writer {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async {
            self.0.write_all(bytes).await.map_err(|error| match error {
                WriteError::Stopped(why) => StreamError::Stopped(code(why)),
                WriteError::ConnectionLost(error) => lost(error).into(),
                WriteError::ClosedStream | WriteError::ZeroRttRejected => StreamError::Ended,
            })
        })
    }

    fn finish(&mut self) {
        // An error says that the stream has ended already.
        let _ = self.0.finish();
    }

    fn reset(&mut self, code: Code) {
        let _ = self.0.reset(number(code));
    }

    fn stopped(&self) -> BoxFuture<'static, StreamError> {
        let stopped = self.0.stopped();
        Box::pin(async move {
            match stopped.await {
                Ok(Some(why)) => StreamError::Stopped(code(why)),
                Ok(None) => StreamError::Ended,
                Err(quinn::StoppedError::ConnectionLost(error)) => lost(error).into(),
                Err(quinn::StoppedError::ZeroRttRejected) => StreamError::Ended,
            }
        })
    }

    fn set_priority(&self, priority: i32) {
        let _ = self.0.set_priority(priority);
    }
}

struct Reader(quinn::RecvStream);

impl ByteReader for Reader {
    fn read<'a>(&'a mut self, into: &'a mut Vec<u8>) -> BoxFuture<'a, Result<usize, StreamError>> {
        Box::pin(async move {
            match self.0.read_chunk(CHUNK, true).await {
                Ok(Some(chunk)) => {
                    into.extend_from_slice(&chunk.bytes);
                    Ok(chunk.bytes.len())
                }
                Ok(None) => Ok(0),
                Err(ReadError::Reset(why)) => Err(StreamError::Reset(code(why))),
                Err(ReadError::ConnectionLost(error)) => Err(lost(error).into()),
                Err(_) => Err(StreamError::Ended),
            }
        })
    }

    fn stop(&mut self, code: Code) {
        let _ = self.0.stop(number(code));
    }
}
