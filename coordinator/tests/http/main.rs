//! The HTTP front door over a scripted service: shapes, errors, streams, cancellation.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod admin;
mod arbitrary;
mod bad_input;
mod chats;
mod completions;
mod errors;
mod fake;
mod money;
mod open;
mod overload;
mod schema;
mod sockets;
mod support;
mod tools;
