//! One model on one device: loaders, KV blocks, scheduler, sampler, and the model itself in libtorch.
//!
//! Rules: synchronous, advanced step by step, on a thread of its own that the owner provides. This is
//! the only crate that knows `tch`; what it does is seen through [`protocol::engine::Engine`].
//! What decides (block pool, scheduler, sampler) is plain Rust without libtorch.

mod batch;
pub mod blocks;
pub mod gguf;
pub mod hf;
mod kernels;
pub mod local;
mod memory;
mod native;
pub mod options;
pub mod profile;
mod rope;
pub mod sampler;
pub mod scheduler;
pub mod source;
mod torch;

pub use kernels::{Isa, OutOfMemory};
pub use local::{LocalEngine, StartError};
pub use native::NativeLoadError;
pub use options::EngineOptions;
pub use torch::LoadModelError;
