//! The arithmetic of a decoder on a CPU: packed matrix products, paged attention, and the small steps
//! between them.
//!
//! Rules:
//! - Every kernel has a portable version in plain Rust and, where it pays, one for AVX-512 (VNNI, BF16).
//!   For AVX2 the portable version is compiled once more with those instructions. Which one runs is
//!   decided once, by [`Isa`]; all are tested against the same `f64` references.
//! - Within one `Isa` the order of every sum depends on the shape of the weights alone: a row's result
//!   has the same bits alone, in any batch, in any chunk, on any number of threads.
//! - Work is split between threads statically ([`Pool`]), by columns or by items whose cost is known.
//! - `unsafe` lives here and nowhere else in the crate; each block says why it holds. Functions that can
//!   be called from outside are safe and check their lengths.
//!
//! What is computed when is the decoder's business; nothing here knows a model.

#![expect(
    unsafe_code,
    reason = "vector instructions, memory for them, and threads that share it: each block says why it holds"
)]

pub(crate) mod attention;
mod buffer;
pub(crate) mod gemm;
mod isa;
pub(crate) mod kv;
mod math;
mod pool;
pub(crate) mod rows;
pub(crate) mod steps;

pub(crate) use buffer::Buffer;
pub use buffer::OutOfMemory;
pub use isa::Isa;
pub(crate) use pool::Pool;
