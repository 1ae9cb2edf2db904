//! Join tokens: `troupe1.<fingerprint of the cluster's CA>.<secret>`.
//!
//! The fingerprint tells a joining node whom to trust before it tells the secret. Whoever holds a token
//! can add a node, so it is never printed by accident.

use std::fmt;
use std::str::FromStr;

use protocol::ids::ClusterId;
use subtle::ConstantTimeEq;

const PREFIX: &str = "troupe1";

/// SHA-256 of a CA certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(certificate).into())
    }

    /// The cluster whose authority has it.
    pub fn cluster(self) -> ClusterId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        ClusterId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        unhex(text.trim()).map(Self).ok_or(BadToken::Fingerprint)
    }
}

/// What a node needs to join a cluster.
#[derive(Clone)]
pub struct JoinToken {
    /// Whom to trust.
    pub fingerprint: Fingerprint,
    secret: [u8; 32],
}

/// Text that is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not of this form at all.
    #[error("not a join token: it begins with '{PREFIX}.' and has three parts, as in the coordinator's state folder")]
    Form,
    /// The CA's fingerprint is damaged.
    #[error("the fingerprint must be 64 hexadecimal digits: copy it again")]
    Fingerprint,
    /// The secret is damaged.
    #[error("the join token's secret must be 64 hexadecimal digits: copy it again")]
    Secret,
}

impl JoinToken {
    /// A token with this secret.
    pub fn new(fingerprint: Fingerprint, secret: [u8; 32]) -> Self {
        Self { fingerprint, secret }
    }

    /// The secret, to be sent to a server that was proven to be the right one.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Whether this is the secret; takes the same time for every wrong one.
    pub fn is_secret(&self, given: &[u8]) -> bool {
        self.secret.as_slice().ct_eq(given).into()
    }

    /// The token as text, secret included.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}.{}.{}", self.fingerprint, Fingerprint(self.secret))
    }
}

impl fmt::Debug for JoinToken {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [PREFIX, fingerprint, secret] = parts.as_slice() else { return Err(BadToken::Form) };
        let fingerprint = fingerprint.parse()?;
        Ok(Self { fingerprint, secret: unhex(secret).ok_or(BadToken::Secret)? })
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
