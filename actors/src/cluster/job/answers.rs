//! The way back to the client.

use std::time::Duration;

use protocol::answer::{Answer, ErrorKind, JobError, Started, Usage};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::cluster::metrics::ClusterMetrics;

/// Whether a client still listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It does.
    Yes,
    /// It is gone.
    Gone,
    /// It has read nothing for too long.
    Stalled,
}

/// The way back to the client. The last piece is always said: if nothing else, then that it failed.
#[derive(Debug)]
pub struct Answers {
    pieces: mpsc::Sender<Answer>,
    last: Option<mpsc::OwnedPermit<Answer>>,
    metrics: ClusterMetrics,
    _place: OwnedSemaphorePermit,
}

impl Answers {
    /// Over a fresh bounded channel; none if it has no room for the last piece. `place` is the request's
    /// place among all, and is free again when this is dropped.
    pub fn new(pieces: mpsc::Sender<Answer>, metrics: ClusterMetrics, place: OwnedSemaphorePermit) -> Option<Self> {
        let last = pieces.clone().try_reserve_owned().ok()?;
        metrics.requests.increment(1.0);
        Some(Self { pieces, last: Some(last), metrics, _place: place })
    }

    /// Says that it failed. Nothing follows.
    pub fn fail(mut self, error: JobError) {
        self.metrics.failed(error.kind);
        self.end(Answer::Failed(error));
    }

    /// The client is gone before anything was done. Nothing is said.
    pub fn leave(mut self) {
        self.gone();
    }

    /// Says a kept answer, piece by piece; each must be read within the limit.
    pub async fn replay(mut self, started: Started, pieces: &[Answer], usage: Usage, limit: Duration) {
        let all = std::iter::once(Answer::Started(started)).chain(pieces.iter().cloned());
        for piece in all {
            match self.say(piece, limit).await {
                Heard::Yes => {}
                Heard::Gone => return self.gone(),
                Heard::Stalled => return self.stalled(),
            }
        }
        self.done(usage);
    }

    /// Says that all is complete. Nothing follows.
    pub fn done(mut self, usage: Usage) {
        self.metrics.done(&usage);
        self.end(Answer::Done { usage });
    }

    fn end(&mut self, answer: Answer) {
        if let Some(last) = self.last.take() {
            last.send(answer);
        }
    }

    /// Resolves when the client is gone.
    pub fn closed(&self) -> impl Future<Output = ()> + use<> {
        let pieces = self.pieces.clone();
        async move { pieces.closed().await }
    }

    /// Waits while the client reads slowly, up to a limit.
    pub async fn say(&self, answer: Answer, limit: Duration) -> Heard {
        match timeout(limit, self.pieces.send(answer)).await {
            Ok(Ok(())) => Heard::Yes,
            Ok(Err(_)) => Heard::Gone,
            Err(_) => Heard::Stalled,
        }
    }

    /// The client is gone: nothing more is said.
    pub fn gone(&mut self) {
        self.metrics.cancelled();
        self.last = None;
    }

    /// The client reads too slowly: what it has not read is lost to it.
    pub fn stalled(&mut self) {
        self.metrics.stalled();
        self.last = None;
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.metrics.requests.decrement(1.0);
        if self.last.is_some() {
            self.metrics.failed(ErrorKind::Internal);
            self.end(Answer::Failed(JobError::new(
                ErrorKind::Internal,
                "the request's actor failed: see the coordinator's log",
            )));
        }
    }
}
