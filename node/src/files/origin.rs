//! Where files come from, as the fetching itself sees it: a listing, and bytes from an offset on.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::BoxStream;
use transport::BoxFuture;

use super::ObtainError;
use super::hash::Expect;
use super::names::SafeName;

/// One file that is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: SafeName,
    pub(crate) size: u64,
    pub(crate) expect: Expect,
    /// How the origin finds it: an address, or the name again.
    pub(crate) remote: String,
}

/// All of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Wanted>,
    /// What exactly was listed, where the origin knows it.
    pub(crate) commit: Option<String>,
}

/// Bytes of a file.
pub(crate) struct Opened {
    /// Where they begin: at the offset that was asked for, or at 0 if the origin cannot do that.
    pub(crate) begins: u64,
    pub(crate) bytes: BoxStream<'static, Result<Bytes, Fault>>,
}

/// What goes wrong at an origin.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may work when it is tried again.
    Passing(String),
    /// It will not.
    Final(ObtainError),
}

impl From<ObtainError> for Fault {
    fn from(error: ObtainError) -> Self {
        Self::Final(error)
    }
}

impl Fault {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Final(ObtainError::Files { path, source })
    }
}

/// A place that has the files of one model.
pub(crate) trait Origin: Send + Sync {
    /// What there is.
    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>>;

    /// The bytes of a file from `offset` on.
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>>;
}

/// How long things may take, and how often they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Silence that counts as a cut.
    pub(crate) stall: Duration,
    /// How long another node may need to hash its files before it lists them.
    pub(crate) listing: Duration,
    /// Tries in a row that bring nothing.
    pub(crate) attempts: u32,
    /// The wait before the second of them; it doubles.
    pub(crate) backoff: Duration,
    /// How often all peers are asked.
    pub(crate) rounds: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(30),
            listing: Duration::from_secs(900),
            attempts: 5,
            backoff: Duration::from_secs(1),
            rounds: 3,
        }
    }
}

impl Pace {
    /// The wait after so many tries that brought nothing.
    pub(crate) fn wait(&self, fruitless: u32) -> Duration {
        self.backoff.saturating_mul(1 << fruitless.saturating_sub(1).min(5))
    }
}
