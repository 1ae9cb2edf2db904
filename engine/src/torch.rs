//! The decoder in libtorch, on CUDA and, where it is asked for, on the CPU: Llama, Mistral, Qwen2 and Qwen3 are one model with switches.
//!
//! Rules: one flat dimension of tokens for everything but attention, so that prefill chunks and decodes
//! share each product; keys and values are written to the cache's slots, and read back through block
//! tables. Norms, rotation and softmax are computed in `f32` whatever the weights are. Where libtorch
//! computes, a result may depend in its last bits on what else is in the batch.
//!
//! Which tokens are computed is the scheduler's business.

use tch::{Kind, TchError, Tensor};

use crate::batch::Batch;
use crate::source::ModelConfig;

mod attention;
mod cache;
mod load;
mod rope;

pub(crate) use cache::KvCache;
pub use load::LoadModelError;
pub(crate) use load::load;

use rope::Rotary;

type Result<T> = std::result::Result<T, TchError>;

/// A decoder on a device.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: ModelConfig,
    dtype: Kind,
    /// `[vocabulary, hidden]`.
    embedding: Tensor,
    layers: Vec<Layer>,
    /// `[hidden]`, f32.
    norm: Tensor,
    /// `[vocabulary, hidden]`.
    head: Tensor,
    rotary: Rotary,
}

/// `q` is `heads · head_dim`, `kv` is `kv_heads · head_dim`. Norm weights are f32.
#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    /// `[q + 2 · kv, hidden]`: one product instead of three.
    qkv: Tensor,
    qkv_bias: Option<Tensor>,
    q_norm: Option<Tensor>,
    k_norm: Option<Tensor>,
    /// `[hidden, q]`.
    output: Tensor,
    ffn_norm: Tensor,
    /// `[2 · ffn, hidden]`: one product instead of two.
    gate_up: Tensor,
    /// `[hidden, ffn]`.
    down: Tensor,
}

impl Decoder {
    /// Computes the batch, fills its slots of the cache, and returns the logits of the rows that the
    /// batch asks for: `[rows, vocabulary]`, f32, on the CPU.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub(crate) fn forward(&self, batch: &Batch, cache: &mut KvCache) -> Result<Tensor> {
        let device = self.embedding.device();
        let ids = indices(batch.tokens.iter().map(|token| i64::from(*token)), device)?;
        let slot = |(block, place): &(u32, u32)| i64::from(*block) * batch.block as i64 + i64::from(*place);
        let slots = indices(batch.slots.iter().map(slot), device)?;
        let positions = indices(batch.positions.iter().map(|position| i64::from(*position)), device)?;
        let angles = self.rotary.angles(&positions)?;
        let views = attention::Views::new(batch, self.config.window, device)?;
        let mut stream = self.embedding.f_index_select(0, &ids)?;
        for (number, layer) in self.layers.iter().enumerate() {
            let normed = self.norm(&stream, &layer.attention_norm)?;
            let (q, k, v) = self.project(layer, &normed, &angles)?;
            cache.write(number, &slots, &k, &v)?;
            let mixed = attention::attend(&q, cache.layer(number), &views, &self.config)?;
            stream = stream.f_add(&mixed.f_linear(&layer.output, None::<Tensor>)?)?;
            let normed = self.norm(&stream, &layer.ffn_norm)?;
            let halves = normed.f_linear(&layer.gate_up, None::<Tensor>)?.f_chunk(2, -1)?;
            let [gate, up] = halves.as_slice() else {
                return Err(TchError::Shape("the feed-forward product does not split in two".to_owned()));
            };
            let inner = gate.f_silu()?.f_mul(up)?;
            stream = stream.f_add(&inner.f_linear(&layer.down, None::<Tensor>)?)?;
        }
        let rows = indices(batch.sampled.iter().map(|row| *row as i64), device)?;
        let last = self.norm(&stream.f_index_select(0, &rows)?, &self.norm)?;
        let logits = last.f_linear(&self.head, None::<Tensor>)?;
        logits.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)
    }

    /// RMS norm over the last dimension: `x / sqrt(mean(x²) + eps) · weight`, in f32.
    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let x = x.f_to_kind(Kind::Float)?;
        let mean = x.f_square()?.f_mean_dim([-1i64].as_slice(), true, Kind::Float)?;
        let scale = mean.f_add_scalar(self.config.norm_eps)?.f_rsqrt()?;
        x.f_mul(&scale)?.f_mul(weight)?.f_to_kind(self.dtype)
    }

    /// Rotated queries `[tokens, heads, head_dim]`, rotated keys and values `[tokens, kv_heads, head_dim]`.
    fn project(&self, layer: &Layer, x: &Tensor, angles: &rope::Angles) -> Result<(Tensor, Tensor, Tensor)> {
        let config = &self.config;
        let (heads, kv_heads, width) = (config.heads as i64, config.kv_heads as i64, config.head_dim as i64);
        let all = x.f_linear(&layer.qkv, layer.qkv_bias.as_ref())?;
        let part =
            |first: i64, heads: i64| all.f_narrow(1, first * width, heads * width)?.f_reshape([-1, heads, width]);
        let mut q = part(0, heads)?;
        let mut k = part(heads, kv_heads)?;
        let v = part(heads + kv_heads, kv_heads)?;
        if let (Some(q_norm), Some(k_norm)) = (&layer.q_norm, &layer.k_norm) {
            q = self.norm(&q, q_norm)?;
            k = self.norm(&k, k_norm)?;
        }
        Ok((angles.rotate(&q)?, angles.rotate(&k)?, v))
    }
}

fn indices(numbers: impl Iterator<Item = i64>, device: tch::Device) -> Result<Tensor> {
    Tensor::from_slice(&numbers.collect::<Vec<_>>()).f_to_device(device)
}
