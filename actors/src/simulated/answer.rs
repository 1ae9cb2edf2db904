//! An answer as a client gathers it.

use policy::invariants::Breach;
use policy::invariants::order::Order;
use protocol::answer::{Answer, FinishReason, JobError, Started, TokenText, Usage};

/// All of an answer that has come so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Who serves it.
    pub started: Option<Started>,
    /// Each choice's text.
    pub texts: Vec<String>,
    /// Each choice's tokens, if they were asked for.
    pub logprobs: Vec<Vec<TokenText>>,
    /// Why each choice ended.
    pub reasons: Vec<Option<FinishReason>>,
    /// What it used: it is complete.
    pub usage: Option<Usage>,
    /// Why it failed.
    pub error: Option<JobError>,
    order: Order,
}

impl Whole {
    /// Of so many choices, of which nothing has come.
    pub fn of(choices: usize) -> Self {
        Self {
            texts: vec![String::new(); choices],
            logprobs: vec![Vec::new(); choices],
            reasons: vec![None; choices],
            order: Order::of(choices),
            ..Self::default()
        }
    }

    /// Takes a piece in.
    ///
    /// # Errors
    /// It cannot come here.
    pub fn take(&mut self, piece: Answer) -> Result<(), Breach> {
        self.order.in_order(&piece)?;
        match piece {
            Answer::Started(started) => self.started = Some(started),
            Answer::Delta(delta) => {
                let at = delta.choice as usize;
                if let Some((text, logprobs)) = self.texts.get_mut(at).zip(self.logprobs.get_mut(at)) {
                    text.push_str(&delta.text);
                    logprobs.extend(delta.logprobs);
                }
            }
            Answer::Finished { choice, reason } => {
                self.reasons.iter_mut().skip(choice as usize).take(1).for_each(|place| *place = Some(reason));
            }
            Answer::Done { usage } => self.usage = Some(usage),
            Answer::Failed(error) => self.error = Some(error),
        }
        Ok(())
    }

    /// Whether its last piece has come.
    pub fn ended(&self) -> bool {
        self.usage.is_some() || self.error.is_some()
    }

    /// Without what may differ: who served it, and what was cached.
    pub fn content(&self) -> impl PartialEq + std::fmt::Debug + '_ {
        (&self.texts, &self.logprobs, &self.reasons, self.usage.map(|usage| usage.completion))
    }
}
