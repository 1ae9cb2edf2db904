//! Connections over QUIC, by quinn: who may connect, and how long a silence may be.
//!
//! Rules: the crypto provider is chosen here, never the process's default; no session tickets and no
//! early data, since both would go around the check of certificates. Handshakes run beside the accept
//! loop, in a bounded number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::ids::NodeId;
use quinn::{AckFrequencyConfig, IdleTimeout, TransportConfig, VarInt};

use crate::error::{Alert, Code, Lost};

mod dial;
mod listen;
mod quiet;
#[cfg(feature = "simulated")]
mod simulated;
mod stream;
mod tls;

pub use dial::{DialError, Dialler, Trust};
pub use listen::{BindError, Incoming, Listener, Role};
pub use quiet::Quiet;
pub use stream::QuicConnection;

/// Packets after which the peer must be told that they came, if the delay for that is not over sooner. Tokens come
/// in a packet each, and every acknowledgement is a system call: the usual every other one is more than is needed.
const ACK_AFTER: u32 = 8;

/// How connections live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a quiet connection is kept awake.
    pub keep_alive: Duration,
    /// Silence that ends a connection.
    pub idle_timeout: Duration,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// Streams that the peer may have open at once.
    pub streams: u32,
}

impl From<&protocol::config::Wire> for Timing {
    fn from(wire: &protocol::config::Wire) -> Self {
        Self {
            keep_alive: wire.keep_alive.0,
            idle_timeout: wire.idle_timeout.0,
            handshake: wire.handshake.0,
            streams: wire.streams,
        }
    }
}

/// Streams beyond those that are served: whoever opens one hears that all are taken, and does not wait for a place
/// without a word.
const SPARE: u32 = 64;

/// What a round trip is taken to need until one was seen: who dials somebody that is just starting repeats its first
/// packet after three times that, not after a second.
const FIRST_GUESS: Duration = Duration::from_millis(100);

impl Timing {
    fn transport(&self) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        let mut acks = AckFrequencyConfig::default();
        acks.ack_eliciting_threshold(VarInt::from_u32(ACK_AFTER));
        let idle = IdleTimeout::try_from(self.idle_timeout).unwrap_or_else(|_| VarInt::MAX.into());
        // Whoever serves none opens no door.
        let streams = if self.streams == 0 { 0 } else { self.streams.saturating_add(SPARE) };
        config
            .keep_alive_interval(Some(self.keep_alive))
            .max_idle_timeout(Some(idle))
            .max_concurrent_bidi_streams(VarInt::from_u32(streams))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .send_fairness(false)
            .initial_rtt(FIRST_GUESS)
            .ack_frequency_config(Some(acks));
        Arc::new(config)
    }
}

/// Why quinn's connection is gone, in our words.
fn lost(error: quinn::ConnectionError) -> Lost {
    use quinn::ConnectionError as E;
    match error {
        E::ApplicationClosed(close) => Lost::Closed {
            code: Code::from_number(close.error_code.into_inner()),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        E::LocallyClosed => Lost::Here,
        E::TimedOut => Lost::Silent,
        E::Reset => Lost::Forgotten,
        E::TransportError(error) => alert(error.code).map_or_else(|| Lost::Other(error.to_string()), Lost::Tls),
        E::ConnectionClosed(close) => alert(close.error_code).map_or_else(|| Lost::Other(close.to_string()), Lost::Tls),
        other => Lost::Other(other.to_string()),
    }
}

/// Crypto errors carry a TLS alert: RFC 9001, section 4.8.
fn alert(code: quinn::TransportErrorCode) -> Option<Alert> {
    let number = u64::from(code);
    if (0x100..0x200).contains(&number) { u8::try_from(number - 0x100).ok().map(Alert) } else { None }
}

fn peer(connection: &quinn::Connection, node: Option<NodeId>) -> crate::connection::Peer {
    let address: SocketAddr = connection.remote_address();
    crate::connection::Peer { address: address.to_string(), node }
}
