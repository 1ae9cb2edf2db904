//! How an engine is to run a model.

use protocol::config::{Dtype, KvQuantization, Model, Quantization};
use protocol::units::{Blocks, ByteSize, Memory};

use crate::kernels::Isa;

/// Memory for keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvSize {
    /// As many blocks as fit.
    Memory(ByteSize),
    /// As many blocks as fit into so many hundredths of the memory that is free once the weights are loaded.
    Share(u8),
    /// So many.
    Blocks(Blocks),
}

impl From<Memory> for KvSize {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::Size(size) => Self::Memory(size),
            Memory::Share(hundredths) => Self::Share(hundredths),
        }
    }
}

/// Who computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Our own kernels: the default on the CPU.
    Kernels,
    /// libtorch: always on CUDA.
    Libtorch,
}

/// How an engine is to run a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The model's name in the cluster.
    pub name: String,
    /// The arithmetic.
    pub dtype: Dtype,
    /// How weights are stored and multiplied.
    pub quantization: Quantization,
    /// How keys and values are stored.
    pub kv_quantization: KvQuantization,
    /// Whether a token's logits may never depend on what else is in the step.
    pub batch_invariant: bool,
    /// Who computes.
    pub backend: Backend,
    /// `cpu`, or `cuda:0` and so on.
    pub device: String,
    /// Memory for keys and values.
    pub kv: KvSize,
    /// Tokens in a block.
    pub block: u32,
    /// The longest prompt and answer together; the model's own limit if none.
    pub context: Option<u32>,
    /// Tokens in a step.
    pub step_tokens: u32,
    /// Tokens of one prompt in a step.
    pub prefill_chunk: u32,
    /// Sequences in a step.
    pub max_batch: u32,
    /// Jobs that may wait or run.
    pub queue: u32,
    /// Threads that compute; all cores if none. libtorch has one pool per process.
    pub threads: Option<u32>,
    /// The instructions of our kernels; the best that the processor has if none.
    pub isa: Option<Isa>,
}

impl EngineOptions {
    /// As a model's section of `cluster.toml` says.
    pub fn new(name: &str, model: &Model, device: &str, threads: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            dtype: model.dtype,
            quantization: model.quantization,
            kv_quantization: model.kv_quantization,
            batch_invariant: model.batch_invariant,
            backend: if device == "cpu" { Backend::Kernels } else { Backend::Libtorch },
            device: device.to_owned(),
            kv: model.kv_memory.into(),
            block: model.block,
            context: model.context,
            step_tokens: model.step_tokens,
            prefill_chunk: model.prefill_chunk,
            max_batch: model.max_batch,
            queue: model.queue,
            threads,
            isa: None,
        }
    }
}
