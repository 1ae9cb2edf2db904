//! The three APIs against a server that speaks them by script.

mod failing;
mod streaming;
mod support;
