//! The sums of a chunk in plain Rust, for any format, block and width.

use super::super::kv::{KvFormat, KvShape};
use super::super::math::{exp, from_bf16, per_isa};
use super::{Chunk, Queries, Sums};

/// Tokens of a chunk at most.
const MOST: usize = 32;

per_isa! {
    pub(super) fn add(queries: &Queries, chunk: &Chunk<'_>, sums: &mut Sums, dim: usize) {
        let shape = chunk.kv.shape();
        let tokens = chunk.tokens.min(MOST);
        let (mut scores, mut weights) = ([0.0f32; MOST], [0.0f32; MOST]);
        for row in 0..queries.rows {
            scores[..tokens].fill(0.0);
            for (at, q) in queries.floats[row][..dim].iter().enumerate() {
                keys(&shape, chunk, at, *q, &mut scores[..tokens]);
            }
            let seen = |token: usize| {
                let position = chunk.position + token;
                position >= queries.from[row] && position < queries.to[row]
            };
            let old = sums.most[row];
            let visible = scores[..tokens].iter().enumerate().filter(|(token, _)| seen(*token));
            let most = visible.fold(old, |most, (_, score)| if *score > most { *score } else { most });
            if most == f32::NEG_INFINITY {
                continue;
            }
            let keep = if old == f32::NEG_INFINITY { 0.0 } else { exp(old - most) };
            let total = &mut sums.totals[row][0];
            *total *= keep;
            for token in 0..tokens {
                weights[token] = if seen(token) { exp(scores[token] - most) } else { 0.0 };
                *total += weights[token];
            }
            let mixed = &mut sums.mixed[row][..dim];
            for mixed in mixed.iter_mut() {
                *mixed *= keep;
            }
            for (token, weight) in weights[..tokens].iter().enumerate() {
                if seen(token) {
                    values(&shape, chunk, token, *weight, mixed);
                }
            }
            sums.most[row] = most;
        }
    }
}

/// Adds `q` times number `at` of each key to the scores.
#[inline(always)]
fn keys(shape: &KvShape, chunk: &Chunk<'_>, at: usize, q: f32, scores: &mut [f32]) {
    match shape.format {
        KvFormat::F32 => {
            let keys = &chunk.unit[4 * (at * shape.block + chunk.slot)..];
            for (score, key) in scores.iter_mut().zip(keys.as_chunks::<4>().0) {
                *score += q * f32::from_le_bytes(*key);
            }
        }
        KvFormat::Bf16 => {
            let keys = &chunk.unit[4 * (at / 2 * shape.block + chunk.slot)..];
            let second = 2 * (at % 2);
            for (score, pair) in scores.iter_mut().zip(keys.as_chunks::<4>().0) {
                *score += q * from_bf16(u16::from_le_bytes([pair[second], pair[second + 1]]));
            }
        }
        KvFormat::Int8 => {
            for (token, score) in scores.iter_mut().enumerate() {
                *score += q * shape.key(chunk.unit, chunk.slot + token, at);
            }
        }
    }
}

/// Adds a token's value, weighted.
#[inline(always)]
fn values(shape: &KvShape, chunk: &Chunk<'_>, token: usize, weight: f32, mixed: &mut [f32]) {
    let slot = chunk.slot + token;
    match shape.format {
        KvFormat::F32 => {
            let values = &chunk.unit[shape.half_bytes() + 4 * slot * shape.dim..];
            for (mixed, value) in mixed.iter_mut().zip(values.as_chunks::<4>().0) {
                *mixed += weight * f32::from_le_bytes(*value);
            }
        }
        KvFormat::Bf16 | KvFormat::Int8 => {
            for (at, mixed) in mixed.iter_mut().enumerate() {
                *mixed += weight * shape.value(chunk.unit, slot, at);
            }
        }
    }
}
