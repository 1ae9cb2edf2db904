//! One answer from its first attempt to its end: when a node is asked, and what a failure means.
//!
//! Rules:
//! - At most one attempt is live. Events carry the attempt they belong to; those of an older one are
//!   ignored.
//! - A node that refuses is back-pressure: the next is asked, at most so many in a row, then the answer
//!   waits its turn and all of them count afresh. Only faults count as faults.
//! - A fault before the first token means: ask elsewhere, at once the first time, then after a growing
//!   wait, and only while the budget of retries lasts. At most so many faults.
//! - A fault after the first token is a migration: prompt and answer so far go to another node, which
//!   goes on with the next token. The client sees one answer. A node that drains hands its answers over
//!   in the same way, and that is no fault.
//! - A refusal that lies in the job itself (an empty prompt) ends it at once: no other node would take it. A
//!   prompt too long for one node may fit another; if it fits none, that is the client's to mend.
//! - Tokens come in order, by position. A gap or an overlap is a fault of the node.
//! - An answer whose last token was delivered is complete, whether the node has said so or not.
//! - It ends exactly once.

use std::time::Duration;

use protocol::answer::{ErrorKind, JobError};
use protocol::engine::{JobFault, RefusalReason};
use protocol::ids::{NodeId, TokenId};
use protocol::job::{Finish, JobUsage, Limits, Sampled};
use protocol::message::{Finished, Refused, TokenBatch};
use protocol::units::Tokens;

use crate::planted::{Bug, Planted};

mod ending;

pub use ending::out_of_time;

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// There is a node for it.
    Placed(NodeId),
    /// There is none that was not tried. `some` tells whether the model has any node at all.
    Nobody {
        /// Whether waiting makes sense.
        some: bool,
    },
    /// The node took the job, with so much of its prompt cached.
    Granted(Tokens),
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
    /// The wait before another try is over.
    Slept,
    /// Its turn has come.
    Turn,
    /// It waits no longer: the error for the client.
    TurnedAway(JobError),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Find a node for this attempt: [`Event::Placed`] or [`Event::Nobody`] follows.
    Place {
        /// Its number.
        attempt: u32,
        /// Whom not to ask.
        tried: Vec<NodeId>,
    },
    /// Start this attempt on this node.
    Ask {
        /// Its number.
        attempt: u32,
        /// Whom.
        node: NodeId,
    },
    /// Something is tried again, if the budget of retries allows it: not at all the first time, then after
    /// waits that grow. [`Event::Slept`] or [`Event::TurnedAway`] follows.
    Retry {
        /// The attempt that follows.
        attempt: u32,
        /// How many retries there were before.
        before: u32,
    },
    /// Wait until there is room: [`Event::Turn`] or [`Event::TurnedAway`] follows.
    Wait {
        /// The attempt that follows.
        attempt: u32,
        /// The shortest time after which some node wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// End this attempt's stream.
    Drop {
        /// Its number.
        attempt: u32,
    },
    /// How it went with a node, for its breaker.
    Judge {
        /// Whom.
        node: NodeId,
        /// How it was.
        verdict: Verdict,
    },
    /// A node works on it, with so much of the prompt from its cache. Once.
    Started {
        /// Who.
        node: NodeId,
        /// From the cache.
        cached: Tokens,
    },
    /// The answer goes on elsewhere.
    Migrate {
        /// Who had it.
        from: NodeId,
        /// Tokens that were delivered.
        delivered: Tokens,
        /// Why.
        why: String,
    },
    /// Tokens for the client, in order.
    Deliver(Vec<Sampled>),
    /// The answer has ended. The last command.
    End(Result<End, JobError>),
}

/// How it went with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It did as it should.
    Good,
    /// It has no room: no fault.
    Busy,
    /// It is at fault.
    Fault,
}

/// How an answer ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub finish: Finish,
    /// What it used, over all attempts.
    pub usage: JobUsage,
}

/// How often is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Nodes that are asked in a row, until the answer waits its turn; and faults before the first token.
    pub attempts: u32,
    /// Times that a begun answer goes on elsewhere.
    pub migrations: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Live {
    number: u32,
    /// None while a place is looked for, or it waits.
    node: Option<NodeId>,
    begun: bool,
    /// Tokens that were delivered before it.
    base: Tokens,
}

/// The state of one answer.
#[derive(Clone, Debug)]
pub struct Attempts {
    model: String,
    limits: Limits,
    tries: Tries,
    made: u32,
    live: Option<Live>,
    /// Nodes that were asked since the last wait.
    tried: Vec<NodeId>,
    delivered: Tokens,
    last_token: Option<TokenId>,
    started: bool,
    usage: JobUsage,
    retry_after: Option<Duration>,
    asked: u32,
    /// Nodes that had no room, at any time.
    refusals: u32,
    faults: u32,
    migrations: u32,
    /// Nodes for which the job is too large, since the last wait.
    misfits: u32,
    last: String,
    ended: bool,
    planted: Planted,
}

impl Attempts {
    /// An answer of `model` within these limits. Returns the first command too.
    pub fn new(model: &str, limits: Limits, tries: Tries) -> (Self, Vec<Command>) {
        let mut state = Self {
            model: model.to_owned(),
            limits,
            tries,
            made: 0,
            live: None,
            tried: Vec::new(),
            delivered: Tokens::ZERO,
            last_token: None,
            started: false,
            usage: JobUsage::default(),
            retry_after: None,
            asked: 0,
            refusals: 0,
            faults: 0,
            migrations: 0,
            misfits: 0,
            last: String::new(),
            ended: false,
            planted: Planted::default(),
        };
        let commands = vec![state.place()];
        (state, commands)
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Makes this mistake from now on.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
    }

    /// The attempt that is live on a node, and where.
    pub fn live(&self) -> Option<(u32, NodeId)> {
        self.live.and_then(|live| Some((live.number, live.node?)))
    }

    /// Tokens that were delivered.
    pub fn delivered(&self) -> Tokens {
        self.delivered
    }

    /// Something happened to an attempt.
    pub fn on_event(&mut self, attempt: u32, event: Event) -> Vec<Command> {
        let Some(live) = self.live.filter(|live| live.number == attempt && !self.ended) else { return Vec::new() };
        match (live.node, event) {
            (None, Event::Placed(node)) => self.placed(live, node),
            (None, Event::Nobody { some }) => self.nobody(some),
            (None, Event::Slept) => vec![self.place()],
            (None, Event::Turn) => {
                self.forget_tries();
                vec![self.place()]
            }
            (None, Event::TurnedAway(error)) => self.turned_away(error),
            (Some(node), Event::Begun(cached)) => self.begun(live, node, cached),
            (Some(node), Event::Refused(refused)) => self.refused(node, refused),
            (Some(node), Event::Unanswered) => self.fault(node, "it did not answer in time".to_owned()),
            (Some(node), Event::Lost(why)) => self.fault(node, why),
            (Some(node), Event::Failed(fault)) => self.failed(node, &fault),
            (Some(node), Event::Tokens(batch)) => self.tokens(live, node, batch),
            (Some(node), Event::Finished(finished)) => self.finished(live, node, finished),
            _ => Vec::new(),
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

    fn placed(&mut self, live: Live, node: NodeId) -> Vec<Command> {
        self.asked += 1;
        self.live = Some(Live { node: Some(node), ..live });
        vec![Command::Ask { attempt: live.number, node }]
    }

    fn begun(&mut self, live: Live, node: NodeId, cached: Tokens) -> Vec<Command> {
        if live.begun {
            return Vec::new();
        }
        self.live = Some(Live { begun: true, ..live });
        if std::mem::replace(&mut self.started, true) {
            return Vec::new();
        }
        self.usage.cached = cached;
        vec![Command::Started { node, cached }]
    }

    fn refused(&mut self, node: NodeId, refused: Refused) -> Vec<Command> {
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
        self.refusals += 1;
        self.tried.push(node);
        let mut commands = self.drop_live();
        commands.push(Command::Judge { node, verdict: Verdict::Busy });
        commands.extend(if self.asked < self.tries.attempts { vec![self.place()] } else { self.exhausted() });
        commands
    }

    /// The attempt's node is at fault.
    fn fault(&mut self, node: NodeId, why: String) -> Vec<Command> {
        let mut commands = self.drop_live();
        if self.planted.has(Bug::LeakedReservation) && self.delivered > Tokens::ZERO {
            commands.clear();
        }
        commands.push(Command::Judge { node, verdict: Verdict::Fault });
        commands.extend(self.elsewhere(node, why, true));
        commands
    }

    /// What this node does not do, another does.
    fn elsewhere(&mut self, node: NodeId, why: String, fault: bool) -> Vec<Command> {
        self.last = why;
        if let Some(finish) = self.complete() {
            return self.end_now(Ok(End { finish, usage: self.usage() }));
        }
        self.forget_tries();
        self.tried.push(node);
        if self.delivered > Tokens::ZERO {
            return self.migrate(node);
        }
        if !fault {
            return vec![self.place()];
        }
        self.faults += 1;
        if self.faults >= self.tries.attempts {
            let message = format!("{} attempts failed: {}", self.faults, self.last);
            return self.end_now(Err(JobError::new(ErrorKind::NodeLost, message)));
        }
        let (attempt, before) = (self.next_attempt(), self.faults - 1);
        vec![Command::Retry { attempt, before }]
    }

    fn migrate(&mut self, from: NodeId) -> Vec<Command> {
        self.migrations += 1;
        if self.migrations > self.tries.migrations {
            let message = format!(
                "the answer was moved {} times and lost again after {}: {}",
                self.tries.migrations, self.delivered, self.last
            );
            return self.end_now(Err(JobError::new(ErrorKind::NodeLost, message)));
        }
        let (delivered, why) = (self.delivered, self.last.clone());
        vec![Command::Migrate { from, delivered, why }, self.place()]
    }

    fn failed(&mut self, node: NodeId, fault: &JobFault) -> Vec<Command> {
        match fault {
            JobFault::WorkerLost { .. } => self.fault(node, fault.to_string()),
            JobFault::Drained => {
                let mut commands = self.drop_live();
                commands.extend(self.elsewhere(node, fault.to_string(), false));
                commands
            }
            JobFault::Expired => {
                let error = JobError::new(ErrorKind::Busy, fault.to_string());
                self.end_now(Err(error.retry_after(self.retry_after.unwrap_or(ending::RETRY))))
            }
            // Another node has the same weights.
            JobFault::NotFinite { .. } => self.end_now(Err(JobError::new(ErrorKind::Internal, fault.to_string()))),
        }
    }

    fn tokens(&mut self, live: Live, node: NodeId, batch: TokenBatch) -> Vec<Command> {
        if batch.first != self.delivered {
            let why = format!("tokens from {} came where {} was due", batch.first, self.delivered);
            return self.fault(node, why);
        }
        let mut commands = self.begun(live, node, Tokens::ZERO);
        self.delivered += Tokens::of(batch.tokens.len());
        self.last_token = batch.tokens.last().map(|sampled| sampled.token).or(self.last_token);
        commands.push(Command::Deliver(batch.tokens));
        commands
    }

    fn finished(&mut self, live: Live, node: NodeId, finished: Finished) -> Vec<Command> {
        let Finished { usage, finish } = finished;
        if finish == Finish::Cancelled {
            return self.fault(node, "it has given up what is still wanted".to_owned());
        }
        if live.base + usage.generated != self.delivered {
            let why = format!("it ended after {} behind {}, and {} came", usage.generated, live.base, self.delivered);
            return self.fault(node, why);
        }
        let mut commands = self.begun(live, node, usage.cached);
        self.live = None;
        self.ended = true;
        self.usage.recomputed += usage.recomputed;
        commands.push(Command::Judge { node, verdict: Verdict::Good });
        let prompt = usage.prompt;
        commands.push(Command::End(Ok(End { finish, usage: JobUsage { prompt, ..self.usage() } })));
        commands
    }

    /// Looks for a node.
    fn place(&mut self) -> Command {
        let attempt = self.next_attempt();
        Command::Place { attempt, tried: self.tried.clone() }
    }

    fn next_attempt(&mut self) -> u32 {
        let number = self.made;
        self.made += 1;
        self.live = Some(Live { number, node: None, begun: false, base: self.delivered });
        number
    }

    /// Whoever refused may be asked again.
    fn forget_tries(&mut self) {
        self.tried.clear();
        self.asked = 0;
        self.misfits = 0;
    }

    fn drop_live(&mut self) -> Vec<Command> {
        let live = self.live.take().filter(|live| live.node.is_some());
        live.map(|live| Command::Drop { attempt: live.number }).into_iter().collect()
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
}

#[cfg(test)]
mod tests;
