//! An answer as it comes from a provider.
//!
//! Rules:
//! - To drop it is to cancel: the connection or its stream is closed, and the provider computes no more.
//! - Silence is silence of the answer: comments and pings do not count, so that a provider that only says that it
//!   lives is left all the same.
//! - After a failure, or the last piece, there is nothing more.

use std::time::Duration;

use policy::upstream::failure::FailureKind;
use policy::upstream::usage::ProviderUsage;
use protocol::units::Tokens;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::call::{Failure, Piece, Seen};
use crate::errors::{Said, short};
use crate::provider::Name;
use crate::sse::{Event, Parser};
use crate::wire::{Out, Reader};

/// The longest body that is no stream of events.
const MAX_BODY: usize = 1 << 20;
/// Bytes of an answer for each token that was allowed, beyond which nobody believes that it keeps to them; no
/// tokenizer has tokens of half that length on the whole of a text.
const BYTES_PER_TOKEN: u64 = 64;
/// As many more, so that short answers have room.
const SLACK: u64 = 64 << 10;
/// How long the end of a stream may take after its last word, so that the connection can be used again.
const LINGER: Duration = Duration::from_millis(50);

/// An answer as it comes.
#[derive(Debug)]
pub struct Stream {
    name: Name,
    response: Option<reqwest::Response>,
    body: Body,
    reader: Reader,
    out: Out,
    clock: Clock,
    /// Bytes of text, calls and reasoning that may come.
    most: u64,
    /// One piece that was read ahead.
    ahead: Option<Piece>,
    /// Since when something of the answer is waited for; none before its first token. It outlives a call of
    /// [`Stream::next`] that somebody gave up.
    waiting: Option<Instant>,
    /// Held as long as the answer runs.
    _permit: OwnedSemaphorePermit,
}

/// What the bytes turn out to be.
#[derive(Debug)]
enum Body {
    /// Nothing but blanks so far.
    Unknown,
    Events(Box<Parser>),
    /// One JSON text: an error, or an answer from somebody who does not stream.
    Json(Vec<u8>),
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) choices: u32,
    /// For each choice.
    pub(crate) max_tokens: Tokens,
}

/// Until when things must happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The first token.
    pub(crate) first: Instant,
    /// The whole.
    pub(crate) end: Instant,
    pub(crate) stall: Duration,
}

impl Clock {
    /// When to give up, given the last moment at which something of the answer came.
    fn next(&self, last: Option<Instant>) -> Instant {
        last.map_or(self.first, |last| last + self.stall).min(self.end)
    }
}

impl Stream {
    pub(crate) fn new(
        name: Name,
        response: reqwest::Response,
        reader: Reader,
        allowed: Allowed,
        clock: Clock,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (body, out) = (Body::Unknown, Out::new(allowed.choices));
        let tokens = allowed.max_tokens.0.saturating_mul(allowed.choices.into());
        let most = tokens.saturating_mul(BYTES_PER_TOKEN).saturating_add(SLACK);
        Self {
            name,
            response: Some(response),
            body,
            reader,
            out,
            clock,
            most,
            ahead: None,
            waiting: None,
            _permit: permit,
        }
    }

    /// Waits for the first piece and keeps it.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        self.ahead = self.read().await?;
        self.waiting = None;
        Ok(())
    }

    /// The next piece; none after the last.
    ///
    /// # Errors
    /// The answer will not be completed. Nothing comes after it.
    pub async fn next(&mut self) -> Option<Result<Piece, Failure>> {
        let piece = match self.ahead.take() {
            Some(piece) => Some(piece),
            None => {
                self.waiting.get_or_insert(Instant::now());
                match self.read().await {
                    Ok(piece) => piece,
                    Err(failure) => return Some(Err(failure)),
                }
            }
        };
        self.waiting = None;
        if let Some(Piece::Delta(delta)) = &piece {
            self.out.handed(delta);
        }
        piece.map(Ok)
    }

    /// Whether all choices have ended; only what was used may still come.
    pub fn is_complete(&self) -> bool {
        self.out.is_finished()
    }

    /// What came so far, as we count it.
    pub fn seen(&self) -> Seen {
        self.out.seen
    }

    /// What the provider has said so far that it used; of answers that are not complete, mostly the prompt alone.
    pub fn usage(&self) -> Option<ProviderUsage> {
        self.out.usage
    }

    async fn read(&mut self) -> Result<Option<Piece>, Failure> {
        match self.pull().await {
            Err(failure) => {
                self.response = None;
                self.out.pieces.clear();
                let began = self.out.seen.streamed > Default::default();
                Err(Failure { began, asked: true, usage: self.out.usage, ..self.name.blame(failure) })
            }
            piece => piece,
        }
    }

    async fn pull(&mut self) -> Result<Option<Piece>, Failure> {
        loop {
            if let Some(piece) = self.out.pieces.pop_front() {
                return Ok(Some(piece));
            }
            let Some(response) = &mut self.response else { return Ok(None) };
            if self.reader.is_done() {
                // What comes now is the end, or nobody needs it.
                let _ = timeout(LINGER, response.chunk()).await;
                self.response = None;
                self.out.end()?;
                continue;
            }
            let Ok(chunk) = timeout_at(self.clock.next(self.waiting), response.chunk()).await else {
                return Err(self.late());
            };
            let before = self.out.seen.pieces;
            match chunk {
                Ok(Some(bytes)) => self.on_bytes(&bytes)?,
                Ok(None) => {
                    self.response = None;
                    self.on_end()?;
                }
                Err(_) if self.out.is_finished() => {
                    self.response = None;
                    self.out.end()?;
                }
                Err(error) => {
                    let error = error.without_url();
                    return Err(Failure::new(FailureKind::Cut, format!("the stream broke off: {}", chain(&error))));
                }
            }
            let seen = self.out.seen;
            if u64::try_from(seen.bytes.saturating_add(seen.hidden)).unwrap_or(u64::MAX) > self.most {
                let message = format!("it goes on far beyond the tokens that were allowed, {} bytes", self.most);
                return Err(Failure::new(FailureKind::Garbled, message));
            }
            if seen.pieces > before {
                self.waiting = Some(Instant::now());
            }
        }
    }

    fn late(&self) -> Failure {
        let message = match self.waiting {
            _ if Instant::now() >= self.clock.end => "the answer was not complete in time".to_owned(),
            None => "no first token came in time".to_owned(),
            Some(_) => format!("nothing of the answer came for {:?}", self.clock.stall),
        };
        Failure::new(FailureKind::Timeout, message)
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Body::Unknown = self.body {
            self.body = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => return Ok(()),
                Some(b'{' | b'[') => Body::Json(Vec::new()),
                Some(_) => Body::Events(Box::default()),
            };
        }
        match &mut self.body {
            Body::Unknown => Ok(()),
            Body::Json(body) if body.len() + bytes.len() > MAX_BODY => {
                let message = format!("the body is no stream of events, and longer than {MAX_BODY} bytes");
                Err(Failure::new(FailureKind::Garbled, message))
            }
            Body::Json(body) => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Body::Events(parser) => {
                let mut events = Vec::new();
                let read = parser.push(bytes, &mut events);
                for Event { event: _, data } in events {
                    self.reader.event(&data, &mut self.out)?;
                }
                read.map_err(|error| Failure::new(FailureKind::Garbled, error.to_string()))
            }
        }
    }

    /// The body has ended. What was no stream of events is an error, or a whole answer.
    fn on_end(&mut self) -> Result<(), Failure> {
        if let Body::Json(body) = std::mem::replace(&mut self.body, Body::Unknown) {
            let text = String::from_utf8_lossy(&body);
            let whole: Value = serde_json::from_str(&text).map_err(|_| {
                let shown: String = text.chars().take(120).collect();
                Failure::new(FailureKind::Garbled, format!("the body is no stream of events: {}", short(&shown)))
            })?;
            if let Some(said) = Said::find(&whole) {
                return Err(said.failure(Some(200), None));
            }
            self.reader.event(&text, &mut self.out)?;
        }
        self.out.end()
    }
}

/// An error with its causes, which hold what matters.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    short(&text)
}
