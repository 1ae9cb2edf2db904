//! The small steps between products: norms, rotation with the store of keys and values, the gate.
//!
//! All work on rows of floats, each row by itself. Relative error of each: a few units in the last place,
//! for `n` numbers `n · 2⁻²⁴ / 16` more in a norm, whose sum runs in 16 lanes.

use super::kv::LayerKv;
use super::math::{exp, per_isa};
use super::rows::Shared;
use super::{Isa, Pool};

#[cfg(test)]
mod tests;

/// Below so many numbers, waking threads costs more than they save.
const SMALL: usize = 8_192;

fn share(pool: &Pool, rows: usize, width: usize, work: impl Fn(std::ops::Range<usize>) + Sync) {
    if rows * width < SMALL { work(0..rows) } else { pool.share(rows, work) }
}

/// RMS norm of each row: `x / sqrt(mean(x²) + eps) · weight`; all `[rows, weight.len()]`.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn norm(isa: Isa, pool: &Pool, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len().max(1);
    assert!(x.len() == out.len() && x.len().is_multiple_of(width), "{} numbers in rows of {width}", x.len());
    let target = Shared(out.as_mut_ptr());
    share(pool, x.len() / width, width, |rows| {
        for row in rows {
            // SAFETY: `out` is as long as `x`, and each row is given to one thread.
            let out = unsafe { target.slice(row * width, width) };
            out.copy_from_slice(&x[row * width..(row + 1) * width]);
            norm_row(isa, out, weight, eps);
        }
    });
}

per_isa! {
    fn norm_row(x: &mut [f32], weight: &[f32], eps: f32) {
        let mut lanes = [0.0f32; 16];
        let (whole, rest) = x.as_chunks::<16>();
        for numbers in whole {
            for (lane, x) in lanes.iter_mut().zip(numbers) {
                *lane += x * x;
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane += x * x;
        }
        let mean = lanes.iter().sum::<f32>() / x.len().max(1) as f32;
        let scale = 1.0 / (mean + eps).sqrt();
        for (x, weight) in x.iter_mut().zip(weight) {
            *x = *x * scale * weight;
        }
    }
}

/// `out = silu(gate) · up`, where a row of `gate_up` holds `[gate, up]`: `[rows, 2 · width] → [rows, width]`.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn gate(isa: Isa, pool: &Pool, gate_up: &[f32], width: usize, out: &mut [f32]) {
    let width = width.max(1);
    assert!(gate_up.len() == 2 * out.len() && out.len().is_multiple_of(width), "{} numbers", gate_up.len());
    let target = Shared(out.as_mut_ptr());
    share(pool, out.len() / width, width, |rows| {
        for row in rows {
            // SAFETY: `out` holds that row, and each row is given to one thread.
            let out = unsafe { target.slice(row * width, width) };
            gate_row(isa, &gate_up[row * 2 * width..(row + 1) * 2 * width], out);
        }
    });
}

per_isa! {
    fn gate_row(gate_up: &[f32], out: &mut [f32]) {
        let (gate, up) = gate_up.split_at(out.len());
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = *gate / (1.0 + exp(-*gate)) * up;
        }
    }
}

per_isa! {
    /// Turns a head's pairs (`i`, `i + dim / 2`) by their angles; `cos` and `sin` are `[dim / 2]`.
    fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
        let (low, high) = head.split_at_mut(cos.len());
        for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            let (a, b) = (*low, *high);
            *low = a * cos - b * sin;
            *high = b * cos + a * sin;
        }
    }
}

/// What a step does with the products for queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Query heads.
    pub(crate) query: usize,
    /// Norms of queries and keys per head, where the model has them: `[dim]` each.
    pub(crate) norms: Option<(&'a [f32], &'a [f32])>,
    /// Of the norms.
    pub(crate) eps: f32,
    /// `[positions, dim / 2]`.
    pub(crate) cos: &'a [f32],
    /// `[positions, dim / 2]`.
    pub(crate) sin: &'a [f32],
    /// Of each row.
    pub(crate) positions: &'a [u32],
    /// Block and place of each row.
    pub(crate) slots: &'a [(u32, u32)],
    /// The last row of each sequence.
    pub(crate) last: &'a [usize],
}

/// Norms, turns and stores: `qkv` is `[rows, (query + 2 · key heads) · dim]`; its queries are left turned,
/// its keys and values go into the cache.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn place(isa: Isa, pool: &Pool, qkv: &mut [f32], place: &Place<'_>, kv: &mut LayerKv) {
    let shape = kv.shape();
    let (dim, half) = (shape.dim, shape.dim / 2);
    let (width, rows) = ((place.query + 2 * shape.heads) * dim, place.positions.len());
    assert!(qkv.len() == rows * width && place.slots.len() == rows, "{} numbers for {rows} rows", qkv.len());
    let writer = kv.writer();
    for row in place.last {
        let (block, slot) = place.slots[*row];
        for head in 0..shape.heads {
            // SAFETY: the layer is borrowed exclusively, and no other thread works now.
            unsafe { writer.close(block as usize, head, slot as usize + 1) };
        }
    }
    let all = Shared(qkv.as_mut_ptr());
    share(pool, rows, width, |rows| {
        for row in rows {
            // SAFETY: `qkv` holds that row, and each row is given to one thread.
            let row_of = unsafe { all.slice(row * width, width) };
            let first = place.positions[row] as usize * half;
            let (cos, sin) = (&place.cos[first..first + half], &place.sin[first..first + half]);
            let (queries, rest) = row_of.split_at_mut(place.query * dim);
            let (keys, values) = rest.split_at_mut(shape.heads * dim);
            for (heads, norm) in
                [(queries, place.norms.map(|norms| norms.0)), (&mut *keys, place.norms.map(|norms| norms.1))]
            {
                for head in heads.chunks_exact_mut(dim) {
                    if let Some(norm) = norm {
                        norm_row(isa, head, norm, place.eps);
                    }
                    rotate(isa, head, cos, sin);
                }
            }
            let (block, slot) = place.slots[row];
            for (head, (key, value)) in keys.chunks_exact(dim).zip(values.chunks_exact(dim)).enumerate() {
                // SAFETY: the layer is borrowed exclusively; rows of a step have slots of their own, and each row
                // is given to one thread.
                unsafe { writer.write(block as usize, head, slot as usize, key, value) };
            }
        }
    });
}
