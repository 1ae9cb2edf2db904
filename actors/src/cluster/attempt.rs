//! One attempt on one node: a stream of its own, read until it ends. To drop it is to reset the stream,
//! which the node's engine takes as a cancellation.

use std::sync::Arc;
use std::time::Duration;

use policy::job::Event;
use protocol::frame::Frame;
use protocol::message::{Granted, Submit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use transport::connection::Connection;
use transport::error::Code;
use transport::frames::{FrameReader, FrameWriter, RecvError};

use super::placing::Reservation;

/// What happened, and to which attempt of which choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The choice.
    pub choice: u32,
    /// The attempt.
    pub attempt: u32,
    /// What happened.
    pub event: Event,
}

/// The way to a node.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) connection: Arc<dyn Connection>,
    /// Whether it is suspect, as that changes.
    pub(super) suspect: watch::Receiver<bool>,
    /// What counts as sent there.
    pub(super) sent: Reservation,
}

/// A running attempt, or a wait for one.
#[derive(Debug)]
pub struct Attempt {
    task: JoinHandle<()>,
}

impl Attempt {
    /// Sends the job and tells what comes of it. The channel is bounded: a client that reads slowly slows
    /// the stream down.
    pub(super) fn start(way: Way, submit: Submit, grant_timeout: Duration, told: mpsc::Sender<Told>) -> Self {
        Self { task: tokio::spawn(run(way, submit, grant_timeout, told)) }
    }

    /// Tells one event later.
    pub(super) fn later(
        choice: u32,
        attempt: u32,
        told: mpsc::Sender<Told>,
        event: impl Future<Output = Event> + Send + 'static,
    ) -> Self {
        let task = tokio::spawn(async move {
            let event = event.await;
            // If nobody listens any more, the request is over.
            let _ = told.send(Told { choice, attempt, event }).await;
        });
        Self { task }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(way: Way, submit: Submit, grant_timeout: Duration, told: mpsc::Sender<Told>) {
    let (choice, attempt) = (submit.job.key.choice, submit.job.key.attempt);
    let tell = async |event: Event| {
        let last = matches!(
            event,
            Event::Finished(_) | Event::Failed(_) | Event::Refused(_) | Event::Lost(_) | Event::Unanswered
        );
        // If nobody listens any more, this attempt is dropped in a moment.
        let heard = told.send(Told { choice, attempt, event }).await.is_ok();
        heard && !last
    };
    let Way { connection, mut suspect, mut sent } = way;
    let asked = tokio::select! {
        biased;
        () = becomes(&mut suspect) => Err(Event::Lost("the node is suspect".to_owned())),
        asked = tokio::time::timeout(grant_timeout, ask(&*connection, submit)) => asked.unwrap_or(Err(Event::Unanswered)),
    };
    let (writer, mut reader, granted) = match asked {
        Ok(asked) => asked,
        Err(event) => {
            tell(event).await;
            return;
        }
    };
    sent.granted(granted.cached);
    if !tell(Event::Granted(granted.cached)).await {
        return;
    }
    loop {
        let event = tokio::select! {
            biased;
            // Whatever the client has seen, another node can go on.
            () = becomes(&mut suspect) => Event::Lost("the node is suspect".to_owned()),
            received = reader.recv() => event(received),
        };
        match &event {
            Event::Begun(cached) => sent.begun(*cached),
            Event::Tokens(_) => sent.computed(),
            _ => {}
        }
        if !tell(event).await {
            break;
        }
    }
    writer.finish();
}

async fn ask(connection: &dyn Connection, submit: Submit) -> Result<(FrameWriter, FrameReader, Granted), Event> {
    let lost = |error: String| Event::Lost(error);
    let (mut writer, mut reader) = connection.open().await.map_err(|error| lost(error.to_string()))?;
    writer.send(submit).await.map_err(|error| lost(error.to_string()))?;
    match reader.recv().await {
        Ok(Some(Frame::Granted(granted))) => Ok((writer, reader, granted)),
        Ok(Some(Frame::Refused(refused))) => Err(Event::Refused(refused)),
        Ok(Some(other)) => {
            reader.stop(Code::Unexpected);
            Err(lost(format!("the node answered with {:?}", other.kind())))
        }
        Ok(None) => Err(lost("the node ended the stream without an answer".to_owned())),
        Err(error) => Err(lost(error.to_string())),
    }
}

fn event(received: Result<Option<Frame>, RecvError>) -> Event {
    match received {
        Ok(Some(Frame::Begun(begun))) => Event::Begun(begun.cached),
        Ok(Some(Frame::Tokens(batch))) => Event::Tokens(batch),
        Ok(Some(Frame::Finished(finished))) => Event::Finished(finished),
        Ok(Some(Frame::Failed(failed))) => Event::Failed(failed.error),
        Ok(Some(other)) => Event::Lost(format!("the node sent {:?} in an attempt", other.kind())),
        Ok(None) => Event::Lost("the node ended the stream in the middle".to_owned()),
        Err(error) => Event::Lost(error.to_string()),
    }
}

/// Resolves when the node is suspect, or gone.
async fn becomes(suspect: &mut watch::Receiver<bool>) {
    // An error says that its entry is gone.
    let _ = suspect.wait_for(|suspect| *suspect).await;
}
