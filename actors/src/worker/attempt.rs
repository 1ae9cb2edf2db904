//! One job's way back: a channel that holds its whole answer, read in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::engine::{Grant, JobFault};
use protocol::job::{Finish, Job, JobUsage, Sampled};
use protocol::message::{Begun, Failed, Finished, TokenBatch};
use protocol::units::Tokens;
use tokio::sync::mpsc;

/// Tokens in one batch at most: far below a frame's limit, log-probabilities included.
const BATCH: usize = 1024;

/// What an engine has said of a job.
#[derive(Debug)]
pub(super) enum Item {
    Begun(Tokens),
    Token(Sampled),
    Finished(Finish, JobUsage),
    Failed(JobFault),
}

/// What has become of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Its prefill has begun.
    Begun(Begun),
    /// All tokens since the last batch.
    Tokens(TokenBatch),
    /// It ended well: the last update.
    Finished(Finished),
    /// It failed: the last update.
    Failed(Failed),
}

/// The engine's end.
#[derive(Debug)]
pub(super) struct Outbox {
    items: mpsc::Sender<Item>,
    enough: Arc<AtomicBool>,
}

/// The reader's end. To drop it is to cancel the job.
#[derive(Debug)]
pub struct Attempt {
    items: mpsc::Receiver<Item>,
    /// No more of it is wanted than what it has used.
    enough: Arc<AtomicBool>,
    grant: Grant,
    /// Position of the next token in the answer.
    next: Tokens,
    /// Taken out of the channel behind the tokens of a batch.
    held: Option<Item>,
    ended: bool,
}

/// Both ends for a job. The bound is what the job may say in all.
pub(super) fn channel(job: &Job, context: usize) -> (Outbox, Attempt) {
    let tokens = job.limits.max_tokens.as_usize().saturating_sub(job.generated.len()).min(context);
    let (sender, items) = mpsc::channel(tokens.saturating_add(2).min(tokio::sync::Semaphore::MAX_PERMITS));
    let next = Tokens::of(job.generated.len());
    let enough = Arc::new(AtomicBool::new(false));
    let outbox = Outbox { items: sender, enough: Arc::clone(&enough) };
    (outbox, Attempt { items, enough, grant: Grant::default(), next, held: None, ended: false })
}

impl Outbox {
    /// Whether anybody still wants the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.items.is_closed() && !self.enough.load(Ordering::Acquire)
    }

    /// Hands an item on. False if there is no room: the engine says more than the job may.
    pub(super) fn put(&self, item: Item) -> bool {
        !matches!(self.items.try_send(item), Err(mpsc::error::TrySendError::Full(_)))
    }
}

impl Attempt {
    /// Cancels the job within a step. What the engine has said until then still comes, and at last what it has used.
    pub fn cancel(&self) {
        self.enough.store(true, Ordering::Release);
    }

    pub(super) fn granted(&mut self, grant: Grant) {
        self.grant = grant;
    }

    /// What the engine said when it took the job.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    /// The next news, tokens that are there together in one batch. None after the last. Nothing is
    /// lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Update> {
        if self.ended {
            return None;
        }
        let item = match self.held.take() {
            Some(item) => Some(item),
            None => self.items.recv().await,
        };
        Some(match item {
            Some(Item::Begun(cached)) => Update::Begun(Begun { cached }),
            Some(Item::Token(sampled)) => Update::Tokens(self.batch(sampled)),
            Some(Item::Finished(finish, usage)) => {
                self.ended = true;
                Update::Finished(Finished { finish, usage })
            }
            Some(Item::Failed(error)) => {
                self.ended = true;
                Update::Failed(Failed { error })
            }
            None => {
                self.ended = true;
                Update::Failed(Failed { error: JobFault::WorkerLost { reason: "it let go of the job".to_owned() } })
            }
        })
    }

    fn batch(&mut self, sampled: Sampled) -> TokenBatch {
        let mut tokens = vec![sampled];
        while tokens.len() < BATCH {
            match self.items.try_recv() {
                Ok(Item::Token(sampled)) => tokens.push(sampled),
                Ok(other) => {
                    self.held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let first = self.next;
        self.next += Tokens::of(tokens.len());
        TokenBatch { first, tokens }
    }
}
