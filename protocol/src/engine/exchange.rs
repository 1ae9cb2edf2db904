//! Cached blocks as they travel from one engine to another.
//!
//! Rules: only blocks of the very same layout are taken: the bytes mean nothing to another one. A block is
//! taken only behind the one before it, so that what is found can be used. What is refused leaves no trace.
//! Who may ask whom, and whether it pays, is decided elsewhere.

use serde::{Deserialize, Serialize};

use super::BlockHash;
use crate::units::Blocks;

/// What the bytes of a block mean. Two engines exchange blocks only if theirs are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Tells one set of weights from another, as in the card.
    pub weights: [u8; 32],
    /// The arithmetic that computed them, as in the card.
    pub dtype: String,
    /// How keys and values are stored and in which order, as `kernels int8`.
    pub format: String,
    /// How blocks are named.
    pub hashing: u16,
    /// Tokens in a block.
    pub block: u32,
    /// Layers.
    pub layers: u32,
    /// Key heads.
    pub heads: u32,
    /// Width of a head.
    pub dim: u32,
    /// Bytes of a block, over all layers.
    pub bytes: u64,
}

/// A cached block with what lies in it.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockData {
    /// Its name.
    pub hash: BlockHash,
    /// The block before it; none if it is the first of a prompt.
    pub parent: Option<BlockHash>,
    /// Keys and values of all layers, as [`Layout`] says.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for BlockData {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hash, parent, bytes } = self;
        write!(f, "BlockData({hash} after {parent:?}, {} bytes)", bytes.len())
    }
}

/// What became of blocks that were to be taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Blocks that are cached now and were not before.
    pub taken: Blocks,
    /// Why the others were not taken, if there were others.
    pub refused: Option<ImportRefusal>,
}

impl From<ImportRefusal> for Imported {
    /// Nothing was taken.
    fn from(refusal: ImportRefusal) -> Self {
        Self { taken: Blocks::ZERO, refused: Some(refusal) }
    }
}

/// Why blocks were not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefusal {
    /// They are of another engine.
    #[error("the blocks are laid out as {theirs:?}, here it is {ours:?}")]
    Layout {
        /// Of this engine.
        ours: Box<Layout>,
        /// Of the blocks.
        theirs: Box<Layout>,
    },
    /// A block is too short or too long.
    #[error("block {hash} has {bytes} bytes, {wanted} are needed")]
    Size {
        /// Which.
        hash: BlockHash,
        /// What came.
        bytes: u64,
        /// What it must have.
        wanted: u64,
    },
    /// What lies before a block is not cached here, nor among the blocks before it.
    #[error("block {hash} comes after one that is not here")]
    UnknownParent {
        /// Which.
        hash: BlockHash,
    },
    /// More than the whole cache.
    #[error("{blocks} came, the cache has {limit}")]
    TooMany {
        /// What came.
        blocks: Blocks,
        /// All there are.
        limit: Blocks,
    },
    /// Jobs hold the rest: nothing is taken from them.
    #[error("no block is free for {left} of them")]
    NoRoom {
        /// How many were left over.
        left: Blocks,
    },
    /// The device refused, or nothing is computed any more.
    #[error("the engine cannot take them: {reason}")]
    Device {
        /// What it said.
        reason: String,
    },
}

/// Checks blocks before any of them is touched: their number, their sizes, and that each follows the one before
/// it. `first` says whether the first one's parent is there, with all that lies before it.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    ours: &Layout,
    theirs: &Layout,
    limit: Blocks,
    blocks: &[BlockData],
    first: impl FnOnce(BlockHash) -> bool,
) -> Result<(), ImportRefusal> {
    if ours != theirs {
        return Err(ImportRefusal::Layout { ours: Box::new(ours.clone()), theirs: Box::new(theirs.clone()) });
    }
    if Blocks::of(blocks.len()) > limit {
        return Err(ImportRefusal::TooMany { blocks: Blocks::of(blocks.len()), limit });
    }
    if let Some(wrong) = blocks.iter().find(|block| block.bytes.len() as u64 != ours.bytes) {
        let (hash, bytes) = (wrong.hash, wrong.bytes.len() as u64);
        return Err(ImportRefusal::Size { hash, bytes, wanted: ours.bytes });
    }
    let Some(head) = blocks.first() else { return Ok(()) };
    if head.parent.is_some_and(|parent| !first(parent)) {
        return Err(ImportRefusal::UnknownParent { hash: head.hash });
    }
    let stray = blocks.windows(2).find_map(|pair| match pair {
        [before, block] if block.parent != Some(before.hash) => Some(block.hash),
        _ => None,
    });
    stray.map_or(Ok(()), |hash| Err(ImportRefusal::UnknownParent { hash }))
}
