//! Rotary positions (arXiv 2104.09864), in the half-split order of Hugging Face.

use tch::{Device, Kind, Tensor};

use super::Result;
use crate::rope;
use crate::source::ModelConfig;

/// Cosines and sines of all positions: `[context, head_dim / 2]`, f32.
#[derive(Debug)]
pub(super) struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

/// Of the tokens of one batch: `[tokens, 1, head_dim / 2]`.
pub(super) struct Angles {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    pub(super) fn new(config: &ModelConfig, context: usize, device: Device) -> Result<Self> {
        let (cos, sin) = rope::tables(config, context);
        let half = (config.head_dim / 2) as i64;
        let table = |values: &[f32]| Tensor::from_slice(values).f_reshape([context as i64, half])?.f_to_device(device);
        Ok(Self { cos: table(&cos)?, sin: table(&sin)? })
    }

    pub(super) fn angles(&self, positions: &Tensor) -> Result<Angles> {
        let rows = |table: &Tensor| table.f_index_select(0, positions)?.f_unsqueeze(1);
        Ok(Angles { cos: rows(&self.cos)?, sin: rows(&self.sin)? })
    }
}

impl Angles {
    /// Turns `[tokens, heads, head_dim]`.
    pub(super) fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let half = x.size().last().copied().unwrap_or(0) / 2;
        let wide = x.f_to_kind(Kind::Float)?;
        let (low, high) = (wide.f_narrow(-1, 0, half)?, wide.f_narrow(-1, half, half)?);
        let turned_low = low.f_mul(&self.cos)?.f_sub(&high.f_mul(&self.sin)?)?;
        let turned_high = high.f_mul(&self.cos)?.f_add(&low.f_mul(&self.sin)?)?;
        Tensor::f_cat(&[turned_low, turned_high], -1)?.f_to_kind(x.kind())
    }
}

#[cfg(test)]
mod tests;
