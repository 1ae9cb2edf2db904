//! Keys and values of all sequences, in fixed blocks.

use tch::{Device, Kind, Tensor};

use super::Result;
use crate::blocks::BlockId;
use crate::source::ModelConfig;

/// One layer: `[blocks, block, kv_heads, head_dim]` each.
#[derive(Debug)]
pub(crate) struct LayerCache {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

/// All layers.
#[derive(Debug)]
pub(crate) struct KvCache {
    layers: Vec<LayerCache>,
}

impl KvCache {
    /// Zeroed memory: what was never written must not be a NaN, since masked entries are multiplied
    /// by zero.
    pub(crate) fn new(config: &ModelConfig, blocks: usize, block: usize, dtype: Kind, device: Device) -> Result<Self> {
        let shape = [blocks as i64, block as i64, config.kv_heads as i64, config.head_dim as i64];
        let make = || Tensor::f_zeros(shape, (dtype, device));
        let layers = (0..config.layers).map(|_| Ok(LayerCache { keys: make()?, values: make()? }));
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }

    /// Bytes of one block over all layers.
    pub(crate) fn block_bytes(config: &ModelConfig, block: usize, dtype: Kind) -> usize {
        2 * config.layers * block * config.kv_heads * config.head_dim * dtype.elt_size_in_bytes()
    }

    /// Zeroes blocks.
    pub(crate) fn clear(&mut self, blocks: &[BlockId]) -> Result<()> {
        for block in blocks {
            for layer in &self.layers {
                for pool in [&layer.keys, &layer.values] {
                    let _ = pool.f_select(0, block.index() as i64)?.f_zero_()?;
                }
            }
        }
        Ok(())
    }

    /// What a block is made of: layers, heads, width of a head, kind of number.
    pub(crate) fn shape(&self) -> (usize, usize, usize, Kind) {
        let kind = self.layers.first().map_or(Kind::Float, |layer| layer.keys.kind());
        let sizes = self.layers.first().map_or_else(Vec::new, |layer| layer.keys.size());
        let size = |at: usize| sizes.get(at).and_then(|size| usize::try_from(*size).ok()).unwrap_or(0);
        (self.layers.len(), size(2), size(3), kind)
    }

    /// Appends a block's bytes: keys, then values, layer by layer.
    pub(crate) fn read(&self, block: BlockId, out: &mut Vec<u8>) -> Result<()> {
        for layer in &self.layers {
            for pool in [&layer.keys, &layer.values] {
                let part = pool.f_select(0, block.index() as i64)?.f_to_device(Device::Cpu)?.f_contiguous()?;
                let (numel, start) = (part.numel(), out.len());
                out.resize(start + numel * part.kind().elt_size_in_bytes(), 0);
                if let Some(place) = out.get_mut(start..) {
                    part.f_copy_data_u8(place, numel)?;
                }
            }
        }
        Ok(())
    }

    /// Writes over a block what [`KvCache::read`] has read from one of the same shape.
    pub(crate) fn overwrite(&mut self, block: BlockId, bytes: &[u8]) -> Result<()> {
        let mut parts = bytes.chunks_exact((bytes.len() / (2 * self.layers.len()).max(1)).max(1));
        for layer in &self.layers {
            for pool in [&layer.keys, &layer.values] {
                let mut place = pool.f_select(0, block.index() as i64)?;
                let part = Tensor::f_from_data_size(parts.next().unwrap_or_default(), &place.size(), place.kind())?;
                place.f_copy_(&part)?;
            }
        }
        Ok(())
    }

    pub(super) fn layer(&self, number: usize) -> Option<&LayerCache> {
        self.layers.get(number)
    }

    /// Stores `[tokens, kv_heads, head_dim]` at slots: block · block size + place in the block.
    pub(super) fn write(&mut self, layer: usize, slots: &Tensor, k: &Tensor, v: &Tensor) -> Result<()> {
        let Some(cache) = self.layers.get(layer) else { return Ok(()) };
        for (pool, new) in [(&cache.keys, k), (&cache.values, v)] {
            let _ = pool.f_flatten(0, 1)?.f_index_copy_(0, slots, new)?;
        }
        Ok(())
    }
}
