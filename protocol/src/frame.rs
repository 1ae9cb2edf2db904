//! Frames: `length: u32`, `kind: u16`, both little-endian, then the body. The length counts kind and body.
//!
//! Each kind has a fixed number and a limit of its own. A number that is taken out of use stays
//! reserved, so that an old machine is never misread. This file only turns bytes into messages and
//! back; reading them from a stream is the transport's work.

pub mod fuzz;

use crate::cache::{CacheBatch, CacheResync};
use crate::codec::{self, DecodeError, EncodeError};
use crate::escrow::{EscrowAnswer, EscrowTell};
use crate::files::{FileChunk, FileEnd, FileList, FileWanted, FilesRefused, FilesWanted, MAX_CHUNK};
use crate::manage::{AnswerManage, AskManage};
use crate::message::{
    Answered, Ask, AskStatus, Begun, ClientHello, ClientRefused, ClientWelcome, Drain, Failed, FetchText, Finished,
    Goodbye, Granted, Hello, Join, JoinRefused, Joined, Order, OrderNode, Ordered, Refusal, Refused, Report, Status,
    Submit, TextChunk, TokenBatch, Welcome,
};
use crate::pull::{PullBlocks, PullRefused, PulledBlock, PulledEnd};
use crate::serving::Serving;
use crate::tree::Tree;

/// Bytes before the kind: the length.
pub const LENGTH_BYTES: usize = 4;
/// Bytes of the kind.
pub const KIND_BYTES: usize = 2;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

macro_rules! frames {
    ($($(#[$doc:meta])* $number:literal $name:ident($message:ty), $limit:expr;)*) => {
        /// What a frame carries. The numbers never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// By number.
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The longest body in bytes.
            pub fn limit(self) -> usize {
                match self {
                    $(Self::$name => $limit,)*
                }
            }
        }

        /// One message with its kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Frame {
            $($(#[$doc])* $name($message),)*
        }

        impl Frame {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$name(_) => Kind::$name,)*
                }
            }

            fn encode_body(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(message) => codec::encode(message, out),)*
                }
            }

            fn decode_body(kind: Kind, body: &[u8]) -> Result<Self, DecodeError> {
                match kind {
                    $(Kind::$name => codec::decode::<$message>(body).map(Self::$name),)*
                }
            }
        }

        $(impl From<$message> for Frame {
            fn from(message: $message) -> Self {
                Self::$name(message)
            }
        })*
    };
}

frames! {
    // Control, 1 to 15.
    /// Control: a node presents itself.
    1 Hello(Hello), 256 * KIB;
    /// Control: it is taken in.
    2 Welcome(Welcome), 4 * KIB;
    /// Control: it is not.
    3 Refusal(Refusal), 4 * KIB;
    /// Control: how a node is.
    4 Report(Report), 64 * KIB;
    /// Control: a node takes nothing new from now on.
    5 Drain(Drain), 64;
    /// Control: a node leaves.
    6 Goodbye(Goodbye), 4 * KIB;
    /// Control: what an operator wants of the node.
    7 Order(Order), KIB;
    /// Control: who runs in the node.
    8 Tree(Tree), 256 * KIB;
    /// Control: which models the node serves from now on.
    9 Serving(Serving), 512 * KIB;
    // Attempt, 16 to 31.
    /// Attempt: a job for a node.
    16 Submit(Submit), 8 * MIB;
    /// Attempt: it was taken.
    17 Granted(Granted), 64;
    /// Attempt: it was not.
    18 Refused(Refused), 4 * KIB;
    /// Attempt: its prefill has begun.
    19 Begun(Begun), 64;
    /// Attempt: tokens of the answer.
    20 Tokens(TokenBatch), 4 * MIB;
    /// Attempt: it ended well.
    21 Finished(Finished), 256;
    /// Attempt: it failed.
    22 Failed(Failed), 16 * KIB;
    // Text, 32 to 47.
    /// Text: asks for a tokenizer.
    32 FetchText(FetchText), 64;
    /// Text: a part of it.
    33 TextChunk(TextChunk), MIB + KIB;
    // Events, 48 to 63: stored and removed KV blocks.
    /// Events: what a cache has stored and removed.
    48 CacheBatch(CacheBatch), MIB;
    /// Events: tell all anew.
    49 CacheResync(CacheResync), KIB;
    // Join, 64 to 79.
    /// Join: asks for a certificate.
    64 Join(Join), 16 * KIB;
    /// Join: here it is.
    65 Joined(Joined), 64 * KIB;
    /// Join: there is none.
    66 JoinRefused(JoinRefused), 4 * KIB;
    // Clients, 80 to 95.
    /// Client: presents its key.
    80 ClientHello(ClientHello), 4 * KIB;
    /// Client: may ask.
    81 ClientWelcome(ClientWelcome), 4 * KIB;
    /// Client: may not.
    82 ClientRefused(ClientRefused), 16 * KIB;
    /// Client: a request.
    83 Ask(Ask), 8 * MIB;
    /// Client: a piece of the answer.
    84 Answered(Answered), 8 * MIB;
    /// Client: wants to see the cluster.
    85 AskStatus(AskStatus), 64;
    /// Client: the cluster.
    86 Status(Status), 8 * MIB;
    /// Client: wants something of a node.
    87 OrderNode(OrderNode), 2 * KIB;
    /// Client: whether it was passed on.
    88 Ordered(Ordered), 16 * KIB;
    /// Client: an operator wants something of keys, budgets or usage.
    89 AskManage(AskManage), 256 * KIB;
    /// Client: what came of it.
    90 AnswerManage(AnswerManage), 8 * MIB;
    /// Client: another coordinator tells what it has spent of shared budgets.
    91 EscrowTell(EscrowTell), 8 * MIB;
    /// Client: what it may spend from now on.
    92 EscrowAnswer(EscrowAnswer), 8 * MIB;
    // Blocks between nodes, 96 to 103.
    /// Pull: a node wants cached blocks.
    96 PullBlocks(PullBlocks), 256 * KIB;
    /// Pull: one of them.
    97 PulledBlock(PulledBlock), 15 * MIB + KIB;
    /// Pull: that was all.
    98 PulledEnd(PulledEnd), 64;
    /// Pull: none come.
    99 PullRefused(PullRefused), 4 * KIB;
    // Files, 112 to 127: model files from node to node.
    /// Files: a node wants to know which files a model has.
    112 FilesWanted(FilesWanted), KIB;
    /// Files: these.
    113 FileList(FileList), 512 * KIB;
    /// Files: a node wants one.
    114 FileWanted(FileWanted), 2 * KIB;
    /// Files: a part of it.
    115 FileChunk(FileChunk), MAX_CHUNK + KIB;
    /// Files: that was all of it.
    116 FileEnd(FileEnd), 64;
    /// Files: nothing comes.
    117 FilesRefused(FilesRefused), 4 * KIB;
}

/// A frame cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The codec refused.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Longer than its kind may be.
    #[error("a {kind:?} frame has {length} bytes, its limit is {limit}")]
    TooLong {
        /// Its kind.
        kind: Kind,
        /// Its body's length.
        length: usize,
        /// The bound.
        limit: usize,
    },
}

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Too short to hold a kind.
    #[error("a frame of {0} bytes cannot hold its kind")]
    TooShort(usize),
    /// Longer than any frame may be.
    #[error("a frame of {length} bytes: the limit is {limit}")]
    TooLong {
        /// What it claims.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// No such kind in this version.
    #[error("frame kind {0} is unknown")]
    UnknownKind(u16),
    /// The body is not what the kind promises.
    #[error("a {kind:?} frame: {error}")]
    Body {
        /// Its kind.
        kind: Kind,
        /// What is wrong.
        error: DecodeError,
    },
}

impl Frame {
    /// Appends length, kind and body to `out`; leaves `out` as it was on an error.
    ///
    /// # Errors
    /// A body longer than its kind may be.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let start = out.len();
        let kind = self.kind();
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        out.extend_from_slice(&(kind as u16).to_le_bytes());
        let body = out.len();
        let outcome = self.encode_body(out).map_err(WriteError::from).and_then(|()| {
            let length = out.len() - body;
            if length > kind.limit() {
                Err(WriteError::TooLong { kind, length, limit: kind.limit() })
            } else {
                Ok(length)
            }
        });
        match outcome {
            Ok(length) => {
                // Limits are far below u32::MAX, see `limits_fit`.
                let length = u32::try_from(length + KIND_BYTES).unwrap_or(u32::MAX);
                if let Some(place) = out.get_mut(start..start + LENGTH_BYTES) {
                    place.copy_from_slice(&length.to_le_bytes());
                }
                Ok(())
            }
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    /// Checks the length field of a frame before anything is allocated for it.
    ///
    /// # Errors
    /// A length outside of what any frame may have.
    pub fn check_length(length: u32) -> Result<usize, ReadError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let limit = codec::MAX_BODY + KIND_BYTES;
        if length < KIND_BYTES {
            Err(ReadError::TooShort(length))
        } else if length > limit {
            Err(ReadError::TooLong { length, limit })
        } else {
            Ok(length)
        }
    }

    /// Checks the head of a frame, so that a kind's own limit is enforced before its body is read.
    /// `length` is the length field: it counts the kind's two bytes.
    ///
    /// # Errors
    /// An unknown kind, or a length above the kind's limit.
    pub fn check_head(length: u32, kind: u16) -> Result<(Kind, usize), ReadError> {
        let body = Self::check_length(length)? - KIND_BYTES;
        let kind = Kind::from_number(kind).ok_or(ReadError::UnknownKind(kind))?;
        if body > kind.limit() {
            Err(ReadError::TooLong { length: body, limit: kind.limit() })
        } else {
            Ok((kind, body))
        }
    }

    /// Reads the body of a frame whose head was checked.
    ///
    /// # Errors
    /// A body that is not what the kind promises.
    pub fn read_body(kind: Kind, body: &[u8]) -> Result<Self, ReadError> {
        Self::decode_body(kind, body).map_err(|error| ReadError::Body { kind, error })
    }

    /// Reads one whole frame from the front of `bytes`: the frame and its length in all. None if more
    /// bytes are needed. The entry for tests and fuzzing; streams use the checks above.
    ///
    /// # Errors
    /// Bytes that no further bytes can turn into a frame.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, ReadError> {
        let Some((head, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head);
        Self::check_length(length)?;
        let Some((kind, rest)) = rest.split_first_chunk::<KIND_BYTES>() else { return Ok(None) };
        let (kind, body) = Self::check_head(length, u16::from_le_bytes(*kind))?;
        let Some(bytes) = rest.get(..body) else { return Ok(None) };
        Ok(Some((Self::read_body(kind, bytes)?, LENGTH_BYTES + KIND_BYTES + body)))
    }
}

#[cfg(test)]
mod tests;
