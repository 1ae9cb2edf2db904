//! One model on one device: loaders, KV blocks, scheduler, sampler, and the model itself in libtorch.
//!
//! Rules: synchronous, advanced step by step, on a thread of its own that the owner provides. This is
//! the only crate that knows `tch`; what it does is seen through [`protocol::engine::Engine`].
//! What decides (block pool, scheduler, sampler) is plain Rust without libtorch.

pub mod blocks;
pub mod gguf;
pub mod hf;
mod model;
pub mod options;
pub mod sampler;
pub mod scheduler;
pub mod source;
pub mod torch_engine;

pub use model::LoadModelError;
pub use options::EngineOptions;
pub use torch_engine::{StartError, TorchEngine};
