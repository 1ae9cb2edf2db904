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
