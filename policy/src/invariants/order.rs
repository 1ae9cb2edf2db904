//! An answer comes in the order that [`protocol::answer`] promises: it starts once, then pieces of each choice until
//! that is finished, once; it is done when all are. It may fail at any point, and nothing comes after its end.

use protocol::answer::Answer;

use super::{Breach, Invariant, holds};

/// How far an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    started: bool,
    finished: Vec<bool>,
    ended: bool,
}

impl Order {
    /// Of so many choices, of which nothing has come.
    pub fn of(choices: usize) -> Self {
        Self { finished: vec![false; choices], ..Self::default() }
    }

    /// The next piece may come here.
    ///
    /// # Errors
    /// It may not; it counts as not having come.
    pub fn in_order(&mut self, piece: &Answer) -> Result<(), Breach> {
        let may = |may: bool, what: &str| {
            holds(Invariant::InOrder, may, || format!("{what}, where {} choices have finished", self.count()))
        };
        may(!self.ended, "a piece came after the end")?;
        match piece {
            Answer::Started(_) => {
                may(!self.started, "it started twice")?;
                self.started = true;
            }
            Answer::Delta(delta) => {
                may(self.started, "text came before it started")?;
                let open = self.finished.get(delta.choice as usize).is_some_and(|finished| !finished);
                may(open, "text came of a choice that has finished or was not asked for")?;
            }
            Answer::Finished { choice, .. } => {
                may(self.started, "a choice finished before it started")?;
                let open = self.finished.get(*choice as usize).is_some_and(|finished| !finished);
                may(open, "a choice finished twice or was not asked for")?;
                self.finished.iter_mut().skip(*choice as usize).take(1).for_each(|finished| *finished = true);
            }
            Answer::Done { .. } => {
                may(self.count() == self.finished.len(), "it was done too soon")?;
                self.ended = true;
            }
            Answer::Failed(_) => self.ended = true,
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.finished.iter().filter(|finished| **finished).count()
    }
}
