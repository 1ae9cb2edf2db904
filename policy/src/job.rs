//! One answer from its first attempt to its end: which node is asked, and what a failure means.
//!
//! Rules:
//! - At most one attempt is live. Events carry the attempt they belong to; those of an older one are
//!   ignored.
//! - Before the first token, a node that refuses, stays silent, fails or is lost means: ask the next
//!   candidate, at most so many in all. Only faults count as faults; a refusal is back-pressure and says
//!   when to come back.
//! - After the first token, the loss of a node ends the answer with a typed error: the client has seen a
//!   part of it.
//! - A refusal that lies in the job itself (an empty prompt) ends it at once: no other node would take it. A
//!   prompt too long for one node may fit another; if it fits none, that is the client's to mend.
//! - Tokens come in order, by position. A gap or an overlap is a fault of the node.
//! - It ends exactly once.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::answer::{ErrorKind, JobError};
use protocol::engine::{JobFault, RefusalReason};
use protocol::ids::NodeId;
use protocol::job::{Finish, JobUsage, Sampled};
use protocol::message::{Finished, Refused, TokenBatch};
use protocol::units::Tokens;

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The node took the job.
    Granted,
    /// The node did not take it.
    Refused(Refused),
    /// The node did not answer in time.
    Unanswered,
    /// Its prefill has begun, with so much from the cache.
    Begun(Tokens),
    /// Tokens of the answer.
    Tokens(TokenBatch),
    /// The answer is complete.
    Finished(Finished),
    /// The job failed on the node.
    Failed(JobFault),
    /// The node, its connection or the stream was lost.
    Lost(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Start this attempt on this node.
    Ask {
        /// Its number.
        attempt: u32,
        /// Whom.
        node: NodeId,
    },
    /// End this attempt's stream.
    Drop {
        /// Its number.
        attempt: u32,
    },
    /// A node works on it, with so much of the prompt from its cache. Once.
    Started {
        /// Who.
        node: NodeId,
        /// From the cache.
        cached: Tokens,
    },
    /// Tokens for the client, in order.
    Deliver(Vec<Sampled>),
    /// The answer has ended. The last command.
    End(Result<End, JobError>),
}

/// How an answer ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub finish: Finish,
    /// What it used.
    pub usage: JobUsage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Live {
    number: u32,
    node: NodeId,
    begun: bool,
}

/// The end of a request that took too long.
pub fn out_of_time(limit: Duration) -> JobError {
    let message = format!("the request took longer than {limit:?}: ask for fewer tokens, or raise requests.timeout");
    JobError::new(ErrorKind::Timeout, message)
}

/// The state of one answer.
#[derive(Clone, Debug)]
pub struct Attempts {
    model: String,
    candidates: VecDeque<NodeId>,
    most: u32,
    made: u32,
    live: Option<Live>,
    delivered: Tokens,
    started: bool,
    retry_after: Option<Duration>,
    faults: u32,
    /// Nodes for which the job is too large.
    misfits: u32,
    last: String,
    ended: bool,
}

impl Attempts {
    /// An answer of `model` that may be tried on these nodes, the best first, at most `most` of them.
    /// Returns the first command too.
    pub fn new(model: &str, candidates: Vec<NodeId>, most: u32) -> (Self, Vec<Command>) {
        let mut state = Self {
            model: model.to_owned(),
            candidates: candidates.into(),
            most,
            made: 0,
            live: None,
            delivered: Tokens::ZERO,
            started: false,
            retry_after: None,
            faults: 0,
            misfits: 0,
            last: String::new(),
            ended: false,
        };
        let commands = state.next();
        (state, commands)
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Something happened to an attempt.
    pub fn on_event(&mut self, attempt: u32, event: Event) -> Vec<Command> {
        let Some(live) = self.live.filter(|live| live.number == attempt && !self.ended) else { return Vec::new() };
        match event {
            Event::Granted => Vec::new(),
            Event::Begun(cached) => self.begun(live, cached),
            Event::Refused(refused) => self.refused(refused),
            Event::Unanswered => self.fault("it did not answer in time".to_owned()),
            Event::Lost(why) => self.fault(why),
            Event::Failed(fault) => self.failed(&fault),
            Event::Tokens(batch) => self.tokens(live, batch),
            Event::Finished(finished) => self.finished(live, finished),
        }
    }

    /// Nobody wants the answer any more, or it is complete in another way (a stop text).
    pub fn on_enough(&mut self) -> Vec<Command> {
        if self.ended {
            return Vec::new();
        }
        self.ended = true;
        self.drop_live()
    }

    fn begun(&mut self, live: Live, cached: Tokens) -> Vec<Command> {
        if live.begun {
            return Vec::new();
        }
        self.live = Some(Live { begun: true, ..live });
        if std::mem::replace(&mut self.started, true) {
            return Vec::new();
        }
        vec![Command::Started { node: live.node, cached }]
    }

    fn refused(&mut self, refused: Refused) -> Vec<Command> {
        // Nodes may differ in context and memory: another may take what this one cannot hold.
        let misfit =
            matches!(refused.reason, RefusalReason::PromptTooLong { .. } | RefusalReason::TooManyBlocks { .. });
        self.misfits += u32::from(misfit);
        let elsewhere = misfit || refused.reason.is_backpressure();
        if !elsewhere && !matches!(refused.reason, RefusalReason::UnknownModel { .. }) {
            let kind = match refused.reason {
                RefusalReason::Duplicate { .. } => ErrorKind::Internal,
                _ => ErrorKind::Invalid,
            };
            return self.end_now(Err(JobError::new(kind, refused.reason.to_string())));
        }
        self.retry_after = match (self.retry_after, refused.retry_after) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last = refused.reason.to_string();
        self.next()
    }

    /// The attempt's node is at fault.
    fn fault(&mut self, why: String) -> Vec<Command> {
        self.faults += 1;
        self.last = why;
        if self.delivered == Tokens::ZERO {
            return self.next();
        }
        let message = format!("the node was lost after {} of the answer: {}", self.delivered, self.last);
        self.end_now(Err(JobError::new(ErrorKind::NodeLost, message)))
    }

    fn failed(&mut self, fault: &JobFault) -> Vec<Command> {
        match fault {
            JobFault::WorkerLost { .. } | JobFault::Drained | JobFault::Expired => self.fault(fault.to_string()),
            // Another node has the same weights.
            JobFault::NotFinite { .. } => self.end_now(Err(JobError::new(ErrorKind::Internal, fault.to_string()))),
        }
    }

    fn tokens(&mut self, live: Live, batch: TokenBatch) -> Vec<Command> {
        if batch.first != self.delivered {
            return self.fault(format!("tokens from {} came where {} was due", batch.first, self.delivered));
        }
        let mut commands = self.begun(live, Tokens::ZERO);
        self.delivered += Tokens::of(batch.tokens.len());
        commands.push(Command::Deliver(batch.tokens));
        commands
    }

    fn finished(&mut self, live: Live, finished: Finished) -> Vec<Command> {
        if finished.usage.generated != self.delivered {
            let Finished { usage, .. } = finished;
            return self.fault(format!("it ended after {}, of which {} came", usage.generated, self.delivered));
        }
        let mut commands = self.begun(live, Tokens::ZERO);
        self.live = None;
        self.ended = true;
        commands.push(Command::End(Ok(End { finish: finished.finish, usage: finished.usage })));
        commands
    }

    fn drop_live(&mut self) -> Vec<Command> {
        self.live.take().map(|live| Command::Drop { attempt: live.number }).into_iter().collect()
    }

    fn end_now(&mut self, outcome: Result<End, JobError>) -> Vec<Command> {
        if self.ended {
            return Vec::new();
        }
        self.ended = true;
        let mut commands = self.drop_live();
        commands.push(Command::End(outcome));
        commands
    }

    /// Asks the next candidate, or ends.
    fn next(&mut self) -> Vec<Command> {
        let mut commands = self.drop_live();
        let next = if self.made < self.most { self.candidates.pop_front() } else { None };
        let Some(node) = next else {
            commands.extend(self.end_now(Err(self.nobody())));
            return commands;
        };
        let number = self.made;
        self.made += 1;
        self.live = Some(Live { number, node, begun: false });
        commands.push(Command::Ask { attempt: number, node });
        commands
    }

    /// Why nobody took it.
    fn nobody(&self) -> JobError {
        if self.made == 0 {
            let message = format!("no node serves '{}' now: try again, or start a node", self.model);
            return JobError::new(ErrorKind::NoNode, message).retry_after(Duration::from_secs(1));
        }
        let asked = if self.made == 1 {
            "the node that was asked".to_owned()
        } else {
            format!("all {} nodes that were asked", self.made)
        };
        if self.faults == self.made {
            return JobError::new(ErrorKind::NodeLost, format!("{asked} failed: {}", self.last));
        }
        if self.misfits == self.made {
            return JobError::new(ErrorKind::ContextLength, format!("{asked} cannot hold it: {}", self.last));
        }
        let message = format!("{asked} refused or failed: {}", self.last);
        JobError::new(ErrorKind::Overloaded, message).retry_after(self.retry_after.unwrap_or(Duration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests;
