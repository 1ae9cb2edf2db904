//! The three APIs against a server that speaks them by script.

mod chains;
mod failing;
mod lies;
mod limits;
mod pools;
mod schema;
mod slow;
mod streaming;
mod support;
mod tools;
mod writing;
