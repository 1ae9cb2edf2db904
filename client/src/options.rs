//! How to reach a cluster.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Coordinators of one cluster, `HOST:PORT`, asked in this order until one takes us in. When it is lost, those
    /// behind it are asked first.
    pub addresses: Vec<String>,
    /// Who we are.
    pub key: ApiKey,
    /// How we know the cluster.
    pub trust: Trust,
    /// How often to try when nobody answers.
    pub retry: Retry,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Our program and its version, for the coordinator's log.
    pub agent: String,
}

impl ConnectOptions {
    /// One coordinator, and defaults for the rest.
    pub fn new(address: impl Into<String>, key: impl Into<ApiKey>, trust: Trust) -> Self {
        Self::to_any([address], key, trust)
    }

    /// Several coordinators of one cluster, and defaults for the rest.
    pub fn to_any(
        addresses: impl IntoIterator<Item = impl Into<String>>,
        key: impl Into<ApiKey>,
        trust: Trust,
    ) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            key: key.into(),
            trust,
            retry: Retry::default(),
            timeouts: Timeouts::default(),
            agent: concat!("troupe-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// An API key. It is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key as text. Space around it, as at the end of a key file, is no part of it.
    pub fn new(key: impl AsRef<str>) -> Self {
        Self(key.as_ref().trim().to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// How we know that the server is the cluster we mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The cluster's CA certificate, a PEM file from the coordinator's state folder.
    CaFile(PathBuf),
    /// The CA's SHA-256 fingerprint in hexadecimal: the middle part of a join token.
    Fingerprint(String),
}

/// How often to try to connect. Only a server that does not answer is tried again: a wrong key, an
/// untrusted certificate or another version will not become right by asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all; 0 counts as 1.
    pub attempts: u32,
    /// The longest wait after the first failure; it doubles.
    pub first: Duration,
    /// The longest wait after any failure.
    pub max: Duration,
}

impl Default for Retry {
    /// Four tries within about two seconds of waiting.
    fn default() -> Self {
        Self { attempts: 4, first: Duration::from_millis(200), max: Duration::from_secs(5) }
    }
}

/// How long to wait for the cluster. Answers have no limit here: the coordinator has one, and a
/// connection that falls silent ends after a few seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one try to connect, with its greeting.
    pub connect: Duration,
    /// For the answer to a question about the cluster.
    pub reply: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), reply: Duration::from_secs(10) }
    }
}
