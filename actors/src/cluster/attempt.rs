//! One attempt on one node: a stream of its own, read until it ends. To drop it is to reset the stream,
//! which the node's engine takes as a cancellation.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use futures_util::{FutureExt, StreamExt as _};
use policy::job::{Event, Verdict};
use protocol::engine::{Load, RefusalReason};
use protocol::frame::Frame;
use protocol::message::{Granted, Refused, Submit};
use protocol::units::Tokens;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use transport::connection::Connection;
use transport::error::{Code, StreamError};
use transport::frames::{FrameReader, FrameWriter, RecvError, SendError};

use super::directory::Reach;
use super::placing::{First, Reservation};
use crate::watch;

/// When to ask again where all streams are taken.
const FULL: Duration = Duration::from_millis(250);

/// The way to a node.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) connection: Arc<dyn Connection>,
    /// Whether it is suspect, as that changes.
    pub(super) suspect: watch::Receiver<bool>,
    /// What counts as sent there.
    pub(super) sent: Reservation,
}

/// A running attempt, or a wait for one. It goes on only while its next event is asked for: whoever reads
/// slowly slows the stream down. Its owner is the request's own task, so that a token costs no hand-over.
pub(super) struct Attempt {
    number: u32,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    /// Cancelled when no more is wanted than what it has used.
    enough: CancellationToken,
}

/// What an attempt has used beyond what it had told, when it was let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// More tokens of the answer.
    pub(super) tokens: Tokens,
    /// Prompt tokens that were computed or found cached, if the node has said so.
    pub(super) prompt: Option<Tokens>,
    /// Of these, from the cache, if its prefill has begun since.
    pub(super) cached: Option<Tokens>,
}

impl Attempt {
    /// Sends the job and tells what comes of it.
    pub(super) fn start(way: Way, submit: Submit, grant_timeout: Duration) -> Self {
        let number = submit.job.key.attempt;
        let enough = CancellationToken::new();
        let first = Stage::Asking(Box::new((way, submit, enough.clone())));
        Self { number, events: Box::pin(stream::unfold(first, move |stage| step(stage, grant_timeout))), enough }
    }

    /// Likewise, once another node has computed the prompt, from which it is fetched then. If that fails or takes too
    /// long, it is computed where it is.
    pub(super) fn after(first: First, way: Way, submit: Submit, grant_timeout: Duration, random: f64) -> Self {
        let number = submit.job.key.attempt;
        let enough = CancellationToken::new();
        let token = enough.clone();
        let begun = async move {
            let submit = warm(first, submit, grant_timeout, random).await;
            Stage::Asking(Box::new((way, submit, token)))
        };
        let events =
            stream::once(begun).flat_map(move |first| stream::unfold(first, move |stage| step(stage, grant_timeout)));
        Self { number, events: Box::pin(events), enough }
    }

    /// Tells one event later.
    pub(super) fn later(number: u32, event: impl Future<Output = Event> + Send + 'static) -> Self {
        Self { number, events: Box::pin(stream::once(event)), enough: CancellationToken::new() }
    }

    /// Lets go of it, and hears what it has used until then. A node that does not say so in time is believed to have
    /// done no more than it told.
    pub(super) async fn let_go(mut self, limit: Duration) -> Tail {
        self.enough.cancel();
        let mut tail = Tail::default();
        let hear = async {
            while let Some(event) = self.events.next().await {
                match event {
                    Event::Begun(cached) => tail.cached = Some(cached),
                    Event::Tokens(batch) => tail.tokens += Tokens::of(batch.tokens.len()),
                    Event::Finished(finished) => tail.prompt = Some(finished.usage.prompt),
                    Event::Granted(_) => {}
                    _ => break,
                }
            }
        };
        // Late is as good as silent.
        let _ = timeout(limit, hear).await;
        tail
    }

    /// The next event and its attempt; none after the last.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(u32, Event)>> {
        let number = self.number;
        self.events.as_mut().poll_next(context).map(|event| event.map(|event| (number, event)))
    }
}

/// Lets a node for prompts compute this one, and says in the job where it can be fetched.
async fn warm(first: First, submit: Submit, grant_timeout: Duration, random: f64) -> Submit {
    let First { reach, pull, limit } = first;
    let Reach { connection, suspect, sent, trial, name } = reach;
    let mut job = submit.job.clone();
    // The last token of a prompt is computed in any case, so the first one of the answer costs nothing more.
    job.limits.max_tokens = Tokens::of(job.generated.len()) + Tokens(1);
    job.limits.min_tokens = Tokens::ZERO;
    job.sampling.logprobs = None;
    let prompt = Submit { job, deadline: submit.deadline, pull: None, gather: None };
    let way = Way { connection, suspect, sent };
    let computing = async {
        let mut stage = Stage::Asking(Box::new((way, prompt, CancellationToken::new())));
        while let Some((event, next)) = step(stage, grant_timeout).await {
            match event {
                Event::Finished(_) => return Ok(()),
                Event::Refused(refused) => return Err((Verdict::Busy, refused.reason.to_string())),
                Event::Failed(fault) => return Err((Verdict::Fault, fault.to_string())),
                Event::Unanswered => return Err((Verdict::Fault, "it did not answer in time".to_owned())),
                Event::Lost(why) => return Err((Verdict::Fault, why)),
                _ => stage = next,
            }
        }
        Err((Verdict::Fault, "its stream has ended".to_owned()))
    };
    // Slow is no fault: the estimate may have been wrong.
    let outcome = timeout(limit + grant_timeout, computing).await;
    let outcome = outcome.unwrap_or_else(|_| Err((Verdict::Busy, format!("not done after {limit:?}"))));
    let (verdict, label) = match &outcome {
        Ok(()) => (Verdict::Good, "computed"),
        Err((verdict, reason)) => {
            tracing::debug!("{name} has not computed the prompt of job {}: {reason}", submit.job.key);
            (*verdict, "failed")
        }
    };
    trial.judge(verdict, random);
    metrics::counter!("troupe_prompts_elsewhere_total", "outcome" => label).increment(1);
    Submit { pull: if outcome.is_ok() { Some(pull) } else { submit.pull }, ..submit }
}

/// How far an attempt is.
enum Stage {
    Asking(Box<(Way, Submit, CancellationToken)>),
    Reading(Box<Reading>),
    Over,
}

struct Reading {
    /// None once the node was told that there is enough.
    writer: Option<FrameWriter>,
    enough: CancellationToken,
    reader: FrameReader,
    suspect: watch::Receiver<bool>,
    sent: Reservation,
    /// What came together with the event before it.
    ahead: Option<Event>,
}

async fn step(stage: Stage, grant_timeout: Duration) -> Option<(Event, Stage)> {
    let mut reading = match stage {
        Stage::Asking(asking) => {
            let (Way { connection, mut suspect, mut sent }, submit, enough) = *asking;
            let asked = tokio::select! {
                biased;
                // Nothing was used before it was granted.
                () = enough.cancelled() => Err(Event::Lost("it is not wanted any more".to_owned())),
                () = becomes(&mut suspect) => Err(Event::Lost("the node is suspect".to_owned())),
                asked = timeout(grant_timeout, ask(&*connection, submit)) => asked.unwrap_or(Err(Event::Unanswered)),
            };
            return Some(match asked {
                Ok((writer, reader, granted)) => {
                    sent.granted(granted.cached);
                    let reading = Reading { writer: Some(writer), enough, reader, suspect, sent, ahead: None };
                    (Event::Granted(granted.cached), Stage::Reading(Box::new(reading)))
                }
                Err(event) => (event, Stage::Over),
            });
        }
        Stage::Reading(reading) => reading,
        Stage::Over => return None,
    };
    let event = reading.next().await;
    match &event {
        Event::Begun(cached) => reading.sent.begun(*cached),
        Event::Tokens(_) => reading.sent.computed(),
        Event::Finished(_) | Event::Failed(_) | Event::Lost(_) => {
            if let Some(writer) = reading.writer {
                writer.finish();
            }
            return Some((event, Stage::Over));
        }
        _ => {}
    }
    Some((event, Stage::Reading(reading)))
}

impl Reading {
    /// The next event; tokens that came together are one.
    async fn next(&mut self) -> Event {
        let mut next = match self.ahead.take() {
            Some(ahead) => ahead,
            None => loop {
                tokio::select! {
                    biased;
                    // Whatever the client has seen, another node can go on.
                    () = becomes(&mut self.suspect) => break Event::Lost("the node is suspect".to_owned()),
                    () = self.enough.cancelled(), if self.writer.is_some() => {
                        if let Some(writer) = self.writer.take() {
                            writer.reset(Code::Cancelled);
                        }
                    }
                    received = self.reader.recv() => break event(received),
                }
            },
        };
        if matches!(next, Event::Tokens(_)) {
            // Whatever else has come to this machine is read first: under load tokens then share the way to the
            // client. An idle coordinator comes back here at once.
            tokio::task::yield_now().await;
        }
        while let Event::Tokens(batch) = &mut next {
            let Some(received) = self.reader.recv().now_or_never() else { break };
            match event(received) {
                Event::Tokens(more) if more.first == batch.first + Tokens::of(batch.tokens.len()) => {
                    batch.tokens.extend(more.tokens);
                }
                other => {
                    self.ahead = Some(other);
                    break;
                }
            }
        }
        next
    }
}

async fn ask(connection: &dyn Connection, submit: Submit) -> Result<(FrameWriter, FrameReader, Granted), Event> {
    let lost = |error: String| Event::Lost(error);
    let (mut writer, mut reader) = connection.open().await.map_err(|error| lost(error.to_string()))?;
    match writer.send(submit).await {
        Err(SendError::Stream(StreamError::Stopped(Code::Full))) => return Err(full()),
        sent => sent.map_err(|error| lost(error.to_string()))?,
    }
    match reader.recv().await {
        Err(RecvError::Stream(StreamError::Reset(Code::Full))) => Err(full()),
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

/// The node serves as many streams as it may: back-pressure, for which its breaker must not open.
fn full() -> Event {
    let (reason, retry_after) = (RefusalReason::NotReady, Some(FULL));
    Event::Refused(Refused { reason, retry_after, load: Load::default() })
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
