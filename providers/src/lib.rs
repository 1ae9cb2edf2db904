//! Models of others: OpenAI's API and all who speak it, Anthropic's and Google's, as backends behind one interface.
//!
//! Rules:
//! - [`Provider`] makes one attempt: it never retries and never goes elsewhere. [`Pool`] keeps all of them, each
//!   behind its breaker. Who is asked next is decided by `policy::upstream::fallback`.
//! - It always streams, whatever the client wants: so a client that leaves is noticed there at once, silence is
//!   noticed here, and what came is counted by ourselves.
//! - What an API lacks is refused with the field's name, never left out in silence (docs/providers.md has the table).
//! - A key is sent to its provider and shown to nobody: not in errors, not in logs, not in `Debug`.
//! - What comes from a provider is not trusted: lines, events, bodies and waits have bounds, and nothing in them
//!   can make this panic.

mod call;
mod errors;
mod headers;
#[cfg(feature = "mock")]
pub mod mock;

pub mod pool;
mod provider;
mod secret;
pub mod sse;
mod stream;
mod wire;

pub use call::{Call, Failure, Piece, Seen};
pub use policy::upstream::failure::FailureKind;
pub use policy::upstream::usage::ProviderUsage;

pub use pool::{Answering, Pool, Served, Started};
pub use provider::{BadProvider, Provider};
pub use secret::{KeyError, Secret};
pub use stream::Stream;
