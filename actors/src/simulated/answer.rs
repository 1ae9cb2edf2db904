//! An answer as a client gathers it.

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
}

impl Whole {
    /// Of so many choices, of which nothing has come.
    pub fn of(choices: usize) -> Self {
        Self {
            texts: vec![String::new(); choices],
            logprobs: vec![Vec::new(); choices],
            reasons: vec![None; choices],
            ..Self::default()
        }
    }

    /// Takes a piece in.
    ///
    /// # Errors
    /// It cannot come here: said twice, after the end, or of a choice that was not asked for.
    pub fn take(&mut self, piece: Answer) -> Result<(), String> {
        if self.ended() {
            return Err(format!("{piece:?} came after the end"));
        }
        let (twice, unknown) =
            (|what: &str| format!("it {what} twice"), |choice| format!("there is no choice {choice}"));
        match piece {
            Answer::Started(started) => match self.started.replace(started) {
                None => Ok(()),
                Some(_) => Err(twice("started")),
            },
            Answer::Delta(delta) => {
                let at = delta.choice as usize;
                let (text, logprobs) =
                    self.texts.get_mut(at).zip(self.logprobs.get_mut(at)).ok_or_else(|| unknown(delta.choice))?;
                text.push_str(&delta.text);
                logprobs.extend(delta.logprobs);
                Ok(())
            }
            Answer::Finished { choice, reason } => {
                let place = self.reasons.get_mut(choice as usize).ok_or_else(|| unknown(choice))?;
                match place.replace(reason) {
                    None => Ok(()),
                    Some(_) => Err(twice("finished")),
                }
            }
            Answer::Done { usage } => {
                self.usage = Some(usage);
                Ok(())
            }
            Answer::Failed(error) => {
                self.error = Some(error);
                Ok(())
            }
        }
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
