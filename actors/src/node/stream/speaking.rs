//! What an attempt brings, on its way to the coordinator.
//!
//! Rules: what is there together goes out in one piece. Two pieces of tokens are as far apart as the coordinator
//! asks for; what comes between waits. So the first token never waits, nor does one that comes later than that, and
//! whatever ends the attempt takes with it what was gathered.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use protocol::engine::JobFault;
use protocol::message::{Failed, TokenBatch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use transport::frames::{FrameWriter, SendError};

use crate::worker::{Attempt, Update};

/// More are not gathered.
const GATHERED: usize = 256;

/// Tokens that wait for more of them.
struct Gathering {
    limit: Option<Duration>,
    /// When the next piece of tokens may go.
    next: Instant,
    held: Option<TokenBatch>,
}

/// Says all that comes of an attempt, to its end, or until what still runs shall end.
///
/// Once there is `enough` of it, the engine lets go of it within a step, and what it has used is the last word.
pub(super) async fn speak(
    ending: impl Future<Output = ()>,
    enough: &CancellationToken,
    writer: &mut FrameWriter,
    mut attempt: Attempt,
    gather: Option<Duration>,
) -> Result<(), SendError> {
    let mut ending = pin!(ending);
    let mut gathering = Gathering { limit: gather, next: Instant::now(), held: None };
    let mut left = false;
    loop {
        let due = gathering.due();
        let update = tokio::select! {
            biased;
            () = &mut ending => {
                // To drop it is to free its blocks. What it brought goes to the coordinator.
                drop(attempt);
                gathering.release(writer)?;
                return writer.send(Failed { error: JobFault::Drained }).await;
            }
            () = enough.cancelled(), if !left => {
                left = true;
                attempt.cancel();
                continue;
            }
            update = attempt.next() => update,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                gathering.release(writer)?;
                writer.flush().await?;
                continue;
            }
        };
        let Some(mut update) = update else { return Ok(()) };
        loop {
            gathering.take(writer, update)?;
            match attempt.next().now_or_never().flatten() {
                Some(more) => update = more,
                None => break,
            }
        }
        writer.flush().await?;
    }
}

impl Gathering {
    /// When what is held must go.
    fn due(&self) -> Option<Instant> {
        self.held.as_ref().map(|_| self.next)
    }

    /// Hands an update to the writer, or keeps it.
    fn take(&mut self, writer: &mut FrameWriter, update: Update) -> Result<(), SendError> {
        let batch = match update {
            Update::Tokens(batch) => batch,
            last => {
                self.release(writer)?;
                match last {
                    Update::Begun(begun) => writer.hold(begun)?,
                    Update::Finished(finished) => writer.hold(finished)?,
                    Update::Failed(failed) => writer.hold(failed)?,
                    Update::Tokens(_) => {}
                }
                return Ok(());
            }
        };
        let held = match &mut self.held {
            None => self.held.insert(batch),
            Some(held) => {
                held.tokens.extend(batch.tokens);
                held
            }
        };
        let full = held.tokens.len() >= GATHERED;
        if full || self.limit.is_none() || Instant::now() >= self.next { self.release(writer) } else { Ok(()) }
    }

    fn release(&mut self, writer: &mut FrameWriter) -> Result<(), SendError> {
        let Some(batch) = self.held.take() else { return Ok(()) };
        if let Some(limit) = self.limit {
            self.next = Instant::now() + limit;
        }
        Ok(writer.hold(batch)?)
    }
}
