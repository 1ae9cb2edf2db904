//! How a node gets its certificate: it shows the cluster's secret to a server that was proven to be the
//! cluster's, and gets its request signed.

use std::time::Duration;

use protocol::frame::Frame;
use protocol::ids::NodeId;
use protocol::message::{Join, JoinRefused, Joined};
use protocol::version::Versions;

use crate::connection::Connection;
use crate::error::{Code, Lost};
use crate::frames::{RecvError, SendError};
use crate::pki::{ClusterAuthority, Credentials, NodeRequest, PkiError};
use crate::token::JoinToken;

/// A node that could not join, or was not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The coordinator said no.
    #[error(transparent)]
    Refused(#[from] JoinRefused),
    /// Keys or certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The connection was lost.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// A frame could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A frame could not be read.
    #[error(transparent)]
    Recv(#[from] RecvError),
}

/// The node's side.
///
/// # Errors
/// A refusal, or a connection that fails.
pub async fn request(
    connection: &dyn Connection,
    token: &JoinToken,
    node: NodeId,
    limit: Duration,
) -> Result<Credentials, JoinError> {
    let request = NodeRequest::new(node)?;
    let (mut writer, mut reader) = connection.open().await?;
    let join =
        Join { versions: Versions::OURS, secret: token.secret().to_vec(), node, request: request.request.clone() };
    writer.send(join).await?;
    let outcome = match reader.recv_within(limit, "a certificate").await? {
        Frame::Joined(Joined { certificate, authority, .. }) => Ok(request.signed(certificate, authority)),
        Frame::JoinRefused(refused) => Err(refused.into()),
        other => Err(RecvError::Unexpected { wanted: "a certificate", got: other.kind() }.into()),
    };
    writer.finish();
    connection.close(Code::Done, "");
    outcome
}

/// The coordinator's side. Returns who joined.
///
/// # Errors
/// A refusal, which the peer was told, or a connection that fails.
pub async fn serve(
    connection: &dyn Connection,
    authority: &ClusterAuthority,
    token: &JoinToken,
    now: i64,
    limit: Duration,
) -> Result<NodeId, JoinError> {
    let late = || JoinError::Recv(RecvError::Late(limit));
    let (mut writer, mut reader) = tokio::time::timeout(limit, connection.accept()).await.map_err(|_| late())??;
    let join = match reader.recv_within(limit, "a join").await? {
        Frame::Join(join) => join,
        other => return Err(RecvError::Unexpected { wanted: "a join", got: other.kind() }.into()),
    };
    let answer = answer(&join, authority, token, now);
    let told: Frame = match &answer {
        Ok(joined) => joined.clone().into(),
        Err(refused) => refused.clone().into(),
    };
    writer.send(told).await?;
    writer.finish();
    // The peer closes when it has read the answer.
    let _ = tokio::time::timeout(limit, connection.closed()).await;
    answer.map(|_| join.node).map_err(JoinError::from)
}

fn answer(join: &Join, authority: &ClusterAuthority, token: &JoinToken, now: i64) -> Result<Joined, JoinRefused> {
    Versions::OURS.agree(join.versions).map_err(JoinRefused::Version)?;
    if !token.is_secret(&join.secret) {
        return Err(JoinRefused::WrongToken);
    }
    let certificate = authority.sign_node(&join.request, join.node, now);
    let certificate = certificate.map_err(|error| JoinRefused::BadRequest(error.to_string()))?;
    Ok(Joined {
        cluster: authority.cluster(),
        certificate: certificate.to_vec(),
        authority: authority.certificate().to_vec(),
    })
}
