//! Weights and activations in 32 bits: exact to rounding, for reference and for models that need it.
//!
//! Packed `[n / 32][k][32]`.

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
        let mut numbers = Buffer::zeroed(n.div_ceil(PANEL) * k * PANEL)?;
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
    const MOST: usize = 6;

    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>) {
        let x = self.x;
        let rows = &x.floats[row * x.stride..(row + R - 1) * x.stride + x.width];
        multiply(self.isa, &Input { x: rows, stride: x.stride, panel: self.packed.panel(panel) }, out);
    }
}

per_isa! {
    fn multiply<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
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
