//! The coordinator: HTTP and QUIC front doors, the request pipeline, placement.
//!
//! The binary `troupe-coordinator` is `main.rs`; everything else is here, so that tests reach it.

pub mod service;
