//! The engine: scheduler, decoder and sampler in one, behind [`protocol::engine::Engine`].
//!
//! Rules: it lives on one thread, since libtorch's switches are per thread. A job that goes wrong fails
//! alone; when the device fails, the engine is done for: every later step says so, and its owner makes
//! a new one.

use std::path::Path;

use protocol::config::Dtype;
use protocol::engine::{Card, Engine, EngineError, Event, Grant, JobFault, Load, Progress, RefusalReason};
use protocol::ids::JobKey;
use protocol::job::{Finish, Job};
use protocol::units::{Blocks, Tokens};
use tch::{Device, Kind, TchError, Tensor};
use text::bundle::TextBundle;

use crate::blocks::BlockId;
use crate::model::{Batch, Decoder, KvCache, LoadModelError, load};
use crate::options::{EngineOptions, KvSize};
use crate::sampler::{History, sample};
use crate::scheduler::{Bounds, Item, Plan, Scheduler};
use crate::source::{self, LoadError, ModelConfig, WeightSource};

#[cfg(test)]
pub(crate) mod tiny;

/// An engine that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The model's files are at fault.
    #[error(transparent)]
    File(#[from] LoadError),
    /// The model does not get onto the device.
    #[error(transparent)]
    Model(#[from] LoadModelError),
    /// libtorch refuses.
    #[error("libtorch refuses to set up the KV cache: {0}")]
    Device(#[from] TchError),
    /// There is no such device.
    #[error(
        "the device '{0}' is not there: write \"cpu\", or \"cuda:0\" on a machine with CUDA and a libtorch that has it"
    )]
    NoDevice(String),
    /// The KV cache would hold nothing.
    #[error("kv_memory is {given} bytes, one block takes {block}: raise it")]
    NoMemory {
        /// What was given.
        given: u64,
        /// What is needed at least.
        block: usize,
    },
}

/// A model on a device.
#[derive(Debug)]
pub struct TorchEngine {
    card: Card,
    bundle: TextBundle,
    decoder: Decoder,
    cache: KvCache,
    scheduler: Scheduler,
    block: usize,
    broken: Option<EngineError>,
}

impl TorchEngine {
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
        let kind = kind(options.dtype);
        if let Some(threads) = options.threads {
            tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
        }
        let config = source.config();
        let context = options.context.map_or(config.context, |most| config.context.min(most as usize));
        let block = options.block.max(1) as usize;
        let blocks = blocks(config, options, block, kind)?;
        let bundle = source.bundle()?;
        // No sequence outgrows the cache, so no position beyond it is ever computed.
        let decoder = load(source, context.min(blocks.saturating_mul(block)), kind, device)?;
        let cache = KvCache::new(config, blocks, block, kind, device)?;
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
        let card = Card {
            model: options.name.clone(),
            architecture: config.architecture.as_str().to_owned(),
            weights: source.fingerprint(),
            text: bundle.hash(),
            context: Tokens::of(context),
            vocabulary,
            block: Tokens::of(block),
            blocks: Blocks::of(blocks),
            jobs: options.queue,
            dtype: options.dtype.as_str().to_owned(),
            device: options.device.clone(),
        };
        Ok(Self { card, bundle, decoder, cache, scheduler: Scheduler::new(bounds), block, broken: None })
    }

    /// The tokenizer and chat template that came with the model.
    pub fn bundle(&self) -> &TextBundle {
        &self.bundle
    }

    /// Whether the scheduler's rules hold. For tests.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_rules(&self) -> Result<(), String> {
        self.scheduler.check_rules()
    }

    fn batch(&self, plan: &Plan) -> Batch {
        let mut batch = Batch::new(self.block);
        for item in &plan.items {
            let Some(sequence) = self.scheduler.sequence(item.rank) else { continue };
            let tokens = sequence.tokens.iter().skip(item.start).take(item.count).map(|token| i64::from(token.0));
            let needed = (item.start + item.count).div_ceil(self.block);
            let table = self.scheduler.table(item.rank).iter().take(needed).map(|block| block.index() as i64).collect();
            batch.push(tokens, item.start, table, item.samples);
        }
        batch
    }

    /// Blocks that are begun in this step and not filled. A sequence that was cancelled or preempted may
    /// have left NaNs in them, and a mask hides those from nobody.
    fn begun(&self, plan: &Plan) -> Vec<BlockId> {
        let begun = plan.items.iter().filter_map(|item| {
            let end = item.start + item.count;
            let last = end / self.block;
            let is_begun = end % self.block > 0 && last * self.block >= item.start;
            self.scheduler.table(item.rank).get(last).copied().filter(|_| is_begun)
        });
        begun.collect()
    }

    fn run(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        let plan = self.scheduler.plan();
        events.extend(plan.begun.iter().map(|(key, cached)| Event::Started { key: *key, cached: *cached }));
        for rank in &plan.outgrown {
            if let Some(sequence) = self.scheduler.remove(*rank) {
                events.push(Event::Finished { key: sequence.job.key, finish: Finish::Length, usage: sequence.usage });
            }
        }
        let mut progress = Progress { preempted: plan.preempted, ..Progress::default() };
        if plan.items.is_empty() {
            return Ok(progress);
        }
        self.cache.clear(&self.begun(&plan)).map_err(|error| device_error("clearing blocks", &error))?;
        let batch = self.batch(&plan);
        let logits = self.decoder.forward(&batch, &mut self.cache).map_err(|error| device_error("forward", &error))?;
        let mut rows = rows(&logits)?.into_iter();
        for item in &plan.items {
            let sampled = if item.samples { rows.next() } else { None };
            progress.decoded += u32::from(item.samples);
            let newest_alone = item.samples && item.count == 1 && item.start > 0;
            progress.prefill += Tokens::of(if newest_alone { 0 } else { item.count });
            self.finish_item(*item, sampled, events).map_err(|error| device_error("clearing blocks", &error))?;
        }
        Ok(progress)
    }

    fn finish_item(&mut self, item: Item, logits: Option<Vec<f32>>, events: &mut Vec<Event>) -> Result<(), TchError> {
        let Some(sequence) = self.scheduler.sequence(item.rank) else { return Ok(()) };
        let key = sequence.job.key;
        let sampled = logits.map(|mut logits| {
            let history = History { prompt: sequence.prompt(), answer: sequence.answer() };
            sample(&mut logits, &sequence.job.sampling, &sequence.job.limits, history)
        });
        let token = match sampled {
            None => None,
            Some(Ok(sampled)) => {
                let token = sampled.token;
                events.push(Event::Token { key, sampled });
                Some(token)
            }
            Some(Err(_)) => {
                let position = Tokens::of(item.start + item.count);
                // What it wrote must not meet the next holder of its blocks, nor be found as a prefix.
                let spoilt = self.scheduler.discard(item.rank);
                self.cache.clear(&spoilt)?;
                events.push(Event::Failed { key, error: JobFault::NotFinite { position } });
                return Ok(());
            }
        };
        if let Some(finish) = self.scheduler.commit(item, token)
            && let Some(sequence) = self.scheduler.remove(item.rank)
        {
            events.push(Event::Finished { key, finish, usage: sequence.usage });
        }
        Ok(())
    }
}

impl Engine for TorchEngine {
    fn card(&self) -> &Card {
        &self.card
    }

    fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason> {
        if job.model != self.card.model {
            return Err(RefusalReason::UnknownModel { model: job.model });
        }
        if self.broken.is_some() {
            return Err(RefusalReason::NotReady);
        }
        self.scheduler.admit(job)
    }

    fn cancel(&mut self, key: JobKey) -> bool {
        self.scheduler.cancel(key)
    }

    fn step(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let _no_grad = tch::no_grad_guard();
        let outcome = self.run(events);
        if let Err(error) = &outcome {
            self.broken = Some(error.clone());
        }
        outcome
    }

    fn load(&self) -> Load {
        self.scheduler.load()
    }
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

fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::Bf16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
    }
}

fn blocks(config: &ModelConfig, options: &EngineOptions, block: usize, kind: Kind) -> Result<usize, StartError> {
    let bytes = KvCache::block_bytes(config, block, kind).max(1);
    match options.kv {
        KvSize::Blocks(blocks) => Ok(blocks.as_usize()),
        KvSize::Share(_) => Ok(0),
        KvSize::Memory(memory) => match usize::try_from(memory.0 / bytes as u64).unwrap_or(usize::MAX) {
            0 => Err(StartError::NoMemory { given: memory.0, block: bytes }),
            blocks => Ok(blocks),
        },
    }
}

fn device_error(operation: &str, error: &TchError) -> EngineError {
    EngineError::Device { operation: operation.to_owned(), reason: error.to_string() }
}

/// `[rows, vocabulary]` as one list per row.
fn rows(logits: &Tensor) -> Result<Vec<Vec<f32>>, EngineError> {
    if logits.size().first() == Some(&0) {
        return Ok(Vec::new());
    }
    Vec::<Vec<f32>>::try_from(logits).map_err(|error| device_error("reading the logits", &error))
}

#[cfg(test)]
mod tests;
