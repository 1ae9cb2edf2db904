//! One answer made of several: a completion with a list of prompts asks once for each.
//!
//! Choices are numbered prompt by prompt, as OpenAI does: with `n` choices each, choice `c` of prompt `p`
//! is `p * n + c`. Pieces come as they come. The order that [`protocol::answer`] promises is checked
//! here, so that nobody behind this sees a broken one; what breaks it is a failure of the cluster's own.

use std::future::poll_fn;
use std::task::{Context, Poll};

use protocol::answer::{Answer, ErrorKind, JobError, Usage};
use protocol::request::Request;

use crate::pipeline::ONE_CHOICE;
use crate::service::{AnswerStream, Caller, Service};

/// The answers to all prompts of a request. Dropping it cancels them all.
pub(crate) struct Answers {
    asked: Vec<Asked>,
    each: u32,
    /// Where to look first, so that no prompt starves the others.
    turn: usize,
    usage: Usage,
    started: bool,
    over: bool,
}

/// The answer to one prompt.
struct Asked {
    /// None once it is done.
    stream: Option<AnswerStream>,
    started: bool,
    finished: Vec<bool>,
}

impl Answers {
    /// Asks for `each` answers to every prompt.
    ///
    /// # Errors
    /// If one of them is refused; the others are cancelled then.
    pub(crate) fn ask(
        service: &dyn Service,
        caller: &Caller,
        requests: Vec<Request>,
        each: u32,
    ) -> Result<Self, JobError> {
        let mut asked = Vec::with_capacity(requests.len());
        for request in requests {
            let stream = Some(service.ask(caller, request)?);
            let finished = (0..each).map(|_| false).collect();
            asked.push(Asked { stream, started: false, finished });
        }
        Ok(Self { asked, each, turn: 0, usage: Usage::default(), started: false, over: false })
    }

    /// How many choices all prompts have together. Fewer than were asked for under overload: each prompt
    /// then has its first.
    pub(crate) fn choices(&self) -> u32 {
        let each = if let [alone] = self.asked.as_slice() { alone.finished.len() } else { self.each as usize };
        u32::try_from(self.asked.len().saturating_mul(each)).unwrap_or(u32::MAX)
    }

    /// The next piece: one `Started`, deltas and ends, and at last `Done` or `Failed`; then none.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Answer>> {
        if self.over {
            return Poll::Ready(None);
        }
        loop {
            let Some((at, piece)) = self.poll_any(context) else {
                return Poll::Pending;
            };
            match self.take(at, piece) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    self.over = matches!(answer, Answer::Done { .. });
                    return Poll::Ready(Some(answer));
                }
                Err(error) => {
                    self.over = true;
                    self.asked.clear();
                    return Poll::Ready(Some(Answer::Failed(error)));
                }
            }
        }
    }

    /// A piece of any open answer, in turn.
    fn poll_any(&mut self, context: &mut Context<'_>) -> Option<(usize, Option<Answer>)> {
        let count = self.asked.len();
        for step in 0..count {
            let at = self.turn.wrapping_add(step) % count;
            let stream = self.asked.get_mut(at).and_then(|asked| asked.stream.as_mut());
            if let Some(stream) = stream
                && let Poll::Ready(piece) = stream.poll_next(context)
            {
                self.turn = (at + 1) % count;
                return Some((at, piece));
            }
        }
        None
    }

    /// What the piece of one answer means for the whole; nothing, often.
    fn take(&mut self, at: usize, piece: Option<Answer>) -> Result<Option<Answer>, JobError> {
        let piece = piece.ok_or_else(|| broken("the answer broke off"))?;
        let first = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(self.each);
        let asked = self.asked.get_mut(at).ok_or_else(|| broken("an answer to no prompt"))?;
        if !asked.started && !matches!(piece, Answer::Started(_) | Answer::Failed(_)) {
            return Err(broken("an answer that did not start"));
        }
        match piece {
            Answer::Started(started) => {
                if std::mem::replace(&mut asked.started, true) {
                    return Err(broken("an answer that started twice"));
                }
                if started.degraded.iter().any(|done| done == ONE_CHOICE) {
                    // Overload has made one choice of several.
                    asked.finished.truncate(1);
                }
                let is_first = !std::mem::replace(&mut self.started, true);
                Ok(is_first.then_some(Answer::Started(started)))
            }
            Answer::Delta(mut delta) => {
                asked.open(delta.choice)?;
                delta.choice = delta.choice.saturating_add(first);
                Ok(Some(Answer::Delta(delta)))
            }
            Answer::Finished { choice, reason } => {
                *asked.open(choice)? = true;
                Ok(Some(Answer::Finished { choice: choice.saturating_add(first), reason }))
            }
            Answer::Done { usage } => {
                if asked.finished.contains(&false) {
                    return Err(broken("an answer that is done before its choices"));
                }
                asked.stream = None;
                self.usage.prompt += usage.prompt;
                self.usage.cached += usage.cached;
                self.usage.completion += usage.completion;
                self.usage.cost += usage.cost;
                let all = self.asked.iter().all(|asked| asked.stream.is_none());
                Ok(all.then_some(Answer::Done { usage: self.usage }))
            }
            Answer::Failed(error) => Err(error),
        }
    }
}

impl Asked {
    /// A choice that is not finished.
    fn open(&mut self, choice: u32) -> Result<&mut bool, JobError> {
        let finished = usize::try_from(choice).ok().and_then(|choice| self.finished.get_mut(choice));
        finished.filter(|finished| !**finished).ok_or_else(|| broken("text for a choice that is closed"))
    }
}

fn broken(what: &str) -> JobError {
    JobError::new(ErrorKind::Internal, format!("{what}: this is a fault of the cluster, see the coordinator's log"))
}

#[cfg(test)]
mod tests;
