//! One attempt at one answer: what a coordinator hands to a node and a node's engine runs.
//!
//! A job is complete in itself: with `generated` it can be taken up in the middle on another node, and
//! since each random number depends on the seed and the position alone, it goes on as it would have.

use serde::{Deserialize, Serialize};

use crate::ids::{JobKey, TokenId};
use crate::units::Tokens;

/// One attempt at one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which attempt this is.
    pub key: JobKey,
    /// The model to run.
    pub model: String,
    /// The prompt's tokens; at least one.
    pub prompt: Vec<TokenId>,
    /// Tokens of the answer that the client already has: empty but for a migrated job. They count
    /// for penalties, limits and the random counter, and are not sent again.
    pub generated: Vec<TokenId>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// When to stop.
    pub limits: Limits,
    /// Keeps cached prefixes of different tenants apart: part of every block's hash.
    pub salt: [u8; 16],
    /// Higher goes first, see [`Class::priority`].
    pub priority: u8,
}

/// How urgent a request is. The classes' order is theirs in every queue; within one, tenants share fairly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// It may wait for hours.
    Bulk,
    /// The usual.
    #[default]
    Standard,
    /// Somebody sits and waits.
    Interactive,
}

impl Class {
    /// All of them, the least urgent first.
    pub const ALL: [Self; 3] = [Self::Bulk, Self::Standard, Self::Interactive];

    /// As [`Job::priority`].
    pub fn priority(self) -> u8 {
        match self {
            Self::Bulk => 0,
            Self::Standard => 1,
            Self::Interactive => 2,
        }
    }

    /// As it stands in headers and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Standard => "standard",
            Self::Interactive => "interactive",
        }
    }
}

/// How tokens are chosen; resolved, nothing left to defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 for greedy.
    pub temperature: f32,
    /// 0 for all.
    pub top_k: u32,
    /// 1 for all.
    pub top_p: f32,
    /// 0 for all.
    pub min_p: f32,
    /// 1 for none.
    pub repetition_penalty: f32,
    /// 0 for none.
    pub presence_penalty: f32,
    /// 0 for none.
    pub frequency_penalty: f32,
    /// Added to logits before all else.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// The key of the random counter; the position is the other half.
    pub seed: u64,
    /// Report the chosen token's log-probability and so many alternatives.
    pub logprobs: Option<u8>,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            logprobs: None,
        }
    }
}

/// When an answer ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest answer, `generated` included; at least 1.
    pub max_tokens: Tokens,
    /// No stop token is chosen before so many.
    pub min_tokens: Tokens,
    /// Tokens that end the answer. The one that did is sent as its last token.
    pub stop_ids: Vec<TokenId>,
}

/// A token of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// The token.
    pub token: TokenId,
    /// Its log-probability and the best alternatives, where asked for.
    pub logprobs: Option<Logprobs>,
}

/// Log-probabilities (natural) at one position, of the model's own distribution: after the penalties
/// and the bias, before temperature and truncation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logprobs {
    /// Of the chosen token.
    pub chosen: f32,
    /// The most probable tokens, best first.
    pub top: Vec<(TokenId, f32)>,
}

/// Why an engine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// A stop token was chosen.
    Stop,
    /// `max_tokens` or the end of the context was reached.
    Length,
    /// Nobody wants it any more.
    Cancelled,
}

/// What a job has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobUsage {
    /// The prompt's tokens; of a cancelled job, those that were computed or found cached.
    pub prompt: Tokens,
    /// Of these, found in the prefix cache when the job was first scheduled.
    pub cached: Tokens,
    /// Tokens chosen in this attempt.
    pub generated: Tokens,
    /// Prompt tokens computed again after preemptions.
    pub recomputed: Tokens,
}
