//! What one node says to another that has cached blocks: the streams of the peer connection.
//!
//! | stream | who opens it | what is said |
//! |---|---|---|
//! | pull | who lacks blocks | `PullBlocks`, then `PulledBlock`… and `PulledEnd`; or `PullRefused` |
//!
//! To reset the stream is to want no more.

use serde::{Deserialize, Serialize};

use crate::engine::{BlockHash, Layout};
use crate::units::Blocks;

/// The longest block in bytes: more does not fit a frame.
pub const MAX_BLOCK: u64 = 15 << 20;
/// The most blocks that are asked for at once.
pub const MAX_BLOCKS: usize = 4096;

/// A node wants the blocks of a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullBlocks {
    /// Of which model.
    pub model: String,
    /// What the blocks must be like.
    pub layout: Layout,
    /// Which, in the order of the prompt; as far as they are cached from the front.
    pub hashes: Vec<BlockHash>,
}

/// One of them. Its keys and values follow in the same frame.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledBlock {
    /// Its name.
    pub hash: BlockHash,
    /// The block before it.
    pub parent: Option<BlockHash>,
    /// Keys and values.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for PulledBlock {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PulledBlock({}, {} bytes)", self.hash, self.bytes.len())
    }
}

/// That was all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledEnd {
    /// How many came.
    pub blocks: Blocks,
}

/// None come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PullRefused {
    /// It lets nobody, or is about to stop.
    #[error("the node hands out no blocks")]
    Closed,
    /// Others are being served.
    #[error("the node serves {limit} pulls already")]
    Busy {
        /// The bound.
        limit: u32,
    },
    /// Not served there.
    #[error("the model '{model}' is not served there")]
    UnknownModel {
        /// Which.
        model: String,
    },
    /// Its blocks mean something else.
    #[error("the blocks there are laid out as {theirs:?}")]
    Layout {
        /// As the refusing node lays them out.
        theirs: Box<Layout>,
    },
    /// More than may be asked for, or too large for a frame.
    #[error("{blocks} of {bytes} bytes each are too many or too large")]
    TooLarge {
        /// How many.
        blocks: Blocks,
        /// Of which size.
        bytes: u64,
    },
}
