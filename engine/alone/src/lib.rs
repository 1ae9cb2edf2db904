//! The engine's kernels, compiled without the rest of it.

#![expect(dead_code, reason = "who calls the kernels is not here")]

#[path = "../../src"]
mod engine {
    pub(crate) mod kernels;
}

use engine::kernels;
