//! Why streams and connections end, in words both sides understand.

use std::fmt;

/// Why a stream was reset or a connection closed. The numbers never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// All was said.
    Done,
    /// Nobody wants the rest.
    Cancelled,
    /// A frame could not be read.
    Malformed,
    /// A frame came too late.
    Late,
    /// A frame came that does not belong there.
    Unexpected,
    /// The peer may not do that.
    Refused,
    /// The process stops.
    Stopping,
    /// A newer connection took its place.
    Superseded,
    /// There are too many streams or connections.
    Full,
    /// A fault of this side.
    Internal,
    /// A number of a newer version.
    Other(u32),
}

const CODES: [(Code, u32); 10] = [
    (Code::Done, 0),
    (Code::Cancelled, 1),
    (Code::Malformed, 2),
    (Code::Late, 3),
    (Code::Unexpected, 4),
    (Code::Refused, 5),
    (Code::Stopping, 6),
    (Code::Superseded, 7),
    (Code::Full, 8),
    (Code::Internal, 9),
];

impl Code {
    /// Its number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            known => CODES.iter().find(|(code, _)| *code == known).map_or(9, |(_, number)| *number),
        }
    }

    /// By its number on the wire.
    pub fn from_number(number: u64) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        CODES.iter().find(|(_, known)| *known == number).map_or(Self::Other(number), |(code, _)| *code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Malformed => "a malformed frame",
            Self::Late => "a late frame",
            Self::Unexpected => "an unexpected frame",
            Self::Refused => "refused",
            Self::Stopping => "the process stops",
            Self::Superseded => "a newer connection took its place",
            Self::Full => "too many at once",
            Self::Internal => "an internal fault",
            Self::Other(number) => return write!(f, "code {number}"),
        };
        f.write_str(words)
    }
}

/// Why a connection is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The peer closed it.
    #[error("the peer closed the connection: {code}{}", also(reason))]
    Closed {
        /// Why.
        code: Code,
        /// In words; may be empty.
        reason: String,
    },
    /// This side closed it.
    #[error("the connection was closed on this side")]
    Here,
    /// Nothing was heard for the idle timeout.
    #[error("the peer has fallen silent")]
    Silent,
    /// The peer knows nothing of it: it was started anew.
    #[error("the peer was started anew")]
    Forgotten,
    /// TLS ended it.
    #[error("the TLS handshake failed: {0}")]
    Tls(Alert),
    /// Anything else.
    #[error("the connection failed: {0}")]
    Other(String),
}

fn also(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// A TLS alert: RFC 8446, section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert(pub u8);

impl Alert {
    /// The two sides share no protocol version.
    pub const NO_PROTOCOL: Self = Self(120);
    /// A certificate has expired.
    pub const EXPIRED: Self = Self(45);
    /// A certificate is of another authority.
    pub const UNKNOWN_CA: Self = Self(48);
    /// A certificate was needed and not given.
    pub const CERTIFICATE_REQUIRED: Self = Self(116);
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match *self {
            Self::NO_PROTOCOL => "the two sides speak no common protocol version: update the older one",
            Self::EXPIRED => {
                "a certificate has expired, or a clock is wrong: remove it from the state folder and join again"
            }
            Self::UNKNOWN_CA => {
                "a certificate is of another cluster: check the CA, or join again with this cluster's token"
            }
            Self::CERTIFICATE_REQUIRED => "a node must show its certificate: join first",
            Self(42..=46) => "a certificate is not accepted: remove it from the state folder and join again",
            Self(number) => return write!(f, "alert {number}"),
        };
        f.write_str(words)
    }
}

/// Why a stream ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer reset what it sent.
    #[error("the peer reset the stream: {0}")]
    Reset(Code),
    /// The peer does not read on.
    #[error("the peer stopped reading the stream: {0}")]
    Stopped(Code),
    /// The connection is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// It was finished or reset on this side.
    #[error("the stream was ended on this side")]
    Ended,
}
