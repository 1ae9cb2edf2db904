//! From a model's files and options to an engine: what fits is found out here, before anything is held.

use std::path::Path;

use protocol::config::{Dtype, KvQuantization, Quantization};
use protocol::engine::Card;
use protocol::units::{Blocks, ByteSize, Tokens};
use tch::{Device, Kind, TchError};

use super::LocalEngine;
use super::model::{Libtorch, Model};
use crate::batch::Batch;
use crate::kernels::Isa;
use crate::kernels::kv::KvFormat;
use crate::memory;
use crate::native::{self, NativeLoadError};
use crate::options::{Backend, EngineOptions, KvSize};
use crate::profile::Profile;
use crate::sampler::Sampler;
use crate::scheduler::{Bounds, Scheduler};
use crate::source::{self, LoadError, ModelConfig, WeightSource};
use crate::torch::{self, KvCache, LoadModelError};

/// An engine that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model's files are at fault.
    #[error(transparent)]
    File(#[from] LoadError),
    /// The model does not get onto the device.
    #[error(transparent)]
    Model(#[from] LoadModelError),
    /// The model does not get into our kernels.
    #[error(transparent)]
    Native(#[from] NativeLoadError),
    /// libtorch refuses.
    #[error("libtorch refuses to set up the KV cache: {0}")]
    Device(#[from] TchError),
    /// There is no such device.
    #[error(
        "the device '{0}' is not there: write \"cpu\", or \"cuda:0\" on a machine with CUDA and a libtorch that has it"
    )]
    NoDevice(String),
    /// The kernels are for the CPU.
    #[error("{key} is \"{value}\", which is for the CPU: on '{device}' write \"none\"")]
    CpuOnly {
        /// Which key of the model.
        key: &'static str,
        /// Its value.
        value: &'static str,
        /// Where the model was to run.
        device: String,
    },
    /// The KV cache would hold nothing.
    #[error("kv_memory comes to {given} bytes, one block of {tokens} takes {block}: give at least that")]
    NoBlock {
        /// What was given.
        given: u64,
        /// Tokens of a block.
        tokens: Tokens,
        /// What is needed at least.
        block: u64,
    },
    /// The weights do not fit.
    #[error("the weights need {needed} as {format}, {free} are free: {remedy}")]
    NoRoom {
        /// Bytes of weights.
        needed: ByteSize,
        /// As they were asked for.
        format: &'static str,
        /// Bytes that are free.
        free: ByteSize,
        /// What would fit.
        remedy: String,
    },
    /// The KV cache does not fit.
    #[error("kv_memory is {needed}, {free} are free beside the weights: give at most that, or a share such as \"60%\"")]
    NoRoomForCache {
        /// Bytes that were asked for.
        needed: ByteSize,
        /// Bytes that are free.
        free: ByteSize,
    },
    /// How much is free cannot be told.
    #[error(
        "kv_memory is a share, but how much memory is free on '{0}' cannot be told: write a size, such as \"2GiB\""
    )]
    NoShare(String),
}

impl LocalEngine {
    /// Loads a GGUF file or a Hugging Face folder.
    ///
    /// # Errors
    /// What is wrong with the files, the options or the device.
    pub fn load(path: &Path, options: &EngineOptions) -> Result<Self, StartError> {
        Self::from_source(source::open(path)?.as_ref(), options)
    }

    /// Loads from an open model.
    ///
    /// # Errors
    /// What is wrong with the files, the options or the device.
    pub fn from_source(source: &dyn WeightSource, options: &EngineOptions) -> Result<Self, StartError> {
        let _no_grad = tch::no_grad_guard();
        let device = device(&options.device)?;
        let config = source.config();
        let context = options.context.map_or(config.context, |most| config.context.min(most as usize));
        let bundle = source.bundle()?;
        let (model, blocks) = match options.backend {
            Backend::Kernels if device == Device::Cpu => kernels(source, options, context)?,
            _ => libtorch(source, options, context, device)?,
        };
        let block = options.block.max(1) as usize;
        let vocabulary = u32::try_from(config.vocabulary).unwrap_or(u32::MAX);
        let bounds = Bounds {
            block,
            blocks,
            context,
            vocabulary,
            step_tokens: options.step_tokens as usize,
            prefill_chunk: options.prefill_chunk as usize,
            max_batch: options.max_batch as usize,
            queue: options.queue as usize,
        };
        let mut card = Card {
            model: options.name.clone(),
            architecture: config.architecture.as_str().to_owned(),
            weights: source.fingerprint(),
            text: bundle.hash(),
            context: Tokens::of(context),
            vocabulary,
            block: Tokens::of(block),
            blocks: Blocks::of(blocks),
            jobs: options.queue,
            dtype: format(options).to_owned(),
            device: options.device.clone(),
            block_bytes: 0,
        };
        card.block_bytes = model.layout(&card).bytes;
        Ok(Self {
            card,
            bundle,
            model,
            scheduler: Scheduler::new(bounds),
            plan: crate::scheduler::Plan::default(),
            batch: Batch::with_room(options.step_tokens as usize, blocks),
            sampler: Sampler::new(config.vocabulary),
            profile: Profile::default(),
            block,
            rows: options.step_tokens.max(1) as usize,
            broken: None,
        })
    }
}

/// How weights are held, for people.
fn format(options: &EngineOptions) -> &'static str {
    match options.quantization {
        Quantization::None => options.dtype.as_str(),
        quantized => quantized.as_str(),
    }
}

fn kernels(source: &dyn WeightSource, options: &EngineOptions, context: usize) -> Result<(Model, usize), StartError> {
    let config = source.config();
    let threads = options.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        |threads| threads as usize,
    );
    let kv = match (options.kv_quantization, options.dtype) {
        (KvQuantization::Int8, _) => KvFormat::Int8,
        (KvQuantization::None, Dtype::F32) => KvFormat::F32,
        (KvQuantization::None, Dtype::Bf16) => KvFormat::Bf16,
    };
    let plan = native::Plan {
        isa: options.isa.unwrap_or_else(Isa::detect),
        threads,
        dtype: options.dtype,
        quantization: options.quantization,
        context,
        rows: options.step_tokens.max(1) as usize,
        kv,
        block: options.block.max(1) as usize,
        batch_invariant: options.batch_invariant,
    };
    room(config, options, plan, memory::available())?;
    let block = plan.kv_shape(config).block_bytes() as u64 * config.layers as u64;
    let mut count = 0;
    let native = native::load(source, plan, || {
        count = blocks(options, block, memory::available())?;
        Ok::<_, StartError>(count)
    })?;
    Ok((Model::Kernels(Box::new(native)), count))
}

/// Whether the weights fit, and if not, what would.
fn room(
    config: &ModelConfig,
    options: &EngineOptions,
    plan: native::Plan,
    free: Option<u64>,
) -> Result<(), StartError> {
    let needed = plan.weight_bytes(config);
    let Some(free) = free.filter(|free| needed > *free) else { return Ok(()) };
    let smaller = [(Quantization::Int8, "int8"), (Quantization::Int4, "int4")]
        .map(|(quantization, name)| (native::Plan { quantization, ..plan }.weight_bytes(config), name));
    let remedy = match smaller.into_iter().find(|(bytes, _)| *bytes <= free && *bytes < needed) {
        Some((bytes, name)) => format!("quantization = \"{name}\" needs {}", mebibytes(bytes)),
        None => format!("even quantization = \"int4\" needs {}", mebibytes(smaller[1].0)),
    };
    Err(StartError::NoRoom { needed: mebibytes(needed), format: format(options), free: mebibytes(free), remedy })
}

/// Rounded up, so that people need not read bytes.
fn mebibytes(bytes: u64) -> ByteSize {
    ByteSize(bytes.div_ceil(1 << 20) << 20)
}

fn libtorch(
    source: &dyn WeightSource,
    options: &EngineOptions,
    context: usize,
    device: Device,
) -> Result<(Model, usize), StartError> {
    let cpu_only = |key, value| StartError::CpuOnly { key, value, device: options.device.clone() };
    if options.quantization != Quantization::None {
        return Err(cpu_only("quantization", format(options)));
    }
    if options.kv_quantization != KvQuantization::None {
        return Err(cpu_only("kv_quantization", "int8"));
    }
    let config = source.config();
    let kind = match options.dtype {
        Dtype::Bf16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
    };
    if let Some(threads) = options.threads {
        tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    }
    let block = options.block.max(1) as usize;
    let bytes = KvCache::block_bytes(config, block, kind) as u64;
    let free = if device == Device::Cpu { memory::available() } else { None };
    let blocks = blocks(options, bytes, free)?;
    // No sequence outgrows the cache, so no position beyond it is ever computed.
    let decoder = torch::load(source, context.min(blocks.saturating_mul(block)), kind, device)?;
    let cache = KvCache::new(config, blocks, block, kind, device)?;
    Ok((Model::Libtorch(Box::new(Libtorch { decoder, cache })), blocks))
}

fn device(name: &str) -> Result<Device, StartError> {
    let missing = || StartError::NoDevice(name.to_owned());
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index: usize = name.strip_prefix("cuda:").and_then(|index| index.parse().ok()).ok_or_else(missing)?;
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    if index < count { Ok(Device::Cuda(index)) } else { Err(missing()) }
}

/// How many blocks of so many bytes the cache has. `free` is what the system can give now.
fn blocks(options: &EngineOptions, block: u64, free: Option<u64>) -> Result<usize, StartError> {
    let bytes = match options.kv {
        KvSize::Blocks(blocks) => return Ok(blocks.as_usize()),
        KvSize::Memory(memory) => memory.0,
        KvSize::Share(hundredths) => {
            let free = free.ok_or_else(|| StartError::NoShare(options.device.clone()))?;
            free / 100 * u64::from(hundredths)
        }
    };
    if let Some(free) = free.filter(|free| bytes > *free) {
        return Err(StartError::NoRoomForCache { needed: mebibytes(bytes), free: mebibytes(free) });
    }
    match usize::try_from(bytes / block.max(1)).unwrap_or(usize::MAX) {
        0 => Err(StartError::NoBlock { given: bytes, tokens: Tokens(options.block.into()), block }),
        blocks => Ok(blocks),
    }
}

#[cfg(test)]
mod tests;
