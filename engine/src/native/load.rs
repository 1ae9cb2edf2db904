//! From a model file to packed weights.
//!
//! Rules: one tensor is read, packed and let go before the next, so nothing is held twice for longer than
//! that; what a file holds in groups that the packed layout can hold exactly is taken over code by code,
//! everything else goes through floats. Whether there is memory is asked before anything is read.

use protocol::config::{Dtype, Quantization};

use super::{Layer, Native, Scratch, Weights, crossover};
use crate::kernels::attention::{MOST_DIM, Work};
use crate::kernels::gemm::{Format, GroupKind, Matrix};
use crate::kernels::kv::{KvFormat, KvShape, LayerKv};
use crate::kernels::{Isa, OutOfMemory, Pool};
use crate::rope;
use crate::source::{LoadError, ModelConfig, Part, Role, WeightSource};

mod stack;

use stack::Stack;

/// A model that our kernels cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NativeLoadError {
    /// The file is at fault.
    #[error(transparent)]
    File(#[from] LoadError),
    /// A tensor that every such model has is not there.
    #[error("the model has no tensor for {0:?}")]
    Missing(Role),
    /// The system gives no more.
    #[error("{what}: {error}")]
    Memory {
        /// What was to be held.
        what: &'static str,
        /// What was refused.
        error: OutOfMemory,
    },
    /// Keys in 8 bits are taken four numbers at a time.
    #[error("the width of a head is {value}: kv_quantization = \"int8\" needs a multiple of 4; write \"none\"")]
    Odd {
        /// As it is.
        value: usize,
    },
    /// A number that the kernels have no room for.
    #[error("{what} is {value}: the CPU kernels go up to {most}")]
    TooWide {
        /// Which number.
        what: &'static str,
        /// As it is.
        value: usize,
        /// As it may be.
        most: usize,
    },
}

/// How a model is to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    pub(crate) dtype: Dtype,
    pub(crate) quantization: Quantization,
    /// Positions below this can be computed.
    pub(crate) context: usize,
    /// Rows in a step.
    pub(crate) rows: usize,
    pub(crate) kv: KvFormat,
    /// Tokens in a KV block.
    pub(crate) block: usize,
    /// Whether libtorch may never compute a product.
    pub(crate) batch_invariant: bool,
}

impl Plan {
    /// How weights are packed that are not stored in groups.
    pub(crate) fn format(&self) -> Format {
        match (self.quantization, self.dtype) {
            (Quantization::None, Dtype::F32) => Format::F32,
            (Quantization::None, Dtype::Bf16) => Format::Bf16,
            (Quantization::Int8, _) => Format::Int8,
            (Quantization::Int4, _) => Format::Groups(GroupKind { four: true, group: 32, half: true }),
        }
    }

    /// Of the head and the embedding: never below 8 bits. What is lost there is lost for every token: 4 bits
    /// cost the small model 5 % of perplexity, where the layers together cost 1 %.
    fn end_quantization(&self) -> Quantization {
        if self.quantization == Quantization::Int4 { Quantization::Int8 } else { self.quantization }
    }

    /// Bytes that the weights will take, but for groups with wide scales, which take a fifth more.
    pub(crate) fn weight_bytes(&self, config: &ModelConfig) -> u64 {
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let of = |n: usize, k: usize| Matrix::bytes_of(self.format(), n, k) as u64;
        let end = Self { quantization: self.end_quantization(), ..*self }.format();
        let end = Matrix::bytes_of(end, config.vocabulary, config.hidden) as u64;
        let layer = of(q + 2 * kv, config.hidden)
            + of(config.hidden, q)
            + of(2 * config.ffn, config.hidden)
            + of(config.hidden, config.ffn);
        layer * config.layers as u64 + if config.tied { end } else { 2 * end }
    }

    /// The shape of a layer's cache.
    pub(crate) fn kv_shape(&self, config: &ModelConfig) -> KvShape {
        KvShape { format: self.kv, block: self.block, heads: config.kv_heads, dim: config.head_dim }
    }
}

/// Reads and packs a model. `blocks` is asked for the size of the cache once the weights are there.
pub(crate) fn load<E: From<NativeLoadError>>(
    source: &dyn WeightSource,
    plan: Plan,
    blocks: impl FnOnce() -> Result<usize, E>,
) -> Result<Native, E> {
    let config = source.config().clone();
    check(&config, plan)?;
    let pool = Pool::new(plan.threads);
    let weights = Loader { source, plan, pool: &pool }.weights()?;
    let memory = |what: &'static str| move |error| NativeLoadError::Memory { what, error };
    let scratch = Scratch::new(&config, plan.rows).map_err(memory("room for a step"))?;
    let (blocks, shape) = (blocks()?, plan.kv_shape(&config));
    let caches = (0..config.layers).map(|_| LayerKv::new(shape, blocks)).collect::<Result<_, _>>();
    let caches = caches.map_err(memory("the KV cache"))?;
    // Quantised weights are what they are in our kernels alone.
    let libtorch_may = !plan.batch_invariant && plan.quantization == Quantization::None;
    let widest = weights.layers.first().filter(|_| libtorch_may);
    let crossover = widest.and_then(|layer| crossover::measure(plan.isa, &pool, &layer.gate_up, plan.rows));
    Ok(Native { config, isa: plan.isa, pool, weights, caches, scratch, work: Work::default(), crossover })
}

fn check(config: &ModelConfig, plan: Plan) -> Result<(), NativeLoadError> {
    if config.head_dim > MOST_DIM {
        return Err(NativeLoadError::TooWide { what: "the width of a head", value: config.head_dim, most: MOST_DIM });
    }
    if plan.kv == KvFormat::Int8 && !config.head_dim.is_multiple_of(4) {
        return Err(NativeLoadError::Odd { value: config.head_dim });
    }
    Ok(())
}

struct Loader<'a> {
    source: &'a dyn WeightSource,
    plan: Plan,
    pool: &'a Pool,
}

impl Loader<'_> {
    fn weights(&self) -> Result<Weights, NativeLoadError> {
        let config = self.source.config();
        let head = self.end(if config.tied { Role::Embedding } else { Role::Head })?;
        let embedding = if config.tied { None } else { Some(self.end(Role::Embedding)?) };
        let layers = (0..config.layers).map(|number| self.layer(number)).collect::<Result<_, _>>()?;
        let (cos, sin) = rope::tables(config, self.plan.context);
        Ok(Weights { embedding, layers, norm: self.vector(Role::OutputNorm)?, head, cos, sin })
    }

    fn layer(&self, number: usize) -> Result<Layer, NativeLoadError> {
        let config = self.source.config();
        let role = |part: Part| Role::Layer(number, part);
        let matrix = |parts: &[Part]| self.matrix(&parts.iter().map(|part| role(*part)).collect::<Vec<_>>());
        let vector = |part: Part| self.vector(role(part));
        let bias = || -> Result<_, NativeLoadError> {
            Ok([vector(Part::QBias)?, vector(Part::KBias)?, vector(Part::VBias)?].concat())
        };
        Ok(Layer {
            attention_norm: vector(Part::AttentionNorm)?,
            qkv: matrix(&[Part::Q, Part::K, Part::V])?,
            qkv_bias: if config.qkv_bias { Some(bias()?) } else { None },
            norms: if config.qk_norm { Some((vector(Part::QNorm)?, vector(Part::KNorm)?)) } else { None },
            output: matrix(&[Part::Output])?,
            ffn_norm: vector(Part::FfnNorm)?,
            gate_up: matrix(&[Part::Gate, Part::Up])?,
            down: matrix(&[Part::Down])?,
        })
    }

    /// The head or the embedding.
    fn end(&self, role: Role) -> Result<Matrix, NativeLoadError> {
        let plan = Plan { quantization: self.plan.end_quantization(), ..self.plan };
        Self { plan, ..*self }.matrix(&[role])
    }

    /// Tensors one below the other, packed.
    fn matrix(&self, roles: &[Role]) -> Result<Matrix, NativeLoadError> {
        let stack = Stack::read(self.source, roles)?;
        let packed = stack.pack(self.pool, self.plan.format(), self.plan.quantization);
        packed.map_err(|error| NativeLoadError::Memory { what: "the weights", error })
    }

    fn vector(&self, role: Role) -> Result<Vec<f32>, NativeLoadError> {
        Ok(self.source.weights(role)?.ok_or(NativeLoadError::Missing(role))?.data)
    }
}
