//! The coordinator: HTTP and QUIC front doors, the request pipeline, placement.
//!
//! Rules: the doors know the coordinator as [`service::Service`] alone. What must outlive a restart lies in
//! the state folder; all else is rebuilt from the nodes. The binary `troupe-coordinator` is `main.rs`.

pub mod alerts;
pub mod decisions;
pub mod escrow;
pub mod http;
pub mod keys;
pub mod manage;
pub mod pipeline;
pub mod pricing;
pub mod quic_door;
pub mod refusals;
pub mod router;
pub mod run;
pub mod scale;
pub mod server;
pub mod service;
pub mod state;
pub mod wishes;
