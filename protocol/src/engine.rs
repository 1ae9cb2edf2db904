//! The engine as everything above it sees it: one model on one device, advanced step by step.
//!
//! Implemented by the libtorch engine and by mocks with a timing model; [`contract`] is the suite that
//! every implementation passes. An engine is synchronous and knows no clock: its owner calls
//! [`Engine::step`] on a thread of its own and moves messages.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{JobKey, TokenId};
use crate::job::{Finish, Job, JobUsage, Sampled};
use crate::units::{Blocks, Tokens};

#[cfg(feature = "contract")]
pub mod contract;
mod exchange;
mod prefix;

pub use exchange::{BlockData, ImportRefusal, Imported, Layout, check as check_import};
pub use prefix::{BlockHash, CacheEvent, CacheLog, HASHING};

/// One model on one device.
///
/// Promises, each checked by the contract suite:
/// - A job that was granted ends with exactly one of [`Event::Finished`], [`Event::Failed`] or a
///   successful [`Engine::cancel`], and never speaks again.
/// - After its end a job holds no block: `blocks_used` counts running and waiting jobs alone.
/// - The same job gives the same tokens alone, beside others, after a preemption, and continued
///   from any of its own prefixes through [`Job::generated`].
/// - Whoever replays [`Engine::cache_events`] knows what [`Grant::cached`] will say.
pub trait Engine: Send {
    /// What this engine serves; it does not change.
    fn card(&self) -> &Card;

    /// Takes a job into the queue, or refuses it without a trace.
    ///
    /// # Errors
    /// A [`RefusalReason`] that says what to change, or where to go instead.
    fn admit(&mut self, job: Job) -> Result<Grant, RefusalReason>;

    /// Ends a job without an event and frees what it holds. What it has used: of its prompt, what was computed or
    /// found cached. None if there is none of that key.
    fn cancel(&mut self, key: JobKey) -> Option<JobUsage>;

    /// Computes one step for every job that is due and appends what came of it to `events`, in order.
    ///
    /// # Errors
    /// The device or the model failed: every job of this engine is lost, and so is the engine.
    fn step(&mut self, events: &mut Vec<Event>) -> Result<Progress, EngineError>;

    /// How much it carries now. Cheap: called after every step.
    fn load(&self) -> Load;

    /// Tells, in order, what its prefix cache stored and removed since the last call. The first telling
    /// begins with [`CacheEvent::Cleared`], and so does one after more than two events for each block:
    /// then all that is cached follows.
    fn cache_events(&mut self, events: &mut Vec<CacheEvent>);

    /// Makes the next [`Engine::cache_events`] tell all that is cached, for a listener that comes late.
    fn restart_cache_events(&mut self);

    /// What the bytes of a cached block mean; it does not change.
    fn layout(&self) -> Layout;

    /// How many of these blocks, from the front, are cached now.
    fn cached_blocks(&self, hashes: &[BlockHash]) -> Blocks;

    /// Appends the blocks of these hashes with what lies in them, as far as they are cached from the front.
    /// Nothing else changes.
    fn export_blocks(&mut self, hashes: &[BlockHash], out: &mut Vec<BlockData>);

    /// Takes blocks of another engine into the prefix cache, in the order of their prompt. Free blocks are
    /// used for them, those of the least recently used prefixes if there are no others; running jobs lose
    /// nothing, and nothing counts as used afterwards.
    fn import_blocks(&mut self, layout: &Layout, blocks: Vec<BlockData>) -> Imported;
}

/// What an engine serves. It stands in a node's hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The model's name in the cluster.
    pub model: String,
    /// Its architecture, as `llama`.
    pub architecture: String,
    /// Tells one set of weights from another.
    pub weights: [u8; 32],
    /// Hash of its tokenizer and chat template: the key under which a coordinator fetches them.
    pub text: [u8; 32],
    /// The longest prompt and answer together.
    pub context: Tokens,
    /// Ids are below this.
    pub vocabulary: u32,
    /// Tokens in a KV block.
    pub block: Tokens,
    /// KV blocks in all.
    pub blocks: Blocks,
    /// The most jobs that may wait or run.
    pub jobs: u32,
    /// The arithmetic, as `bf16`.
    pub dtype: String,
    /// The device, as `cpu` or `cuda:0`.
    pub device: String,
    /// Bytes of a KV block, over all layers: what it costs to send one.
    pub block_bytes: u64,
}

/// A job was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Tokens of its prompt that are cached now.
    pub cached: Tokens,
    /// Prefill tokens that are due before it.
    pub queue: Tokens,
}

/// Why a job was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RefusalReason {
    /// Another node may have room.
    #[error("the queue is full: {limit} jobs are waiting or running")]
    QueueFull {
        /// The bound.
        limit: u32,
    },
    /// Another node may have room: the prompts that wait here are long enough.
    #[error("the queue is full: prompts of {queued} wait, the limit is {limit}")]
    QueueTokens {
        /// Prefill that is due.
        queued: Tokens,
        /// The bound, for jobs of this class.
        limit: Tokens,
    },
    /// It finishes what it has and takes nothing new.
    #[error("the node is draining")]
    Draining,
    /// The worker is starting or restarting.
    #[error("the worker is not ready")]
    NotReady,
    /// Not served here.
    #[error("the model '{model}' is not served here")]
    UnknownModel {
        /// The model that was asked for.
        model: String,
    },
    /// Too long for the model.
    #[error("prompt and answer so far have {tokens}, the context holds {limit}: shorten the prompt")]
    PromptTooLong {
        /// What was sent.
        tokens: Tokens,
        /// What fits, with one token left for the answer.
        limit: Tokens,
    },
    /// Too long for this node's memory, whatever else it runs.
    #[error("the prompt needs {needed}, the KV cache holds {limit}: shorten it or raise kv_memory")]
    TooManyBlocks {
        /// What the prompt and one token need.
        needed: Blocks,
        /// All there are.
        limit: Blocks,
    },
    /// No prompt.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// No such token.
    #[error("token {token} is not below the vocabulary's size, {vocabulary}")]
    BadToken {
        /// The token.
        token: TokenId,
        /// The bound.
        vocabulary: u32,
    },
    /// A limit that cannot be met.
    #[error("max_tokens is 0: at least 1 is needed")]
    NothingToDo,
    /// That attempt is here already.
    #[error("the job {key} is here already")]
    Duplicate {
        /// Its key.
        key: JobKey,
    },
}

impl RefusalReason {
    /// Whether another node, or the same one later, may take the job: backpressure, not a fault.
    pub fn is_backpressure(&self) -> bool {
        matches!(
            self,
            Self::QueueFull { .. }
                | Self::QueueTokens { .. }
                | Self::Draining
                | Self::NotReady
                | Self::TooManyBlocks { .. }
        )
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A job's prefill has begun: so much of its prompt was found in the cache. Once per job.
    Started {
        /// The job.
        key: JobKey,
        /// Prompt tokens that need not be computed.
        cached: Tokens,
    },
    /// A token of an answer.
    Token {
        /// The job.
        key: JobKey,
        /// The token.
        sampled: Sampled,
    },
    /// A job has ended well; its last token came before.
    Finished {
        /// The job.
        key: JobKey,
        /// Why.
        finish: Finish,
        /// What it used.
        usage: JobUsage,
    },
    /// This job alone has failed.
    Failed {
        /// The job.
        key: JobKey,
        /// Why.
        error: JobFault,
    },
}

/// Why one job failed while the others go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JobFault {
    /// The logits were not finite.
    #[error("the model gave no finite logits at position {position}")]
    NotFinite {
        /// Position in prompt and answer together.
        position: Tokens,
    },
    /// The worker that ran it has failed and is being restarted.
    #[error("the worker failed: {reason}")]
    WorkerLost {
        /// What it said.
        reason: String,
    },
    /// The node is told to stop, or the model to go, and the job's time there is over: it goes on elsewhere.
    #[error("the node drains: the job goes on elsewhere")]
    Drained,
    /// Its deadline has passed before its prefill had begun.
    #[error("the deadline has passed before the job's turn came")]
    Expired,
}

/// The size of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Prompt tokens computed.
    pub prefill: Tokens,
    /// Sequences that got a token.
    pub decoded: u32,
    /// Sequences that lost their blocks and will be computed again.
    pub preempted: u32,
    /// What the step would have cost on the machine that a mock imitates; zero for a real engine.
    /// The owner waits that long before it hands the events on.
    pub pace: Duration,
}

impl Progress {
    /// Whether anything was done.
    pub fn is_idle(&self) -> bool {
        self.prefill == Tokens::ZERO && self.decoded == 0
    }
}

/// How much an engine carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Steps that did work, since the start. It must grow while jobs are there.
    pub step: u64,
    /// Jobs with blocks.
    pub running: u32,
    /// Jobs without.
    pub waiting: u32,
    /// Prefill tokens that are due, of running and waiting jobs.
    pub prefill: Tokens,
    /// Tokens in the contexts of running jobs.
    pub context: Tokens,
    /// Blocks in the hands of jobs.
    pub blocks_used: Blocks,
    /// All blocks.
    pub blocks_total: Blocks,
}

impl Load {
    /// Whether work is there.
    pub fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting == 0
    }
}

/// The engine as a whole has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The device or a library refused an operation.
    #[error("the device failed in {operation}: {reason}")]
    Device {
        /// What was being done.
        operation: String,
        /// What the library said.
        reason: String,
    },
    /// A rule of the engine's own was broken: a bug.
    #[error("an invariant of the engine is broken: {0}")]
    Invariant(String),
}
