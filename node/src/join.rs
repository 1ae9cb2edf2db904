//! How this node gets into its cluster: with the certificate it has, or with a token, once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use actors::node::{Dialer, dial_limit};
use policy::restart::{Backoff, Jitter};
use protocol::ids::NodeId;
use tokio::time::timeout;
use transport::BoxFuture;
use transport::connection::Connection;
use transport::error::Lost;
use transport::join::{self, JoinError};
use transport::pki::{Credentials, PkiError, read_secret};
use transport::quic::{DialError, Dialler};
use transport::token::{BadToken, JoinToken};

use crate::state::State;

/// How long a coordinator may take to sign a certificate.
const PATIENCE: Duration = Duration::from_secs(10);

/// A node that does not get in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnterError {
    #[error(
        "the first start needs the cluster's join token: give --token-file FILE; the coordinator keeps it in its state folder"
    )]
    NoToken,
    #[error("the join token cannot be read: {0}")]
    TokenFile(PkiError),
    #[error("{path}: {source}")]
    Token { path: PathBuf, source: BadToken },
    #[error("{address} does not let this node join: {source}")]
    Refused { address: String, source: JoinError },
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// The credentials in the state folder, or those that a coordinator gives for the token. Coordinators
/// that are not there yet are asked until one is.
pub(crate) async fn enter(
    state: &State,
    token_file: Option<&Path>,
    coordinators: &[String],
    dialler: Dialler,
    backoff: Backoff,
) -> Result<Credentials, EnterError> {
    let token = token_file.map(read_token).transpose()?;
    if let Some(credentials) = Credentials::load(state.folder())? {
        // Better said here than as a refused handshake at the coordinator.
        credentials.check(state.folder(), token.as_ref(), unix_now())?;
        return Ok(credentials);
    }
    let token = token.ok_or(EnterError::NoToken)?;
    let mut jitter = Jitter::new(state.id.0);
    let mut told = false;
    for attempt in 0_u32.. {
        for address in coordinators {
            match ask(dialler, address, &token, state.id).await {
                Ok(credentials) => {
                    credentials.save(state.folder())?;
                    tracing::info!("joined the cluster at {address} as node {}", state.id);
                    return Ok(credentials);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) if told => tracing::debug!("cannot join yet: {error}"),
                Err(error) => tracing::warn!("cannot join yet: {error}; trying again until it works"),
            }
        }
        told = true;
        tokio::time::sleep(backoff.full_jitter(attempt, jitter.draw())).await;
    }
    Err(EnterError::NoToken)
}

fn read_token(path: &Path) -> Result<JoinToken, EnterError> {
    let text = read_secret(path).map_err(EnterError::TokenFile)?;
    text.parse().map_err(|source| EnterError::Token { path: path.to_owned(), source })
}

#[expect(clippy::disallowed_methods, reason = "the shell's edge: a certificate ends at a time of day")]
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

async fn ask(dialler: Dialler, address: &str, token: &JoinToken, node: NodeId) -> Result<Credentials, EnterError> {
    let connection = dialler.join(address, token).await?;
    join::request(&connection, token, node, PATIENCE)
        .await
        .map_err(|source| EnterError::Refused { address: address.to_owned(), source })
}

/// Whether it makes no sense to ask again.
fn is_final(error: &EnterError) -> bool {
    match error {
        // A coordinator that stops or is full turns peers away for the moment.
        EnterError::Dial(DialError::Refused { lost, .. }) => matches!(lost, Lost::Tls(_)),
        EnterError::Dial(error) => !matches!(error, DialError::Unreachable { .. } | DialError::Resolve { .. }),
        EnterError::Refused { source, .. } => matches!(source, JoinError::Refused(_) | JoinError::Pki(_)),
        _ => true,
    }
}

/// Dials one coordinator over QUIC, with this node's certificate.
#[derive(Debug)]
pub(crate) struct QuicDialer {
    pub(crate) address: String,
    pub(crate) dialler: Dialler,
    pub(crate) credentials: Arc<Credentials>,
    /// How long a handshake may take.
    pub(crate) handshake: Duration,
    /// Tries in a row that took too long.
    pub(crate) late: AtomicU32,
}

impl Dialer for QuicDialer {
    fn address(&self) -> &str {
        &self.address
    }

    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, String>> {
        Box::pin(async {
            let limit = dial_limit(self.late.load(Ordering::Relaxed), self.handshake);
            let dialled = timeout(limit, self.dialler.node(&self.address, &self.credentials)).await;
            let unreachable = || DialError::Unreachable { address: self.address.clone() };
            let dialled = dialled.unwrap_or_else(|_| Err(unreachable()));
            let late = self.late.load(Ordering::Relaxed);
            let late = match &dialled {
                // The way is as slow the next time: not all is forgotten.
                Ok(_) => late / 2,
                Err(DialError::Unreachable { .. }) => late.saturating_add(1),
                Err(_) => 0,
            };
            self.late.store(late, Ordering::Relaxed);
            dialled.map(|connection| Arc::new(connection) as Arc<dyn Connection>).map_err(|error| error.to_string())
        })
    }
}
