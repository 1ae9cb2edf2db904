//! What an attempt brings, on its way to the coordinator.
//!
//! Rules: what is there together goes out in one piece. Tokens that nobody reads one by one may be gathered for
//! a while; the first never is, and whatever ends the attempt takes with it what was gathered.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use protocol::engine::JobFault;
use protocol::message::{Failed, TokenBatch};
use tokio::time::{Instant, sleep_until};
use transport::frames::{FrameWriter, SendError};

use crate::worker::{Attempt, Update};

/// More are not gathered.
const GATHERED: usize = 256;

/// Tokens that wait for more of them.
struct Gathering {
    limit: Option<Duration>,
    first: bool,
    held: Option<(TokenBatch, Instant)>,
}

/// Says all that comes of an attempt, to its end, or until what still runs shall end.
pub(super) async fn speak(
    ending: impl Future<Output = ()>,
    writer: &mut FrameWriter,
    mut attempt: Attempt,
    gather: Option<Duration>,
) -> Result<(), SendError> {
    let mut ending = pin!(ending);
    let mut gathering = Gathering { limit: gather, first: true, held: None };
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
        self.held.as_ref().map(|(_, due)| *due)
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
        let Some(limit) = self.limit.filter(|_| !std::mem::replace(&mut self.first, false)) else {
            return Ok(writer.hold(batch)?);
        };
        let (held, _) = match &mut self.held {
            None => self.held.insert((batch, Instant::now() + limit)),
            Some(held) => {
                held.0.tokens.extend(batch.tokens);
                held
            }
        };
        if held.tokens.len() >= GATHERED { self.release(writer) } else { Ok(()) }
    }

    fn release(&mut self, writer: &mut FrameWriter) -> Result<(), SendError> {
        match self.held.take() {
            Some((batch, _)) => Ok(writer.hold(batch)?),
            None => Ok(()),
        }
    }
}
