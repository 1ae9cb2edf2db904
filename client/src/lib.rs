//! The client library: connect to a cluster over QUIC, submit jobs, stream their answers, cancel them.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Ask, Client, ConnectOptions, Trust};
//!
//! let trust = Trust::CaFile(".troupe/coordinator/ca.crt".into());
//! let client = Client::connect(ConnectOptions::new("127.0.0.1:7600", "key", trust)).await?;
//! let mut answer = client.submit(Ask::chat("smollm2").user("What is the capital of France?")).await?;
//! while let Some(piece) = answer.next().await {
//!     if let client::Answer::Delta(delta) = piece? {
//!         print!("{}", delta.text);
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! Rules: one connection carries all jobs of a [`Client`] and its clones, one stream each. A lost
//! connection is dialled again by the next call, with backoff. A request that may have reached the cluster is not
//! sent twice, unless several coordinators were named and the one that was asked is lost before it has said a word:
//! then the next is asked. A stream that is dropped before its end cancels its job, down to the
//! engine. Every failure is a typed error that says what to do.

mod ask;
mod backoff;
mod connection;
mod error;
mod options;
mod order;
mod session;
mod stream;

pub use ask::Ask;
pub use connection::Client;
pub use error::{AnswerError, ConnectError, StatusError, SubmitError};
pub use options::{ApiKey, ConnectOptions, Retry, Timeouts, Trust};
pub use order::Disorder;
pub use stream::{Choice, JobStream, Whole};

pub use protocol::answer::{Answer, ClusterStatus, Delta, ErrorKind, FinishReason, JobError, Started, Usage};
pub use protocol::manage::{Manage, Managed};
pub use protocol::message::OrderAction;
pub use protocol::request::{ChatMessage, Input, Params, Request};
