//! Running the door on a socket, and closing it in order.
//!
//! On shutdown no new connection is taken. Running answers have a while to end; then they are cut:
//! each gets an error of its own, so that a client can tell it from a complete answer.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use protocol::units::Span;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the last errors may take to reach their clients after the cut.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How running answers end on shutdown.
#[derive(Clone, Debug)]
pub struct Ending {
    /// How long they may go on.
    pub grace: Span,
    /// Cuts those that remain: the same token as in [`super::HttpOptions::cut`].
    pub cut: CancellationToken,
}

/// Serves until `shutdown` completes and then ends what runs.
///
/// # Errors
/// When the listener cannot be used any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
    ending: Ending,
) -> io::Result<()> {
    let listener = listener.tap_io(|socket| {
        // Tokens are small and each is awaited by a reader: they must not wait for one another.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let stop = CancellationToken::new();
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        result = &mut server => return result,
        () = shutdown => stop.cancel(),
    }
    if let Ok(result) = tokio::time::timeout(ending.grace.0, &mut server).await {
        return result;
    }
    tracing::warn!(grace = %ending.grace, "answers still run after the grace time: cutting them");
    ending.cut.cancel();
    tokio::time::timeout(LAST_WORDS, server).await.unwrap_or(Ok(()))
}
