//! Weights and activations in brain floating point, sums in 32 bits.
//!
//! Packed `[n / 32][k / 2][32][2]`: two neighbours along `k` of one column lie together, as the dot
//! product instruction takes them.

use super::super::isa::Level;
use super::super::math::{from_bf16, per_isa, to_bf16};
use super::super::rows::Activations;
use super::{Isa, OutOfMemory, PANEL, Pool, Tile, each_panel};
use crate::kernels::Buffer;

#[derive(Debug)]
pub(super) struct Packed {
    k: usize,
    numbers: Buffer<u16>,
}

impl Packed {
    pub(super) fn new(
        pool: &Pool,
        n: usize,
        k: usize,
        row: &(impl Fn(usize, &mut [f32]) + Sync),
    ) -> Result<Self, OutOfMemory> {
        let panel = k.next_multiple_of(2) * PANEL;
        let mut numbers = pool.arena.zeroed(n.div_ceil(PANEL) * panel)?;
        each_panel(pool, &mut numbers, panel, |number, numbers| {
            let mut floats = vec![0.0; k];
            for lane in 0..PANEL.min(n - number * PANEL) {
                row(number * PANEL + lane, &mut floats);
                for (floats, pairs) in floats.chunks(2).zip(numbers.chunks_exact_mut(2 * PANEL)) {
                    for (float, number) in floats.iter().zip(&mut pairs[2 * lane..2 * lane + 2]) {
                        *number = to_bf16(*float);
                    }
                }
            }
        });
        Ok(Self { k, numbers })
    }

    fn panel(&self, number: usize) -> &[u16] {
        let panel = self.k.next_multiple_of(2) * PANEL;
        &self.numbers[number * panel..(number + 1) * panel]
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[u16]>(&self.numbers)
    }

    pub(super) fn unpack(&self, row: usize, out: &mut [f32]) {
        let lane = row % PANEL;
        for (out, pairs) in out.chunks_mut(2).zip(self.panel(row / PANEL).chunks_exact(2 * PANEL)) {
            for (out, number) in out.iter_mut().zip(&pairs[2 * lane..2 * lane + 2]) {
                *out = from_bf16(*number);
            }
        }
    }
}

pub(super) struct Tiles<'a> {
    pub(super) packed: &'a Packed,
    pub(super) x: &'a Activations,
    pub(super) isa: Isa,
}

struct Input<'a> {
    /// The tile's rows, `stride` apart.
    x: &'a [u16],
    stride: usize,
    panel: &'a [u16],
}

impl super::Tiles for Tiles<'_> {
    const MOST: usize = 12;

    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>) {
        let x = self.x;
        let rows = &x.halves[row * x.stride..(row + R - 1) * x.stride + x.width.next_multiple_of(2)];
        let input = Input { x: rows, stride: x.stride, panel: self.packed.panel(panel) };
        match self.isa.level() {
            // SAFETY: such an `Isa` exists only on processors that have these instructions. Rows and panel
            // have as many pairs.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512::tile(&input, out) },
            _ => portable(self.isa, &input, out),
        }
    }
}

per_isa! {
    fn portable<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        for (r, out) in out.iter_mut().enumerate() {
            let x = &input.x[r * input.stride..];
            *out = [0.0; PANEL];
            for (numbers, x) in input.panel.chunks_exact(2 * PANEL).zip(x.chunks_exact(2)) {
                let (first, second) = (from_bf16(x[0]), from_bf16(x[1]));
                for (out, pair) in out.iter_mut().zip(numbers.chunks_exact(2)) {
                    *out += first * from_bf16(pair[0]) + second * from_bf16(pair[1]);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Input, PANEL, Tile};

    /// # Safety
    /// The processor has the instructions, and each of the `R` rows of `x` has a pair for every pair of
    /// the panel.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
    pub(super) unsafe fn tile<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        let (x, panel) = (input.x.as_ptr(), input.panel.as_ptr());
        for step in 0..input.panel.len() / (2 * PANEL) {
            // SAFETY: the step lies in the panel; 32 pairs are two vectors. A vector of 32 bf16 has the bits of
            // any other of 512.
            let (w0, w1): (__m512bh, __m512bh) = unsafe {
                let at = panel.add(step * 2 * PANEL);
                let load = |at: *const u16| std::mem::transmute(_mm512_loadu_si512(at.cast()));
                (load(at), load(at.add(PANEL)))
            };
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's word; the bits of a vector are those of any other.
                let pair: __m512bh = unsafe {
                    let pair = x.add(r * input.stride + step * 2).cast::<i32>().read_unaligned();
                    std::mem::transmute(_mm512_set1_epi32(pair))
                };
                sums[0] = _mm512_dpbf16_ps(sums[0], w0, pair);
                sums[1] = _mm512_dpbf16_ps(sums[1], w1, pair);
            }
        }
        for (sums, out) in sums.iter().zip(out) {
            for (half, sum) in sums.iter().enumerate() {
                // SAFETY: a row of `out` holds 32 floats.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(16 * half), *sum) };
            }
        }
    }
}
