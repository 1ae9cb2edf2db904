//! What nodes move between them: blocks and files.

use protocol::engine::{BlockHash, Layout};
use protocol::files::{FileChunk, FileEnd, FileEntry, FileList, FileWanted, FilesRefused, FilesWanted, Sha256};
use protocol::pull::{PullBlocks, PullRefused, PulledBlock, PulledEnd};

use super::*;

pub(super) fn pull() -> Any<Frame> {
    fn hash() -> Any<BlockHash> {
        any::<[u8; 16]>().prop_map(BlockHash::root).boxed()
    }
    fn layout() -> Any<Layout> {
        let numbers = any::<(u16, u32, u32, u32, u32, u64)>();
        (any::<[u8; 32]>(), text(), text(), numbers)
            .prop_map(|(weights, dtype, format, (hashing, block, layers, heads, dim, bytes))| Layout {
                weights,
                dtype,
                format,
                hashing,
                block,
                layers,
                heads,
                dim,
                bytes,
            })
            .boxed()
    }
    let refused = prop_oneof![
        Just(PullRefused::Closed),
        any::<u32>().prop_map(|limit| PullRefused::Busy { limit }),
        text().prop_map(|model| PullRefused::UnknownModel { model }),
        layout().prop_map(|theirs| PullRefused::Layout { theirs: Box::new(theirs) }),
        (blocks(), any::<u64>()).prop_map(|(blocks, bytes)| PullRefused::TooLarge { blocks, bytes }),
    ];
    prop_oneof![
        (text(), layout(), vec(hash(), 0..5))
            .prop_map(|(model, layout, hashes)| PullBlocks { model, layout, hashes }.into()),
        (hash(), option::of(hash()), bytes())
            .prop_map(|(hash, parent, bytes)| PulledBlock { hash, parent, bytes }.into()),
        blocks().prop_map(|blocks| PulledEnd { blocks }.into()),
        refused.prop_map(Frame::from),
    ]
    .boxed()
}

pub(super) fn files() -> Any<Frame> {
    let entry = (text(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(name, size, hash)| FileEntry {
        name,
        size,
        sha256: Sha256(hash),
    });
    let refused = prop_oneof![
        any::<u32>().prop_map(|limit| FilesRefused::Busy { limit }),
        text().prop_map(|model| FilesRefused::UnknownModel { model }),
        text().prop_map(|name| FilesRefused::UnknownFile { name }),
        any::<(u64, u64)>().prop_map(|(offset, size)| FilesRefused::Offset { offset, size }),
        text().prop_map(|name| FilesRefused::Changed { name }),
        text().prop_map(|problem| FilesRefused::Unreadable { problem }),
    ];
    prop_oneof![
        text().prop_map(|model| FilesWanted { model }.into()),
        (vec(entry, 0..5), any::<u64>()).prop_map(|(files, total)| FileList { files, total }.into()),
        (text(), text(), any::<u64>()).prop_map(|(model, name, offset)| FileWanted { model, name, offset }.into()),
        bytes().prop_map(|bytes| FileChunk { bytes }.into()),
        Just(FileEnd {}.into()),
        refused.prop_map(Frame::from),
    ]
    .boxed()
}
