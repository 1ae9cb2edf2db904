//! Versions of the protocol, and how two machines agree on one.
//!
//! The major version is the ALPN name: another one is refused in the TLS handshake. The minor version
//! is agreed in the first message, the highest that both speak; a refusal names both ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

/// ALPN of the connection between a node and a coordinator; both prove who they are.
pub const ALPN_NODE: &[u8] = b"troupe/1";
/// ALPN of a node that joins: it has a token and no certificate yet.
pub const ALPN_JOIN: &[u8] = b"troupe-join/1";
/// ALPN of a client, which proves itself by an API key.
pub const ALPN_CLIENT: &[u8] = b"troupe-client/1";
/// ALPN between two nodes; both prove who they are.
pub const ALPN_PEER: &[u8] = b"troupe-peer/1";

/// A minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u16);

/// The minor versions that a machine speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest.
    pub oldest: Version,
    /// The newest.
    pub newest: Version,
}

impl Versions {
    /// What this build speaks.
    pub const OURS: Self = Self { oldest: Version(1), newest: Version(1) };

    /// The newest version that both speak.
    ///
    /// # Errors
    /// The two ranges, if they do not meet.
    pub fn agree(self, theirs: Self) -> Result<Version, VersionMismatch> {
        let newest = self.newest.min(theirs.newest);
        if newest >= self.oldest.max(theirs.oldest) { Ok(newest) } else { Err(VersionMismatch { ours: self, theirs }) }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{} to 1.{}", self.oldest.0, self.newest.0)
    }
}

/// Two machines share no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("no common protocol version: this side speaks {ours}, the other {theirs}; update the older one")]
pub struct VersionMismatch {
    /// Of the side that says it.
    pub ours: Versions,
    /// Of the other side.
    pub theirs: Versions,
}

#[cfg(test)]
mod tests;
