//! Cached blocks to and from other engines.
//!
//! Rules: what is exported is only read. What is imported is checked first, then written block by block into
//! free blocks and published; the whole chain is held meanwhile, so that no block of it makes room for another.
//! Afterwards nobody holds any of it: it is a cached prefix like those computed here.

use protocol::engine::{BlockData, BlockHash, Card, HASHING, ImportRefusal, Imported, Layout, check_import};
use protocol::units::Blocks;

use super::model::Model;
use crate::blocks::BlockId;
use crate::scheduler::Scheduler;

/// Appends the blocks of these hashes, as far as they are cached from the front.
pub(super) fn export(scheduler: &Scheduler, model: &Model, hashes: &[BlockHash], out: &mut Vec<BlockData>) {
    for (id, hash, parent) in scheduler.pool().cached(hashes) {
        let Ok(bytes) = model.read_block(id) else { return };
        out.push(BlockData { hash, parent, bytes });
    }
}

/// Takes blocks in; see [`protocol::engine::Engine::import_blocks`].
pub(super) fn import(
    scheduler: &mut Scheduler,
    model: &mut Model,
    ours: &Layout,
    theirs: &Layout,
    blocks: &[BlockData],
) -> Imported {
    let pool = scheduler.pool_mut();
    let mut before = Vec::new();
    let checked = check_import(ours, theirs, Blocks::of(pool.total()), blocks, |parent| {
        before = pool.ancestry(parent).unwrap_or_default();
        !before.is_empty()
    });
    if let Err(refusal) = checked {
        return refusal.into();
    }
    let mut held = Vec::new();
    pool.take_cached(&before, &mut held);
    let mut imported = Imported::default();
    for (number, block) in blocks.iter().enumerate() {
        let known = held.len();
        pool.take_cached(&[block.hash], &mut held);
        if held.len() > known {
            continue;
        }
        let Some(id) = pool.allocate() else {
            imported.refused = Some(ImportRefusal::NoRoom { left: Blocks::of(blocks.len() - number) });
            break;
        };
        held.push(id);
        if let Err(reason) = model.write_block(id, &block.bytes) {
            imported.refused = Some(ImportRefusal::Device { reason });
            break;
        }
        pool.publish(id, block.hash, block.parent);
        imported.taken += Blocks(1);
    }
    pool.release(held.into_iter());
    imported
}

impl Model {
    /// What the bytes of its blocks mean.
    pub(super) fn layout(&self, card: &Card) -> Layout {
        let (format, layers, heads, dim, bytes) = match self {
            Self::Kernels(native) => match native.caches().first().map(|layer| layer.shape()) {
                Some(shape) => {
                    let layers = native.caches().len();
                    let format = format!("kernels {:?}", shape.format).to_lowercase();
                    (format, layers, shape.heads, shape.dim, layers * shape.block_bytes())
                }
                None => ("kernels".to_owned(), 0, 0, 0, 0),
            },
            Self::Libtorch(libtorch) => {
                let (layers, heads, dim, kind) = libtorch.cache.shape();
                let bytes = 2 * layers * card.block.as_usize() * heads * dim * kind.elt_size_in_bytes();
                (format!("libtorch {kind:?}").to_lowercase(), layers, heads, dim, bytes)
            }
        };
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Layout {
            weights: card.weights,
            dtype: card.dtype.clone(),
            format,
            hashing: HASHING,
            block: small(card.block.as_usize()),
            layers: small(layers),
            heads: small(heads),
            dim: small(dim),
            bytes: bytes as u64,
        }
    }

    fn read_block(&self, id: BlockId) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        match self {
            Self::Kernels(native) => {
                let layers = native.caches();
                bytes.reserve_exact(layers.iter().map(|layer| layer.shape().block_bytes()).sum());
                layers.iter().for_each(|layer| bytes.extend_from_slice(layer.block(id.index())));
            }
            Self::Libtorch(libtorch) => {
                libtorch.cache.read(id, &mut bytes).map_err(|error| error.to_string())?;
            }
        }
        Ok(bytes)
    }

    fn write_block(&mut self, id: BlockId, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Kernels(native) => {
                let mut rest = bytes;
                for layer in native.caches_mut() {
                    let place = layer.block_mut(id.index());
                    let Some((part, after)) = rest.split_at_checked(place.len()) else {
                        return Err(format!("{} bytes are too few", bytes.len()));
                    };
                    place.copy_from_slice(part);
                    rest = after;
                }
                Ok(())
            }
            Self::Libtorch(libtorch) => libtorch.cache.overwrite(id, bytes).map_err(|error| error.to_string()),
        }
    }
}
