//! Weights and activations in 32 bits: exact to rounding, for reference and for models that need it.
//!
//! Packed `[n / 32][k][32]`.

use super::super::isa::Level;
use super::super::math::per_isa;
use super::super::rows::Activations;
use super::{Isa, OutOfMemory, PANEL, Pool, Tile, each_panel};
use crate::kernels::Buffer;

#[derive(Debug)]
pub(super) struct Packed {
    k: usize,
    numbers: Buffer<f32>,
}

impl Packed {
    pub(super) fn new(
        pool: &Pool,
        n: usize,
        k: usize,
        row: &(impl Fn(usize, &mut [f32]) + Sync),
    ) -> Result<Self, OutOfMemory> {
        let mut numbers = pool.arena.zeroed(n.div_ceil(PANEL) * k * PANEL)?;
        each_panel(pool, &mut numbers, k * PANEL, |number, numbers| {
            let mut floats = vec![0.0; k];
            for lane in 0..PANEL.min(n - number * PANEL) {
                row(number * PANEL + lane, &mut floats);
                for (float, lanes) in floats.iter().zip(numbers.chunks_exact_mut(PANEL)) {
                    lanes[lane] = *float;
                }
            }
        });
        Ok(Self { k, numbers })
    }

    fn panel(&self, number: usize) -> &[f32] {
        &self.numbers[number * self.k * PANEL..(number + 1) * self.k * PANEL]
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.numbers)
    }

    pub(super) fn unpack(&self, row: usize, out: &mut [f32]) {
        for (out, lanes) in out.iter_mut().zip(self.panel(row / PANEL).chunks_exact(PANEL)) {
            *out = lanes[row % PANEL];
        }
    }
}

pub(super) struct Tiles<'a> {
    pub(super) packed: &'a Packed,
    pub(super) x: &'a Activations,
    pub(super) isa: Isa,
}

struct Input<'a> {
    x: &'a [f32],
    stride: usize,
    panel: &'a [f32],
}

impl super::Tiles for Tiles<'_> {
    const MOST: usize = 12;

    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>) {
        let x = self.x;
        let rows = &x.floats[row * x.stride..(row + R - 1) * x.stride + x.width];
        let input = Input { x: rows, stride: x.stride, panel: self.packed.panel(panel) };
        match self.isa.level() {
            // SAFETY: such an `Isa` exists only on processors that have these instructions. Rows and panel have
            // as many steps.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512::tile(&input, out) },
            _ => portable(self.isa, &input, out),
        }
    }
}

per_isa! {
    fn portable<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        let mut sums = [[0.0f32; PANEL]; R];
        for (step, lanes) in input.panel.chunks_exact(PANEL).enumerate() {
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = input.x[r * input.stride + step];
                for (sum, lane) in sums.iter_mut().zip(lanes) {
                    *sum += x * lane;
                }
            }
        }
        *out = sums;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Input, PANEL, Tile};

    /// # Safety
    /// The processor has the instructions, and each of the `R` rows of `x` has a number for every step of
    /// the panel.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(super) unsafe fn tile<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        let (x, panel) = (input.x.as_ptr(), input.panel.as_ptr());
        for step in 0..input.panel.len() / PANEL {
            // SAFETY: the step lies in the panel.
            let (w0, w1) = unsafe {
                let at = panel.add(step * PANEL);
                (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16)))
            };
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's word.
                let x = _mm512_set1_ps(unsafe { *x.add(r * input.stride + step) });
                sums[0] = _mm512_fmadd_ps(w0, x, sums[0]);
                sums[1] = _mm512_fmadd_ps(w1, x, sums[1]);
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
