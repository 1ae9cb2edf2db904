//! Why nothing was measured.

use std::path::PathBuf;

use actors::node::NotServed;
use transport::join::JoinError;
use transport::pki::PkiError;
use transport::quic::DialError;
use transport::token::BadToken;

/// A part that could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("there is no runtime: {0}")]
    Runtime(std::io::Error),
    #[error("the figures cannot be written: {0}")]
    Output(#[from] std::io::Error),
    #[error("{}: {source}; build it with `cargo build --release -p coordinator`", path.display())]
    Program { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the coordinator ended too soon ({how}); the end of its log:\n{tail}")]
    Ended { how: String, tail: String },
    #[error("{what} took more than {seconds} s")]
    TooLate { what: String, seconds: u64 },
    #[error("the ready file has no `{0}`")]
    ReadyFile(&'static str),
    #[error("no process {0} can be looked at: is this Linux?")]
    Process(u32),
    #[error("the coordinator's metrics have no `{0}`")]
    Metric(&'static str),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Token(#[from] BadToken),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Model(#[from] NotServed),
    #[error("an actor cannot be started: {0}")]
    Actor(#[from] ractor::SpawnErr),
    #[error("{address} cannot be reached: {source}")]
    Reach { address: String, source: std::io::Error },
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    #[error("a request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("an answer with status {status}: {body}")]
    Status { status: u16, body: String },
    #[error("{what} is wanted, but an answer has none")]
    Lacks { what: &'static str },
    #[error("{failed} of {all} requests failed; the first: {first}")]
    Failed { failed: usize, all: usize, first: String },
    #[error("a task broke off: {0}")]
    Task(#[from] tokio::task::JoinError),
}
