//! Refusals after the handshake: each is logged once for each machine and cause, however often the peer
//! comes again. What repeats is there at the level of debugging.

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::Mutex;
use transport::quic::Quiet;

/// What was said already; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    said: Arc<Mutex<Quiet>>,
}

impl Refusals {
    /// Logs that somebody at an address was refused. True if it is news.
    pub async fn tell(&self, address: &str, who: &str, problem: &(dyn Display + Sync)) -> bool {
        // Addresses in memory have no machine: they share one.
        let machine = address.parse::<SocketAddr>().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| address.ip());
        let news = self.said.lock().await.is_news(machine, &format!("{who} {problem}"));
        if news {
            tracing::warn!("{who} at {address} was refused: {problem}");
        } else {
            tracing::debug!("{who} at {address} was refused again: {problem}");
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_news_once_for_each_machine_and_cause() {
        let refusals = Refusals::default();
        assert!(refusals.tell("10.0.0.1:5", "a client", &"wrong key").await);
        // Each attempt comes from another port.
        assert!(!refusals.clone().tell("10.0.0.1:6", "a client", &"wrong key").await);
        assert!(refusals.tell("10.0.0.1:7", "a client", &"another version").await);
        assert!(refusals.tell("10.0.0.1:8", "node 1", &"wrong key").await);
        assert!(refusals.tell("10.0.0.2:5", "a client", &"wrong key").await);
    }
}
