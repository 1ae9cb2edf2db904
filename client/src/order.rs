//! Checks that an answer's pieces come in the order that [`protocol::answer`] promises. Pure.

use protocol::answer::Answer;

/// A piece that cannot stand where it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// Text or an end before any node took the request.
    #[error("a piece came before the start")]
    BeforeStart,
    /// It started twice.
    #[error("it started twice")]
    StartedTwice,
    /// A choice that nobody asked for.
    #[error("choice {choice} came, {asked} were asked for")]
    UnknownChoice {
        /// Which.
        choice: u32,
        /// How many there are.
        asked: u32,
    },
    /// Text or a second end of a choice that has ended.
    #[error("choice {0} went on after its end")]
    AfterFinish(u32),
    /// It was done although choices were open.
    #[error("it ended with {0} choices open")]
    Unfinished(u32),
    /// A piece after the last.
    #[error("a piece came after the end")]
    AfterEnd,
}

/// Where an answer stands.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    started: bool,
    /// By choice: has it ended?
    finished: Vec<bool>,
    ended: bool,
}

impl Order {
    /// For `choices` answers.
    pub(crate) fn new(choices: u32) -> Self {
        Self {
            started: false,
            finished: vec![false; usize::try_from(choices).unwrap_or(usize::MAX).min(1024)],
            ended: false,
        }
    }

    /// Whether nothing may follow.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// It cannot stand here.
    pub(crate) fn accept(&mut self, piece: &Answer) -> Result<(), Disorder> {
        if self.ended {
            return Err(Disorder::AfterEnd);
        }
        match piece {
            Answer::Started(_) if self.started => return Err(Disorder::StartedTwice),
            Answer::Started(_) => self.started = true,
            Answer::Failed(_) => self.ended = true,
            _ if !self.started => return Err(Disorder::BeforeStart),
            Answer::Delta(delta) => {
                self.open(delta.choice)?;
            }
            Answer::Finished { choice, .. } => *self.open(*choice)? = true,
            Answer::Done { .. } => {
                let open = self.finished.iter().filter(|finished| !**finished).count();
                if open > 0 {
                    return Err(Disorder::Unfinished(u32::try_from(open).unwrap_or(u32::MAX)));
                }
                self.ended = true;
            }
        }
        Ok(())
    }

    /// The mark of a choice that goes on.
    fn open(&mut self, choice: u32) -> Result<&mut bool, Disorder> {
        let asked = u32::try_from(self.finished.len()).unwrap_or(u32::MAX);
        let index = usize::try_from(choice).unwrap_or(usize::MAX);
        match self.finished.get_mut(index) {
            None => Err(Disorder::UnknownChoice { choice, asked }),
            Some(true) => Err(Disorder::AfterFinish(choice)),
            Some(open) => Ok(open),
        }
    }
}

#[cfg(test)]
mod tests;
