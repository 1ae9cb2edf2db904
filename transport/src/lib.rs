//! How bytes travel: QUIC endpoints, mutual TLS, join tokens, framed streams.
//!
//! Rules: a connection is seen through [`connection::Connection`], so that everything above runs over
//! QUIC and, in tests and simulations, over memory. A fault of a frame ends its stream and harms no
//! other. What the frames mean is not known here, but for the few that join a node to a cluster.

pub mod connection;
pub mod error;
pub mod frames;
pub mod join;
pub mod memory;
pub mod pki;
pub mod quic;
pub mod token;

/// A boxed future, as object-safe traits need it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
