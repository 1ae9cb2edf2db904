//! One of a request's answers: its attempts, its text, and what must outlive the node that serves it.

use std::sync::Arc;

use policy::job::Attempts;
use protocol::engine::BlockHash;
use protocol::ids::{JobKey, TokenId};
use protocol::job::{Job, Sampled, Sampling};
use protocol::units::Tokens;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Task;
use crate::cluster::attempt::Attempt;
use crate::cluster::placing::{Placed, Trial, Want};
use crate::cluster::speech::Speech;
use crate::cluster::waiting::Turn;

/// One of the answers.
pub(super) struct Choice {
    pub(super) number: u32,
    pub(super) attempts: Attempts,
    pub(super) speech: Speech,
    /// What runs for it: a stream, or a wait.
    pub(super) running: Option<Attempt>,
    /// Where it goes next.
    pub(super) placed: Option<Placed>,
    /// Its node, on trial.
    pub(super) trial: Option<Trial>,
    /// Every token so far: with them any node can go on.
    generated: Vec<TokenId>,
    seed: u64,
    pub(super) cached: Tokens,
    pub(super) predicted: Tokens,
    pub(super) granted: Tokens,
    pub(super) newest: Option<Instant>,
    /// When it lost its node, until it speaks again.
    pub(super) moved: Option<Instant>,
    /// When it began to wait for room.
    pub(super) waits: Option<Instant>,
    /// Its turn among those that wait, until a node has taken it.
    pub(super) turn: Option<Turn>,
    /// The turn that it waits for.
    pub(super) coming: Option<oneshot::Receiver<Turn>>,
}

impl Choice {
    pub(super) fn new(number: u32, task: &Task, attempts: Attempts, turn: Option<Turn>) -> Self {
        Self {
            number,
            attempts,
            speech: Speech::new(Arc::clone(&task.text), task.limits.clone(), &task.stops),
            running: None,
            placed: None,
            trial: None,
            generated: Vec::new(),
            seed: seed(task.sampling.seed, number),
            cached: Tokens::ZERO,
            predicted: Tokens::ZERO,
            granted: Tokens::ZERO,
            newest: None,
            moved: None,
            waits: Some(task.arrived),
            turn,
            coming: None,
        }
    }

    /// Keeps tokens for a node that may have to go on.
    pub(super) fn keep(&mut self, tokens: &[Sampled]) {
        self.generated.extend(tokens.iter().map(|sampled| sampled.token));
    }

    pub(super) fn want(&self, task: &Task, tried: Vec<protocol::ids::NodeId>) -> Want {
        let generated = Tokens::of(self.generated.len());
        Want {
            model: task.model.clone(),
            words: task.words,
            chain: self.chain(task),
            block: task.block,
            prompt: Tokens::of(task.prompt.len()) + generated,
            answer: task.limits.max_tokens - generated,
            session: task.session,
            class: task.class,
            tried,
        }
    }

    /// The names of all full blocks of prompt and answer so far.
    fn chain(&self, task: &Task) -> Arc<[BlockHash]> {
        if self.generated.is_empty() {
            return Arc::clone(&task.chain);
        }
        let block = task.block.as_usize().max(1);
        let known = task.chain.len();
        let mut parent = task.chain.last().copied().unwrap_or_else(|| BlockHash::root(task.salt));
        let rest = task.prompt.get(known * block..).unwrap_or_default();
        let tail: Vec<TokenId> = rest.iter().chain(&self.generated).copied().collect();
        let more = tail.chunks_exact(block).map(|tokens| {
            parent = parent.child(tokens);
            parent
        });
        task.chain.iter().copied().chain(more).collect()
    }

    pub(super) fn job(&self, task: &Task, attempt: u32) -> Job {
        Job {
            key: JobKey { request: task.request, choice: self.number, attempt },
            model: task.model.clone(),
            prompt: task.prompt.clone(),
            generated: self.generated.clone(),
            sampling: Sampling { seed: self.seed, ..task.sampling.clone() },
            limits: task.limits.clone(),
            salt: task.salt,
            priority: task.class.priority(),
        }
    }
}

/// Choices have seeds of their own; the first has the request's.
fn seed(seed: u64, choice: u32) -> u64 {
    seed.wrapping_add(u64::from(choice).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
