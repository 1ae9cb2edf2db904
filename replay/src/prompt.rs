//! The tokens of a prompt of which only the names of its blocks are known.
//!
//! A token depends on the name of its block and its place in it alone, so prompts that begin with the same names begin
//! with the same tokens. A prompt without names shares nothing with any other.

use actors::mock::words::VOCABULARY;
use protocol::ids::TokenId;

use crate::trace::{Request, Trace};

/// Sets the names of prompts that have none apart from those that have.
const NAMELESS: u64 = 0x9e37_79b9_7f4a_7c15;

/// A prompt's tokens; `number` is its place in the trace.
pub(crate) fn tokens(trace: &Trace, request: &Request, number: usize) -> Vec<TokenId> {
    let block = usize::try_from(trace.block.0.max(1)).unwrap_or(usize::MAX);
    let length = request.input.as_usize();
    let name = |at: usize| match request.blocks.get(at) {
        Some(name) => mix(*name),
        None => mix(NAMELESS ^ mix(number as u64) ^ at as u64),
    };
    let mut tokens = Vec::with_capacity(length);
    for at in 0..length.div_ceil(block) {
        let name = name(at);
        let left = (length - tokens.len()).min(block);
        tokens.extend((0..left as u64).map(|place| token(mix(name ^ place))));
    }
    tokens
}

fn token(hash: u64) -> TokenId {
    TokenId(((hash >> 32) % u64::from(VOCABULARY)) as u32)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub(crate) fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
