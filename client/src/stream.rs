//! The answer to one job, piece by piece.
//!
//! It is read straight from the job's QUIC stream: a reader that is slow slows the cluster down by flow
//! control, and nothing is kept in between. To cancel, or to drop it before its end, resets the
//! stream, which ends the job down to the engine.

use std::time::Duration;

use protocol::answer::{Answer, Delta, FinishReason, Started, TokenText, Usage};
use protocol::frame::Frame;
use tokio::time::Instant;

use crate::connection::{Again, Pipe};
use crate::error::AnswerError;
use crate::order::Order;

/// The answer to one job.
#[derive(Debug)]
pub struct JobStream {
    /// None after the end.
    pipe: Option<Pipe>,
    order: Order,
    pieces: u64,
    submitted: Instant,
    first_text: Option<Duration>,
    /// To ask another coordinator, as long as nothing has come.
    again: Again,
}

impl JobStream {
    pub(crate) fn new(pipe: Pipe, choices: u32, again: Again) -> Self {
        let (order, submitted) = (Order::new(choices), Instant::now());
        Self { pipe: Some(pipe), order, pieces: 0, submitted, first_text: None, again }
    }

    /// The next piece; none after [`Answer::Done`], an error, or [`JobStream::cancel`]. It never gives
    /// [`Answer::Failed`]: a failure is an error.
    ///
    /// May be dropped while it waits (as `tokio::select!` does) and called again; no piece is lost.
    ///
    /// # Errors
    /// The job failed or its answer broke off; nothing follows.
    pub async fn next(&mut self) -> Option<Result<Answer, AnswerError>> {
        let piece = loop {
            let read = self.pipe.as_mut()?.read().await;
            let lost = matches!(read, Ok(None) | Err(_));
            if lost && self.pieces == 0 {
                // The coordinator is gone before it has said a word of this request.
                if let Some(pipe) = self.again.send().await {
                    self.pipe = Some(pipe);
                    continue;
                }
            }
            break read;
        };
        let piece = match piece {
            Ok(Some(Frame::Answered(answered))) => match (self.order.accept(&answered.answer), answered.answer) {
                (Err(disorder), _) => Err(disorder.into()),
                (Ok(()), Answer::Failed(error)) => Err(error.into()),
                (Ok(()), piece) => Ok(piece),
            },
            Ok(Some(other)) => Err(AnswerError::Protocol(format!("a {:?} came as a piece of an answer", other.kind()))),
            Ok(None) => Err(self.interrupted("its stream ended")),
            Err(reason) => Err(self.interrupted(&reason)),
        };
        match &piece {
            Ok(answer) => {
                self.pieces += 1;
                if matches!(answer, Answer::Delta(delta) if !delta.text.is_empty()) {
                    self.first_text.get_or_insert_with(|| self.submitted.elapsed());
                }
                if self.order.has_ended() {
                    self.end();
                }
            }
            Err(AnswerError::Failed(_)) => self.end(),
            Err(_) => self.cancel(),
        }
        Some(piece)
    }

    fn interrupted(&self, reason: &str) -> AnswerError {
        AnswerError::Interrupted { pieces: self.pieces, reason: reason.to_owned() }
    }

    fn end(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.finish();
        }
    }

    /// Cancels the job, if it still runs. Nothing follows. To drop the stream does the same.
    pub fn cancel(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.reset();
        }
    }

    /// From submitting to the first text that was read; none before it.
    pub fn time_to_first_text(&self) -> Option<Duration> {
        self.first_text
    }

    /// Reads the whole answer.
    ///
    /// # Errors
    /// The job failed or its answer broke off.
    pub async fn collect(mut self) -> Result<Whole, AnswerError> {
        let (mut choices, mut start): (Vec<Choice>, _) = (Vec::new(), None);
        while let Some(piece) = self.next().await {
            match piece? {
                Answer::Started(started) => start = Some(started),
                Answer::Delta(delta) => choice(&mut choices, delta.choice).push(delta),
                Answer::Finished { choice: index, reason } => choice(&mut choices, index).reason = Some(reason),
                Answer::Done { usage } => {
                    let Some(started) = start else { break };
                    return Ok(Whole {
                        started,
                        choices,
                        usage,
                        time_to_first_text: self.first_text,
                        time: self.submitted.elapsed(),
                    });
                }
                Answer::Failed(error) => return Err(error.into()),
            }
        }
        Err(self.interrupted("it has no end"))
    }
}

/// The place of a choice, made where it is missing. Its number was checked against the request.
fn choice(choices: &mut Vec<Choice>, index: u32) -> &mut Choice {
    let index = usize::try_from(index).unwrap_or(0);
    if choices.len() <= index {
        choices.resize_with(index + 1, Choice::default);
    }
    &mut choices[index]
}

impl Drop for JobStream {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Who answered.
    pub started: Started,
    /// One per answer that was asked for.
    pub choices: Vec<Choice>,
    /// What they used together.
    pub usage: Usage,
    /// From submitting to the first text; none if there was no text.
    pub time_to_first_text: Option<Duration>,
    /// From submitting to the end.
    pub time: Duration,
}

impl Whole {
    /// The text of the first choice.
    pub fn text(&self) -> &str {
        self.choices.first().map_or("", |choice| &choice.text)
    }

    /// The name of the node that answered.
    pub fn node(&self) -> &str {
        &self.started.node
    }
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Its text.
    pub text: String,
    /// Log-probabilities, where asked for.
    pub logprobs: Vec<TokenText>,
    /// Why it ended.
    pub reason: Option<FinishReason>,
}

impl Choice {
    fn push(&mut self, delta: Delta) {
        self.text.push_str(&delta.text);
        self.logprobs.extend(delta.logprobs);
    }
}
