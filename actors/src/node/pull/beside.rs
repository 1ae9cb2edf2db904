//! What else a peer may ask for on the same connection: its streams are told apart by their first frame.

use protocol::frame::Frame;
use transport::BoxFuture;
use transport::error::Code;
use transport::frames::Duplex;

/// Who answers the streams of peers that are no pulls.
pub trait Beside: Send + Sync + 'static {
    /// Answers the stream that began with this frame, to its end. To drop the future is to stop.
    fn answer(&self, first: Frame, stream: Duplex) -> BoxFuture<'_, ()>;
}

/// Nobody: every other stream is refused.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Beside for Nobody {
    fn answer(&self, _: Frame, (writer, reader): Duplex) -> BoxFuture<'_, ()> {
        reader.stop(Code::Unexpected);
        writer.reset(Code::Unexpected);
        Box::pin(async {})
    }
}
