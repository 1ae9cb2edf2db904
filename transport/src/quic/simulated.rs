//! Endpoints over a simulated network, for tests: the same QUIC, in virtual time.

use std::io;
use std::sync::Arc;

use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

/// An endpoint over such a socket. Its connection ids, and whatever else it leaves to chance, follow from the seed; keys of
/// TLS do not, so contents of packets differ from run to run, not what is sent when.
pub(super) fn endpoint(
    socket: Arc<dyn AsyncUdpSocket>,
    config: Option<ServerConfig>,
    seed: u64,
) -> io::Result<Endpoint> {
    let mut own = EndpointConfig::default();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    own.rng_seed(Some(bytes));
    Endpoint::new_with_abstract_socket(own, config, socket, Arc::new(TokioRuntime))
}
