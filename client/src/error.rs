//! What can go wrong, one type per operation. Each message says what to do.

use std::time::Duration;

use protocol::answer::JobError;
use protocol::version::VersionMismatch;

use crate::order::Disorder;

/// No connection to the cluster.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// No coordinator was named.
    #[error("no coordinator is given: name one as HOST:PORT")]
    NoAddress,
    /// Not `HOST:PORT`, or a host that nobody knows.
    #[error("'{address}' is not a coordinator's address ({reason}): write HOST:PORT")]
    Address {
        /// As it was given.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The CA file or the fingerprint cannot be used.
    #[error("{0}; take the CA file or its fingerprint from the coordinator's state folder")]
    Trust(String),
    /// The server is not the cluster that we trust.
    #[error(
        "{address} does not prove that it belongs to the trusted cluster: check the address, \
         and take the CA file or the fingerprint from that coordinator's state folder"
    )]
    Untrusted {
        /// Whom we dialled.
        address: String,
    },
    /// It speaks another major version: TLS refused already.
    #[error("{address} does not speak {ours}: update the older of the two")]
    OtherVersion {
        /// Whom we dialled.
        address: String,
        /// What this side speaks.
        ours: String,
    },
    /// It speaks none of our versions.
    #[error(transparent)]
    Version(#[from] VersionMismatch),
    /// It does not know our key.
    #[error("the key is refused: {0}")]
    Denied(JobError),
    /// Nobody answers.
    #[error("no coordinator at {address} after {attempts} tries ({reason}): is it running, and does UDP reach it?")]
    Unreachable {
        /// Whom we dialled last.
        address: String,
        /// How often we tried.
        attempts: u32,
        /// What the last try says.
        reason: String,
    },
    /// It answers too late.
    #[error(
        "{address} did not complete a connection within {} ms, {attempts} tries: \
         is a coordinator running there, and does UDP reach it?",
        .within.as_millis()
    )]
    TimedOut {
        /// Whom we dialled last.
        address: String,
        /// How long each try may take.
        within: Duration,
        /// How often we tried.
        attempts: u32,
    },
    /// It says what no coordinator would.
    #[error("{address} does not greet as a coordinator does ({reason}): check the address")]
    Protocol {
        /// Whom we dialled.
        address: String,
        /// What came instead.
        reason: String,
    },
    /// The system gives no socket.
    #[error("no UDP socket can be opened: {0}")]
    Socket(String),
    /// [`crate::Client::close`] was called.
    #[error("this client was closed: connect again")]
    Closed,
}

impl ConnectError {
    /// Whether another try may end better.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }
}

/// A request was not submitted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is no connection, and none could be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request does not fit a frame.
    #[error("the request cannot be sent: {0}; shorten the prompt")]
    TooLarge(String),
    /// The connection was lost while the request was sent. The cluster may have seen it, so it is not
    /// sent again.
    #[error("the connection was lost while the request was sent ({0}): ask again if it may be answered twice")]
    Interrupted(String),
}

/// An answer ended badly.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AnswerError {
    /// The cluster says why.
    #[error(transparent)]
    Failed(#[from] JobError),
    /// It broke off: the coordinator or the way to it is gone.
    #[error("the answer broke off after {pieces} pieces ({reason}): the coordinator may be gone; ask again")]
    Interrupted {
        /// Pieces that came.
        pieces: u64,
        /// What the connection says.
        reason: String,
    },
    /// Its pieces came in an impossible order.
    #[error("the coordinator answers out of order: {0}; report this as a fault")]
    Disorder(#[from] Disorder),
    /// Something else than a piece of an answer came.
    #[error("the coordinator does not answer as agreed: {0}; report this as a fault")]
    Protocol(String),
}

/// The cluster's state is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StatusError {
    /// There is no connection, and none could be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection was lost.
    #[error("the connection was lost while the cluster was asked ({0}): ask again")]
    Interrupted(String),
    /// What is asked does not fit a frame.
    #[error("it cannot be sent: {0}; ask for less at once")]
    TooLarge(String),
    /// It refuses what was wanted of it.
    #[error(transparent)]
    Refused(JobError),
    /// No answer came in time.
    #[error("the coordinator gave no answer within {} ms: it may be overloaded; ask again", .0.as_millis())]
    TimedOut(Duration),
    /// Something else came.
    #[error("the coordinator does not answer as agreed: {0}; report this as a fault")]
    Protocol(String),
}
