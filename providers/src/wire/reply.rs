//! What has been read of an answer and not been handed out yet, and the state of its choices.

use std::collections::{BTreeMap, VecDeque};

use policy::upstream::failure::FailureKind;
use policy::upstream::fallback::Streamed;
use policy::upstream::usage::ProviderUsage;
use protocol::answer::{CallDelta, Delta, FinishReason, TokenText};

use super::lenient::garbled;
use crate::call::{Failure, Piece, Seen};

/// The most calls of one choice.
const MAX_CALLS: u32 = 1024;

/// What has been read of an answer.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) pieces: VecDeque<Piece>,
    /// What the provider said last.
    pub(crate) usage: Option<ProviderUsage>,
    pub(crate) seen: Seen,
    /// Choices that were asked for, and whether each has ended, and how many calls it has made.
    choices: Vec<Choice>,
}

#[derive(Clone, Debug, Default)]
struct Choice {
    finished: bool,
    /// Calls by the provider's numbers.
    calls: BTreeMap<u32, u32>,
    bytes: usize,
}

impl Out {
    pub(crate) fn new(choices: u32) -> Self {
        let choices = vec![Choice::default(); usize::try_from(choices).unwrap_or(1)];
        Self { pieces: VecDeque::new(), usage: None, seen: Seen::default(), choices }
    }

    /// Whether all choices have ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.choices.iter().all(|choice| choice.finished)
    }

    fn choice(&mut self, choice: u32) -> Result<&mut Choice, Failure> {
        let asked = self.choices.len();
        let known = usize::try_from(choice).ok().and_then(|choice| self.choices.get_mut(choice));
        known.ok_or_else(|| garbled(&format!("an event is of choice {choice}, and {asked} were asked for"), ""))
    }

    pub(super) fn text(&mut self, choice: u32, text: &str, logprobs: Vec<TokenText>) -> Result<(), Failure> {
        let of = self.choice(choice)?;
        if text.is_empty() && logprobs.is_empty() || of.finished {
            return Ok(());
        }
        of.bytes += text.len();
        self.seen.bytes += text.len();
        self.seen.pieces += 1;
        self.pieces.push_back(Piece::Delta(Delta { choice, text: text.to_owned(), logprobs, calls: vec![] }));
        Ok(())
    }

    /// Reasoning, which is counted and not handed on.
    pub(super) fn hidden(&mut self, text: &str) {
        self.seen.hidden += text.len();
        self.seen.pieces += u64::from(!text.is_empty());
    }

    /// A piece of a call, by the provider's own number of it.
    pub(super) fn call(&mut self, choice: u32, number: u32, delta: CallDelta) -> Result<(), Failure> {
        let of = self.choice(choice)?;
        if of.finished {
            return Ok(());
        }
        let next = u32::try_from(of.calls.len()).unwrap_or(MAX_CALLS);
        let known = of.calls.get(&number).copied();
        if known.is_none() && (next >= MAX_CALLS || delta.name.is_none()) {
            return Err(garbled("a call begins without the name of a function, or is one too many", ""));
        }
        // Some say id and name with each piece.
        let CallDelta { id, name, arguments, .. } = delta;
        let (id, name) = if known.is_none() { (id, name) } else { (None, None) };
        let delta = CallDelta { index: *of.calls.entry(number).or_insert(next), id, name, arguments };
        let bytes = delta.arguments.len() + delta.name.as_ref().map_or(0, String::len);
        of.bytes += bytes;
        self.seen.bytes += bytes;
        self.seen.pieces += 1;
        let delta = Delta { choice, text: String::new(), logprobs: vec![], calls: vec![delta] };
        self.pieces.push_back(Piece::Delta(delta));
        Ok(())
    }

    /// How many calls a choice has begun.
    pub(super) fn calls(&self, choice: u32) -> u32 {
        let choice = usize::try_from(choice).ok().and_then(|choice| self.choices.get(choice));
        choice.map_or(0, |choice| u32::try_from(choice.calls.len()).unwrap_or(u32::MAX))
    }

    /// A choice has ended. One that a filter ended before anything came of the answer is a failure: somebody else
    /// may stand in.
    pub(super) fn finish(&mut self, choice: u32, reason: FinishReason) -> Result<(), Failure> {
        let nothing = self.seen.bytes == 0 && self.choices.len() == 1;
        let of = self.choice(choice)?;
        if std::mem::replace(&mut of.finished, true) {
            return Ok(());
        }
        if reason == FinishReason::ContentFilter && nothing {
            let message = "its filter cut the answer before it began: ask something else, or another model";
            return Err(Failure::new(FailureKind::ContentPolicy, message));
        }
        let reason = match reason {
            // Some who speak OpenAI's API say `stop` after calls.
            FinishReason::Stop if !of.calls.is_empty() => FinishReason::ToolCalls,
            other => other,
        };
        self.pieces.push_back(Piece::Finished { choice, reason });
        Ok(())
    }

    /// The stream has ended, by the provider's word or without one.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if !self.is_finished() {
            return Err(Failure::new(FailureKind::Cut, "the stream ended before the answer did"));
        }
        self.pieces.extend(self.usage.map(Piece::Usage));
        Ok(())
    }

    /// A piece has been handed out.
    pub(crate) fn handed(&mut self, delta: &Delta) {
        let plain = delta.calls.is_empty() && self.choices.len() == 1;
        self.seen.streamed = self.seen.streamed.max(if plain { Streamed::Text } else { Streamed::More });
    }
}
