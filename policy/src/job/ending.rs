//! How an answer ends when no node does it: complete after all, or with the error that helps most.

use std::time::Duration;

use protocol::answer::{ErrorKind, JobError};
use protocol::job::{Finish, JobUsage};
use protocol::units::Tokens;

use super::{Attempts, Command};

/// When to come back, if nobody says.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The end of a request that took too long.
pub fn out_of_time(limit: Duration) -> JobError {
    let message = format!("the request took longer than {limit:?}: ask for fewer tokens, or raise requests.timeout");
    JobError::new(ErrorKind::Timeout, message)
}

impl Attempts {
    /// Why the answer is complete, if its last token was delivered: nobody needs to be asked for the rest.
    pub(super) fn complete(&self) -> Option<Finish> {
        if self.delivered == Tokens::ZERO {
            return None;
        }
        let stopped = self.last_token.is_some_and(|token| self.limits.stop_ids.contains(&token));
        if stopped && self.delivered > self.limits.min_tokens {
            return Some(Finish::Stop);
        }
        (self.delivered >= self.limits.max_tokens).then_some(Finish::Length)
    }

    /// What was used so far, over all attempts. Who asked knows the prompt.
    pub(super) fn usage(&self) -> JobUsage {
        JobUsage { generated: self.delivered, ..self.usage }
    }

    /// No node is left that was not tried.
    pub(super) fn nobody(&mut self, some: bool) -> Vec<Command> {
        if self.asked > 0 || self.delivered > Tokens::ZERO || some {
            return self.exhausted();
        }
        self.end_now(Err(self.no_node().retry_after(RETRY)))
    }

    fn no_node(&self) -> JobError {
        let message = format!("no node serves '{}' now: try again, or start a node", self.model);
        JobError::new(ErrorKind::NoNode, message)
    }

    /// It has waited for nothing. The error says what it is in truth: a begun answer was lost, or nobody was
    /// there to be asked.
    pub(super) fn turned_away(&mut self, error: JobError) -> Vec<Command> {
        let truth = if self.delivered > Tokens::ZERO {
            let message = format!(
                "the node was lost after {} of the answer, and no other has taken it: {}",
                self.delivered, self.last
            );
            JobError::new(ErrorKind::NodeLost, message)
        } else if self.refusals == 0 && self.faults == 0 {
            self.no_node()
        } else {
            error.clone()
        };
        self.end_now(Err(JobError { retry_after: error.retry_after, ..truth }))
    }

    /// All that may be asked have refused: it waits its turn, if that can help.
    pub(super) fn exhausted(&mut self) -> Vec<Command> {
        if self.asked > 0 && self.misfits == self.asked {
            let asked = match self.asked {
                1 => "the node that was asked".to_owned(),
                more => format!("all {more} nodes that were asked"),
            };
            let message = format!("{asked} cannot hold it: {}", self.last);
            return self.end_now(Err(JobError::new(ErrorKind::ContextLength, message)));
        }
        let (attempt, retry_after) = (self.next_attempt(), self.retry_after.take());
        vec![Command::Wait { attempt, retry_after }]
    }
}
