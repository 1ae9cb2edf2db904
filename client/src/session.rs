//! One connection whose greeting is done. The only file that knows how it was made.

use std::sync::Arc;

use futures_util::FutureExt;
use protocol::config::Wire;
use protocol::frame::Frame;
use protocol::ids::ClusterId;
use protocol::message::{ClientHello, ClientRefused};
use protocol::version::Versions;
use tokio::time::{Instant, timeout, timeout_at};
use transport::connection::Connection;
use transport::error::{Code, Lost};
use transport::frames::{FrameReader, RecvError, SendError};
use transport::quic::{self, DialError, Dialler, QuicConnection, Timing};

use crate::error::ConnectError;
use crate::options::{ConnectOptions, Trust};

/// A connection that the coordinator has taken in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) connection: Arc<QuicConnection>,
    pub(crate) cluster: ClusterId,
}

impl Session {
    /// Dials and greets, all within the time that the options give. `tries` counts this one.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub(crate) async fn dial(address: &str, options: &ConnectOptions, tries: u32) -> Result<Self, ConnectError> {
        let within = options.timeouts.connect;
        let deadline = Instant::now() + within;
        let trust = match &options.trust {
            Trust::CaFile(path) => quic::Trust::CaFile(path.clone()),
            Trust::Fingerprint(text) => match text.parse() {
                Ok(fingerprint) => quic::Trust::Fingerprint(fingerprint),
                Err(error) => return Err(ConnectError::Trust(format!("'{text}' is no fingerprint: {error}"))),
            },
        };
        let wire = Wire::default();
        // Nobody opens streams to a client.
        let timing = Timing { handshake: within, streams: 0, ..Timing::from(&wire) };
        let dialler = Dialler::new(timing);
        let dialled = timeout_at(deadline, dialler.client(address, &trust));
        let late = || ConnectError::TimedOut { address: address.to_owned(), within, attempts: tries };
        let connection = match dialled.await {
            Err(_) => return Err(late()),
            Ok(outcome) => outcome.map_err(|error| refused(error, address, tries))?,
        };
        let greeted = timeout_at(deadline, greet(&connection, options)).await.map_err(|_| late())?;
        match greeted {
            Ok(cluster) => Ok(Self { connection: Arc::new(connection), cluster }),
            Err(NotGreeted::Refused(ClientRefused::Version(mismatch))) => Err(ConnectError::Version(mismatch)),
            Err(NotGreeted::Refused(ClientRefused::Denied(error))) => Err(ConnectError::Denied(error)),
            Err(NotGreeted::Lost(reason)) => Err(unreachable(address, tries, reason)),
            Err(NotGreeted::Protocol(reason)) => Err(ConnectError::Protocol { address: address.to_owned(), reason }),
        }
    }

    /// Whether it is known to be gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.connection.closed().now_or_never().is_some()
    }

    /// Closes it and waits, not for long, until the peer was told.
    pub(crate) async fn close(&self) {
        self.connection.close(Code::Done, "");
        // It only means that the peer finds out by itself.
        let _ = timeout(Wire::default().keep_alive.0, self.connection.drained()).await;
    }
}

enum NotGreeted {
    Refused(ClientRefused),
    Lost(String),
    Protocol(String),
}

impl From<Lost> for NotGreeted {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost.to_string())
    }
}

async fn greet(connection: &QuicConnection, options: &ConnectOptions) -> Result<ClusterId, NotGreeted> {
    let (mut writer, mut reader) = connection.open().await?;
    let hello =
        ClientHello { versions: Versions::OURS, key: options.key.expose().to_owned(), agent: options.agent.clone() };
    match writer.send(hello).await {
        Ok(()) => {}
        Err(SendError::Frame(error)) => return Err(NotGreeted::Protocol(error.to_string())),
        // What it says before it hangs up tells more.
        Err(SendError::Stream(error)) => {
            return Err(answer(&mut reader).await.err().unwrap_or(NotGreeted::Lost(error.to_string())));
        }
    }
    let cluster = answer(&mut reader).await?;
    writer.finish();
    Ok(cluster)
}

async fn answer(reader: &mut FrameReader) -> Result<ClusterId, NotGreeted> {
    match reader.recv().await {
        Ok(Some(Frame::ClientWelcome(welcome))) => Ok(welcome.cluster),
        Ok(Some(Frame::ClientRefused(refused))) => Err(NotGreeted::Refused(refused)),
        Ok(Some(other)) => Err(NotGreeted::Protocol(format!("a {:?} came", other.kind()))),
        Ok(None) => Err(NotGreeted::Protocol("its stream ended".to_owned())),
        Err(RecvError::Stream(error)) => Err(NotGreeted::Lost(error.to_string())),
        Err(error) => Err(NotGreeted::Protocol(error.to_string())),
    }
}

fn unreachable(address: &str, attempts: u32, reason: String) -> ConnectError {
    ConnectError::Unreachable { address: address.to_owned(), attempts, reason }
}

fn refused(error: DialError, address: &str, tries: u32) -> ConnectError {
    match error {
        DialError::Resolve { address, problem } => ConnectError::Address { address, reason: problem },
        DialError::Unreachable { .. } => unreachable(address, tries, "no answer".to_owned()),
        DialError::Version { address, ours } => ConnectError::OtherVersion { address, ours },
        DialError::Untrusted { address } => ConnectError::Untrusted { address },
        DialError::Refused { lost: lost @ Lost::Tls(_), .. } => {
            ConnectError::Protocol { address: address.to_owned(), reason: lost.to_string() }
        }
        DialError::Refused { lost, .. } => unreachable(address, tries, lost.to_string()),
        DialError::Pki(error) => ConnectError::Trust(error.to_string()),
        DialError::Socket(error) => ConnectError::Socket(error.to_string()),
    }
}
