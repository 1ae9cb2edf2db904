//! The two halves of a stream's direction.

use std::sync::Arc;

use actors::watch;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use transport::BoxFuture;
use transport::error::{Code, Lost, StreamError};
use transport::frames::{ByteReader, ByteWriter, FrameReader, FrameWriter};

use super::line::Direction;

/// Writes that may be under way or unread; one more waits.
const WINDOW: usize = 16;

/// How a direction was ended, as far as the reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriterEnd {
    Open,
    Finished,
    Reset(Code),
}

struct Writer {
    line: Arc<Direction>,
    /// When the last packet of this stream arrives: none overtakes another.
    last: Option<Instant>,
    bytes: mpsc::Sender<Vec<u8>>,
    window: Arc<Semaphore>,
    end: Arc<watch::Sender<WriterEnd>>,
    stopped: watch::Receiver<Option<Code>>,
    lost: watch::Receiver<Option<Lost>>,
}

struct Reader {
    /// The way back, for what the writer must know.
    back: Arc<Direction>,
    bytes: mpsc::Receiver<Vec<u8>>,
    window: Arc<Semaphore>,
    end: watch::Receiver<WriterEnd>,
    stop: Arc<watch::Sender<Option<Code>>>,
    lost: watch::Receiver<Option<Lost>>,
}

/// One direction of a stream: over `line`, and `back` for what the reader says. `writer` and `reader` tell why their
/// connection is gone; its first packet arrives after `opened`.
pub(super) fn pipe(
    (line, back): (&Arc<Direction>, &Arc<Direction>),
    (writer, reader): (&watch::Sender<Option<Lost>>, &watch::Sender<Option<Lost>>),
    opened: Option<Instant>,
) -> (FrameWriter, FrameReader) {
    let (bytes, received) = mpsc::channel(WINDOW);
    let end = Arc::new(watch::Sender::new(WriterEnd::Open));
    let ended = end.subscribe();
    let stop = Arc::new(watch::Sender::new(None));
    let stopped = stop.subscribe();
    let window = Arc::new(Semaphore::new(WINDOW));
    let writer = Writer {
        line: Arc::clone(line),
        last: opened,
        bytes,
        window: Arc::clone(&window),
        end,
        stopped,
        lost: writer.subscribe(),
    };
    let reader = Reader { back: Arc::clone(back), bytes: received, window, end: ended, stop, lost: reader.subscribe() };
    (FrameWriter::new(Box::new(writer)), FrameReader::new(Box::new(reader)))
}

/// Why a connection is gone, once it is.
pub(super) async fn gone(mut lost: watch::Receiver<Option<Lost>>) -> Lost {
    match lost.wait_for(Option::is_some).await {
        Ok(lost) => lost.clone().unwrap_or(Lost::Here),
        Err(_) => Lost::Here,
    }
}

async fn stopped(mut stop: watch::Receiver<Option<Code>>) -> Code {
    let said = stop.wait_for(Option::is_some).await.ok().and_then(|code| *code);
    match said {
        Some(code) => code,
        // The reader is gone, and its last word is on its way or lost with its machine.
        None => std::future::pending().await,
    }
}

impl Writer {
    fn end(&mut self, how: WriterEnd) {
        let end = Arc::clone(&self.end);
        self.last = Some(self.line.send(1, self.last, move || {
            end.send_if_modified(|state| {
                let first = *state == WriterEnd::Open;
                *state = if first { how } else { *state };
                first
            });
        }));
    }
}

impl ByteWriter for Writer {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async {
            let permit = tokio::select! {
                biased;
                lost = gone(self.lost.clone()) => return Err(lost.into()),
                code = stopped(self.stopped.clone()) => return Err(StreamError::Stopped(code)),
                permit = self.window.acquire() => permit,
            };
            // It is never closed; the reader gives it back.
            if let Ok(permit) = permit {
                permit.forget();
            }
            let (sender, sent) = (self.bytes.clone(), bytes.to_vec());
            // The window leaves room; a reader that is gone needs nothing.
            self.last = Some(self.line.send(bytes.len(), self.last, move || drop(sender.try_send(sent))));
            Ok(())
        })
    }

    fn finish(&mut self) {
        self.end(WriterEnd::Finished);
    }

    fn reset(&mut self, code: Code) {
        self.end(WriterEnd::Reset(code));
    }

    fn stopped(&self) -> BoxFuture<'static, StreamError> {
        let (stop, lost) = (self.stopped.clone(), self.lost.clone());
        Box::pin(async {
            tokio::select! {
                biased;
                lost = gone(lost) => lost.into(),
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
                lost = gone(self.lost.clone()) => Err(lost.into()),
                code = reset => Err(StreamError::Reset(code)),
                bytes = next(&mut self.bytes, self.end.clone()) => match bytes {
                    Some(bytes) => {
                        self.window.add_permits(1);
                        into.extend_from_slice(&bytes);
                        Ok(bytes.len())
                    }
                    None => Ok(0),
                },
            }
        })
    }

    fn stop(&mut self, code: Code) {
        let stop = Arc::clone(&self.stop);
        self.back.send(1, None, move || {
            stop.send_replace(Some(code));
        });
    }
}

/// The next bytes, or none when the writer has finished and all was read. For ever nothing where the writer's machine
/// is gone: its connection tells.
async fn next(bytes: &mut mpsc::Receiver<Vec<u8>>, mut end: watch::Receiver<WriterEnd>) -> Option<Vec<u8>> {
    let finished = async {
        if end.wait_for(|end| *end == WriterEnd::Finished).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        Some(bytes) = bytes.recv() => Some(bytes),
        () = finished => bytes.try_recv().ok(),
    }
}
