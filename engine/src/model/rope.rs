//! Rotary positions (arXiv 2104.09864), in the half-split order of Hugging Face.

use tch::{Device, Kind, Tensor};

use super::Result;
use crate::source::{ModelConfig, RopeScaling};

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
        let frequencies = frequencies(config);
        let mut cos = Vec::with_capacity(context * frequencies.len());
        let mut sin = Vec::with_capacity(context * frequencies.len());
        for position in 0..context {
            for frequency in &frequencies {
                let angle = position as f64 * frequency;
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        let table = |values: &[f32]| {
            Tensor::from_slice(values).f_reshape([context as i64, frequencies.len() as i64])?.f_to_device(device)
        };
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

/// Radians per position of each pair. The scalings are those of the `transformers` library.
fn frequencies(config: &ModelConfig) -> Vec<f64> {
    let width = config.head_dim as f64;
    let plain = (0..config.head_dim / 2).map(|pair| config.rope.theta.powf(-2.0 * pair as f64 / width));
    match &config.rope.scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::Linear { factor } => plain.map(|frequency| frequency / factor).collect(),
        RopeScaling::Factors(factors) => {
            plain.zip(factors).map(|(frequency, factor)| frequency / f64::from(*factor)).collect()
        }
        RopeScaling::Llama3 { factor, low, high, original } => plain
            .map(|frequency| {
                let turns = original * frequency / std::f64::consts::TAU;
                let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                smooth * frequency + (1.0 - smooth) * frequency / factor
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
