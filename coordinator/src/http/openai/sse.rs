//! Server-sent events: one `data:` line per chunk, then `data: [DONE]`.
//!
//! A failure after the stream began cannot have a status any more. It comes as `data: {"error": ...}`, and
//! the stream ends without `[DONE]`: whoever sees no `[DONE]` has no complete answer. In a long
//! silence comments (`: keep-alive`) keep proxies from closing the connection. The answer is asked for
//! only as fast as the client reads.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::stream;
use protocol::answer::Answer;
use protocol::units::Span;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::error::{ApiError, to_json};
use super::respond::Shape;

/// When to speak, and when to stop.
pub(crate) struct Pace {
    pub(crate) include_usage: bool,
    pub(crate) keep_alive: Span,
    pub(crate) cut: CancellationToken,
}

struct Live<S> {
    answers: Answers,
    shape: S,
    pace: Pace,
    events: VecDeque<Bytes>,
    over: bool,
}

/// A stream of the answer. Dropping its body cancels the request.
pub(crate) fn response<S: Shape>(answers: Answers, mut shape: S, pace: Pace) -> Response {
    let events = shape.opening().iter().map(|json| event(json)).collect();
    let live = Live { answers, shape, pace, events, over: false };
    let mut response = Response::new(Body::from_stream(stream::unfold(live, |mut live| async move {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(event), live))
    })));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // For nginx, which would collect the stream otherwise.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

fn event(json: &str) -> Bytes {
    Bytes::from(format!("data: {json}\n\n"))
}

impl<S: Shape> Live<S> {
    /// The next event, or none after the last.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            let next = tokio::time::timeout(self.pace.keep_alive.0, self.answers.next());
            tokio::select! {
                biased;
                () = self.pace.cut.cancelled() => self.fail(&ApiError::closing()),
                piece = next => match piece {
                    Ok(piece) => self.take(piece),
                    Err(_) => return Some(Bytes::from_static(b": keep-alive\n\n")),
                },
            }
        }
    }

    fn take(&mut self, piece: Option<Answer>) {
        match piece {
            Some(Answer::Started(_)) => {}
            Some(Answer::Delta(delta)) => {
                if !delta.text.is_empty() || !delta.logprobs.is_empty() || !delta.calls.is_empty() {
                    self.say(|shape| shape.delta(delta));
                }
            }
            Some(Answer::Finished { choice, reason }) => self.say(|shape| shape.finished(choice, reason)),
            Some(Answer::Done { usage }) => {
                if self.pace.include_usage {
                    self.say(|shape| shape.usage(usage));
                }
                self.events.push_back(event("[DONE]"));
                self.over = true;
            }
            Some(Answer::Failed(error)) => self.fail(&ApiError::from_job(error, S::PROMPT)),
            None => self.over = true,
        }
    }

    fn say(&mut self, chunk: impl FnOnce(&mut S) -> String) {
        let json = chunk(&mut self.shape);
        self.events.push_back(event(&json));
    }

    fn fail(&mut self, error: &ApiError) {
        tracing::debug!(%error, "a stream ends with an error");
        self.events.push_back(event(&to_json(&error.body())));
        self.over = true;
    }
}
