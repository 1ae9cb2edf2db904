//! Attention over block tables.
//!
//! Sequences that compute one token are done together: their tables are padded to the longest of a
//! group, and a mask hides what is not theirs. Groups hold tables of similar length, so that a short
//! sequence does not pay for a long one. A prefill chunk is done by itself. Query heads that share a
//! key head are rows of one product.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::Result;
use super::cache::LayerCache;
use crate::batch::{Batch, Span};
use crate::source::ModelConfig;

/// What all layers of a step share: which rows see which slots.
pub(super) struct Views {
    groups: Vec<Group>,
}

/// Sequences with the same number of rows and of blocks.
struct Group {
    /// Rows of the batch: `[sequences · count]`.
    rows: Tensor,
    sequences: i64,
    /// Rows per sequence.
    count: i64,
    /// `[sequences · blocks]`.
    blocks: Tensor,
    /// 0 where a row may look, minus infinity where not: `[sequences, 1, 1, count, tokens]`, f32.
    mask: Tensor,
}

impl Views {
    pub(super) fn new(batch: &Batch, window: Option<usize>, device: Device) -> Result<Self> {
        let mut decodes: BTreeMap<usize, Vec<&Span>> = BTreeMap::new();
        let mut groups = Vec::new();
        for span in &batch.spans {
            if span.count == 1 {
                decodes.entry(batch.table(span).len().next_power_of_two()).or_default().push(span);
            } else {
                groups.push(Group::new(&[span], batch, window, device)?);
            }
        }
        for spans in decodes.values() {
            groups.push(Group::new(spans, batch, window, device)?);
        }
        Ok(Self { groups })
    }
}

impl Group {
    fn new(spans: &[&Span], batch: &Batch, window: Option<usize>, device: Device) -> Result<Self> {
        let block = batch.block;
        let width = spans.iter().map(|span| batch.table(span).len()).max().unwrap_or(1);
        let count = spans.first().map_or(1, |span| span.count);
        let (mut rows, mut blocks, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        for span in spans {
            rows.extend((span.row..span.row + span.count).map(|row| row as i64));
            // Padding repeats the sequence's own first block, masked: no other sequence's numbers are touched.
            let table = batch.table(span);
            let first = table.first().copied().unwrap_or(0);
            blocks.extend((0..width).map(|place| i64::from(table.get(place).copied().unwrap_or(first))));
            for position in span.start..span.start + span.count {
                let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
                let seen = |slot: usize| (first..=position).contains(&slot);
                mask.extend((0..width * block).map(|slot| if seen(slot) { 0.0f32 } else { f32::NEG_INFINITY }));
            }
        }
        let sequences = spans.len() as i64;
        let shape = [sequences, 1, 1, count as i64, (width * block) as i64];
        Ok(Self {
            rows: Tensor::from_slice(&rows).f_to_device(device)?,
            sequences,
            count: count as i64,
            blocks: Tensor::from_slice(&blocks).f_to_device(device)?,
            mask: Tensor::from_slice(&mask).f_reshape(shape)?.f_to_device(device)?,
        })
    }
}

/// `[tokens, heads, head_dim]` to `[tokens, heads · head_dim]`.
pub(super) fn attend(q: &Tensor, cache: Option<&LayerCache>, views: &Views, config: &ModelConfig) -> Result<Tensor> {
    let (tokens, width) = (q.size().first().copied().unwrap_or(0), (config.heads * config.head_dim) as i64);
    let cache = cache.ok_or_else(|| tch::TchError::Shape("a layer has no cache".to_owned()))?;
    let mut out = Tensor::f_empty([tokens, width], (q.kind(), q.device()))?;
    for group in &views.groups {
        let mixed = group.attend(q, cache, config)?;
        let _ = out.f_index_copy_(0, &group.rows, &mixed)?;
    }
    Ok(out)
}

impl Group {
    /// The group's rows: `[sequences · count, heads · head_dim]`.
    fn attend(&self, q: &Tensor, cache: &LayerCache, config: &ModelConfig) -> Result<Tensor> {
        let (kv_heads, width) = (config.kv_heads as i64, config.head_dim as i64);
        let shared = (config.heads / config.kv_heads) as i64;
        // [sequences, kv_heads, shared · count, head_dim]: the rows that look at the same keys.
        let rows = q
            .f_index_select(0, &self.rows)?
            .f_reshape([self.sequences, self.count, kv_heads, shared, width])?
            .f_permute([0, 2, 3, 1, 4])?
            .f_reshape([self.sequences, kv_heads, shared * self.count, width])?;
        // [sequences, kv_heads, tokens, head_dim]
        let gather = |pool: &Tensor| {
            let blocks = pool.f_index_select(0, &self.blocks)?;
            blocks.f_reshape([self.sequences, -1, kv_heads, width])?.f_transpose(1, 2)
        };
        let scores = rows.f_matmul(&gather(&cache.keys)?.f_transpose(2, 3)?)?;
        let scores = scores.f_to_kind(Kind::Float)?.f_mul_scalar(1.0 / (config.head_dim as f64).sqrt())?;
        let scores = scores.f_reshape([self.sequences, kv_heads, shared, self.count, -1])?.f_add(&self.mask)?;
        let shares = scores.f_softmax(-1, Kind::Float)?.f_to_kind(q.kind())?;
        let shares = shares.f_reshape([self.sequences, kv_heads, shared * self.count, -1])?;
        shares
            .f_matmul(&gather(&cache.values)?)?
            .f_reshape([self.sequences, kv_heads, shared, self.count, width])?
            .f_permute([0, 3, 1, 2, 4])?
            .f_reshape([self.sequences * self.count, kv_heads * shared * width])
    }
}
