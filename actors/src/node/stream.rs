//! One stream that a coordinator has opened: an attempt, or a question for a model's words.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::codec;
use protocol::engine::RefusalReason;
use protocol::frame::Frame;
use protocol::job::Job;
use protocol::message::{FetchText, Granted, Refused, TextChunk};
use tokio_util::sync::CancellationToken;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter, SendError};

use super::Shared;

mod speaking;

use speaking::speak;

/// How long the end of a stream may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Bytes of a bundle in one frame.
const CHUNK: usize = 1024 * 1024;

/// Serves a stream to its end. To drop the future is to cancel what it does.
pub(super) async fn serve(shared: &Shared, mut writer: FrameWriter, mut reader: FrameReader) {
    let first = match reader.recv_within(shared.settings.patience, "a submit or a fetch").await {
        Ok(frame) => frame,
        Err(error) => {
            tracing::debug!("a stream is reset: {error}");
            writer.reset(error.code());
            return;
        }
    };
    let stopped = writer.stopped();
    let enough = CancellationToken::new();
    let outcome = {
        let mut answer = pin!(answer(shared, &mut writer, first, &enough));
        let mut gone = pin!(stopped);
        let outcome = tokio::select! {
            biased;
            _ = &mut gone => None,
            () = peer_resets(&mut reader) => {
                // Who still listens hears what it has used.
                enough.cancel();
                tokio::select! {
                    biased;
                    _ = &mut gone => None,
                    outcome = tokio::time::timeout(ARRIVAL, &mut answer) => outcome.ok(),
                }
            }
            outcome = &mut answer => Some(outcome),
        };
        outcome
    };
    let Some(outcome) = outcome else {
        writer.reset(Code::Cancelled);
        return;
    };
    match outcome {
        Ok(true) => {
            // A node that stops must not close the connection before the last words have arrived.
            let arrived = writer.stopped();
            writer.finish();
            drop(tokio::time::timeout(ARRIVAL, arrived).await);
        }
        Ok(false) => {
            reader.stop(Code::Unexpected);
            writer.reset(Code::Unexpected);
        }
        Err(error) => {
            tracing::debug!("a stream has ended: {error}");
            writer.reset(Code::Internal);
        }
    }
}

/// Resolves when the peer resets its half, or says what it should not. A peer that only finishes its half wants more.
async fn peer_resets(reader: &mut FrameReader) {
    if let Ok(None) = reader.recv().await {
        std::future::pending::<()>().await;
    }
}

/// Answers the first frame. False if it does not belong there.
async fn answer(
    shared: &Shared,
    writer: &mut FrameWriter,
    first: Frame,
    enough: &CancellationToken,
) -> Result<bool, SendError> {
    match first {
        Frame::Submit(submit) => {
            let begun = tokio::time::Instant::now();
            shared.prepare(&submit).await;
            let deadline = submit.deadline.map(|left| left.saturating_sub(begun.elapsed()));
            let how = How { deadline, gather: submit.gather, enough };
            attempt(shared, writer, submit.job, how).await?;
        }
        Frame::FetchText(fetch) => text(shared, writer, fetch).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// How a job is served.
struct How<'a> {
    deadline: Option<Duration>,
    gather: Option<Duration>,
    /// Cancelled when no more is wanted than what it has used.
    enough: &'a CancellationToken,
}

async fn attempt(shared: &Shared, writer: &mut FrameWriter, job: Job, how: How<'_>) -> Result<(), SendError> {
    let found = {
        let offer = shared.offer.borrow();
        // In the same moment as it is found, so that nobody lets go of the engine in between.
        offer.of(&job.model).map(|offered| (offered.clone(), offered.attempts.token())).ok_or(offer.knows(&job.model))
    };
    let (offered, _running) = match found {
        Ok(found) => found,
        Err(knows) => {
            let reason = if knows { RefusalReason::Draining } else { RefusalReason::UnknownModel { model: job.model } };
            return writer.send(Refused { reason, retry_after: None, load: Default::default() }).await;
        }
    };
    if shared.is_draining() {
        return writer.send(offered.worker.refused(RefusalReason::Draining)).await;
    }
    let attempt = match offered.worker.submit_within(job, how.deadline).await {
        Ok(attempt) => attempt,
        Err(refused) => return writer.send(refused).await,
    };
    let grant = attempt.grant();
    writer.send(Granted { cached: grant.cached, queue: grant.queue }).await?;
    let ending = async {
        tokio::select! {
            biased;
            () = shared.ending() => {}
            () = offered.end.cancelled() => {}
        }
    };
    speak(ending, how.enough, writer, attempt, how.gather).await
}

/// Sends a bundle in pieces; nothing at all if there is none of that hash.
async fn text(shared: &Shared, writer: &mut FrameWriter, fetch: FetchText) -> Result<(), SendError> {
    let served = {
        let offer = shared.offer.borrow();
        let found = offer.workers.iter().find(|offered| offered.served.card.text == fetch.hash);
        found.map(|offered| Arc::clone(&offered.served))
    };
    let Some(served) = served else { return Ok(()) };
    let mut bytes = Vec::new();
    codec::encode(&served.bundle, &mut bytes).map_err(protocol::frame::WriteError::from)?;
    let mut chunks = bytes.chunks(CHUNK).peekable();
    while let Some(chunk) = chunks.next() {
        writer.send(TextChunk { bytes: chunk.to_vec(), last: chunks.peek().is_none() }).await?;
    }
    Ok(())
}
