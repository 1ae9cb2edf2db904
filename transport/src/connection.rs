//! A connection to another machine, over whatever it runs.

use std::fmt;

use protocol::ids::NodeId;

use crate::BoxFuture;
use crate::error::{Code, Lost};
use crate::frames::Duplex;

/// A connection with streams in both directions. Each stream lives and fails for itself.
pub trait Connection: Send + Sync + fmt::Debug + 'static {
    /// Opens a stream. The peer learns of it with the first frame.
    fn open(&self) -> BoxFuture<'_, Result<Duplex, Lost>>;

    /// The next stream that the peer opens. To drop the future loses nothing.
    fn accept(&self) -> BoxFuture<'_, Result<Duplex, Lost>>;

    /// Ends the connection and all its streams.
    fn close(&self, code: Code, reason: &str);

    /// Resolves when the connection is gone.
    fn closed(&self) -> BoxFuture<'static, Lost>;

    /// Who is at the other end.
    fn peer(&self) -> &Peer;
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub address: String,
    /// Which node its certificate names.
    pub node: Option<NodeId>,
}
