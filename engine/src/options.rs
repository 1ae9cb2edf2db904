//! How an engine is to run a model.

use protocol::config::{Dtype, Model};
use protocol::units::{Blocks, ByteSize};

/// Memory for keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvSize {
    /// As many blocks as fit.
    Memory(ByteSize),
    /// So many.
    Blocks(Blocks),
}

/// How an engine is to run a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The model's name in the cluster.
    pub name: String,
    /// The arithmetic.
    pub dtype: Dtype,
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
    /// Threads of libtorch, which has one pool per process; all cores if none.
    pub threads: Option<u32>,
}

impl EngineOptions {
    /// As a model's section of `cluster.toml` says.
    pub fn new(name: &str, model: &Model, device: &str, threads: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            dtype: model.dtype,
            device: device.to_owned(),
            kv: KvSize::Memory(model.kv_memory),
            block: model.block,
            context: model.context,
            step_tokens: model.step_tokens,
            prefill_chunk: model.prefill_chunk,
            max_batch: model.max_batch,
            queue: model.queue,
            threads,
        }
    }
}
