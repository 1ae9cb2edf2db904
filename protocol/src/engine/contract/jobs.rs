//! Jobs for the suite: prompts that differ by a number, and nothing left to chance.

use crate::ids::{JobKey, RequestId, TokenId};
use crate::job::{Job, Limits, Sampling};
use crate::units::Tokens;

/// The key of job `number`.
pub(super) fn key(number: u32) -> JobKey {
    JobKey { request: RequestId(u128::from(number)), choice: 0, attempt: 0 }
}

/// A greedy job with a prompt of its own.
pub(super) fn job(model: &str, vocabulary: u32, number: u32, prompt: u32, answer: u64) -> Job {
    Job {
        key: key(number),
        model: model.to_owned(),
        prompt: (0..prompt).map(|i| token(vocabulary, number, i)).collect(),
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(answer), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

/// Sampling with temperature 1.
pub(super) fn seeded(seed: u64) -> Sampling {
    Sampling { temperature: 1.0, seed, ..Sampling::default() }
}

/// Token `i` of the prompt of job `number`: splitmix64, so that no two prompts share a prefix.
fn token(vocabulary: u32, number: u32, i: u32) -> TokenId {
    let mut z = (u64::from(number) << 32 | u64::from(i)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    TokenId(u32::try_from((z ^ (z >> 31)) % u64::from(vocabulary.max(1))).unwrap_or(0))
}
