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
    /// None where nobody counts: the answer goes to somebody who hands it on.
    metrics: Option<ClusterMetrics>,
    /// What attempts before this one used, that the client pays for too.
    carried: Usage,
    /// The client has heard who answers.
    begun: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Answers {
    /// Over a fresh bounded channel; none if it has no room for the last piece. `place` is the request's
    /// place among all, and is free again when this is dropped.
    pub fn new(pieces: mpsc::Sender<Answer>, metrics: ClusterMetrics, place: OwnedSemaphorePermit) -> Option<Self> {
        let last = pieces.clone().try_reserve_owned().ok()?;
        metrics.requests.increment(1.0);
        let (metrics, place) = (Some(metrics), Some(place));
        Some(Self { pieces, last: Some(last), metrics, carried: Usage::default(), begun: false, _place: place })
    }

    /// The way to somebody in this process who looks at an answer before the client does. Nothing is counted.
    pub fn hidden(pieces: mpsc::Sender<Answer>) -> Option<Self> {
        let last = pieces.clone().try_reserve_owned().ok()?;
        let (metrics, carried) = (None, Usage::default());
        Some(Self { pieces, last: Some(last), metrics, carried, begun: false, _place: None })
    }

    /// What an attempt has used that the client pays for, though another one completes the answer. With `begun` the
    /// client has heard its text, and hears no second beginning.
    pub fn carry(&mut self, used: Usage, begun: bool) {
        self.carried.completion += used.completion;
        self.carried.cost += used.cost;
        self.begun |= begun;
    }

    /// What attempts until now used that the client pays for.
    pub fn carried(&self) -> Usage {
        self.carried
    }

    /// Says that it failed. Nothing follows.
    pub fn fail(mut self, error: JobError) {
        if let Some(metrics) = &self.metrics {
            metrics.failed(error.kind);
        }
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
    pub fn done(mut self, mut usage: Usage) {
        if let Some(metrics) = &self.metrics {
            metrics.done(&usage);
        }
        usage.completion += self.carried.completion;
        usage.cost += self.carried.cost;
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
    pub async fn say(&mut self, answer: Answer, limit: Duration) -> Heard {
        if matches!(answer, Answer::Started(_)) && std::mem::replace(&mut self.begun, true) {
            return Heard::Yes;
        }
        match timeout(limit, self.pieces.send(answer)).await {
            Ok(Ok(())) => Heard::Yes,
            Ok(Err(_)) => Heard::Gone,
            Err(_) => Heard::Stalled,
        }
    }

    /// The client is gone: nothing more is said.
    pub fn gone(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.cancelled();
        }
        self.last = None;
    }

    /// The client reads too slowly: what it has not read is lost to it.
    pub fn stalled(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.stalled();
        }
        self.last = None;
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.requests.decrement(1.0);
        }
        if self.last.is_some() {
            if let Some(metrics) = &self.metrics {
                metrics.failed(ErrorKind::Internal);
            }
            self.end(Answer::Failed(JobError::new(
                ErrorKind::Internal,
                "the request's actor failed: see the coordinator's log",
            )));
        }
    }
}
