//! Prompts of random tokens and the jobs that are made of them. The same seed gives the same work.

use protocol::ids::{JobKey, RequestId, TokenId};
use protocol::job::{Job, Limits, Sampling};
use protocol::units::Tokens;

use crate::setting::NAME;

/// The tokens that prompts are made of, as for the peers: ordinary words, nothing that steers.
const FIRST: u64 = 20;
const LAST: u64 = 40_000;

/// A source of random prompts. No two of them share a prefix, but by a chance of one in 40,000 per token.
#[derive(Clone, Debug)]
pub(crate) struct Prompts {
    state: u64,
    last: u64,
}

impl Prompts {
    /// For a vocabulary of this size.
    pub(crate) fn new(seed: u64, vocabulary: u32) -> Self {
        Self { state: seed, last: LAST.min(u64::from(vocabulary).saturating_sub(1)).max(FIRST) }
    }

    /// The next prompt.
    pub(crate) fn next(&mut self, tokens: usize) -> Vec<TokenId> {
        (0..tokens).map(|_| TokenId(u32::try_from(self.within(FIRST, self.last)).unwrap_or(0))).collect()
    }

    /// A number from `first` to `last`.
    pub(crate) fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.number() % (last.saturating_sub(first) + 1)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): short, and as random as prompts need to be.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A greedy job that ends after so many tokens and at nothing else.
pub(crate) fn job(number: u128, prompt: Vec<TokenId>, tokens: u64) -> Job {
    Job {
        key: JobKey { request: RequestId(number), choice: 0, attempt: 0 },
        model: NAME.to_owned(),
        prompt,
        generated: Vec::new(),
        sampling: Sampling::default(),
        limits: Limits { max_tokens: Tokens(tokens), min_tokens: Tokens::ZERO, stop_ids: Vec::new() },
        salt: [0; 16],
        priority: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_differ_and_come_again_with_the_seed() {
        let (mut one, mut other) = (Prompts::new(7, 49_152), Prompts::new(7, 49_152));
        let first = one.next(128);
        assert_eq!(first, other.next(128));
        assert_ne!(first, one.next(128));
        assert!(first.iter().all(|token| (20..=40_000).contains(&token.0)));
        assert!(Prompts::new(7, 256).next(500).iter().all(|token| (20..256).contains(&token.0)));
    }
}
