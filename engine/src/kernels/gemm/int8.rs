//! 8-bit weights with a scale per column, times 8-bit activations with a scale per row.
//!
//! Packed `[n / 32][k / 4][32][4]`: four neighbours along `k` of one column lie together, as the dot
//! product instruction takes them. Weights are stored as `q + 128`, since one factor of it must be
//! unsigned; 128 times the sum of the activations is taken off at the end. Sums are exact in 32 bits for
//! `k` up to [`MOST_K`].

use super::super::isa::Level;
use super::super::math::per_isa;
use super::super::rows::Activations;
use super::{Isa, OutOfMemory, PANEL, Pool, Tile, each_panel};
use crate::kernels::Buffer;

/// 255 · 127 · `k` stays below 2³¹.
pub(crate) const MOST_K: usize = 65_536;

#[derive(Debug)]
pub(super) struct Packed {
    k: usize,
    /// Per panel: codes, then scales as the bytes of floats.
    codes: Buffer<u8>,
    scales: Buffer<f32>,
}

impl Packed {
    pub(super) fn new(
        pool: &Pool,
        n: usize,
        k: usize,
        row: &(impl Fn(usize, &mut [f32]) + Sync),
    ) -> Result<Self, OutOfMemory> {
        let (panels, panel) = (n.div_ceil(PANEL), k.next_multiple_of(4) * PANEL);
        let mut codes = Buffer::zeroed(panels * panel)?;
        let mut scales = Buffer::zeroed(panels * PANEL)?;
        // Two passes over the rows would read the file twice: scales are written from inside.
        let places = super::Shared(scales.as_mut_ptr());
        each_panel(pool, &mut codes, panel, |number, codes| {
            let mut floats = vec![0.0f32; k];
            // SAFETY: as the panel's codes, the 32 scales of the panel belong to this thread.
            let scales = unsafe { places.slice(number * PANEL, PANEL) };
            codes.fill(128);
            for (lane, scale) in scales.iter_mut().enumerate().take(n - (number * PANEL).min(n)) {
                row(number * PANEL + lane, &mut floats);
                *scale = pack_row(&floats, lane, codes);
            }
        });
        Ok(Self { k, codes, scales })
    }

    fn panel(&self, number: usize) -> &[u8] {
        let panel = self.k.next_multiple_of(4) * PANEL;
        &self.codes[number * panel..(number + 1) * panel]
    }

    pub(super) fn bytes(&self) -> usize {
        self.codes.len() + size_of_val::<[f32]>(&self.scales)
    }

    pub(super) fn unpack(&self, row: usize, out: &mut [f32]) {
        let (codes, lane) = (self.panel(row / PANEL), row % PANEL);
        let scale = self.scales[row];
        for (numbers, codes) in out.chunks_mut(4).zip(codes.chunks_exact(4 * PANEL)) {
            for (number, code) in numbers.iter_mut().zip(&codes[4 * lane..4 * lane + 4]) {
                *number = (f32::from(*code) - 128.0) * scale;
            }
        }
    }
}

/// Writes a row into its lane of a panel. Returns its scale.
fn pack_row(floats: &[f32], lane: usize, codes: &mut [u8]) -> f32 {
    let largest = floats.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let finite = floats.iter().all(|x| x.is_finite());
    let inverse = if largest > 0.0 && largest.is_finite() { 127.0 / largest } else { 0.0 };
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    for (numbers, codes) in floats.chunks(4).zip(codes.chunks_exact_mut(4 * PANEL)) {
        for (number, code) in numbers.iter().zip(&mut codes[4 * lane..4 * lane + 4]) {
            *code = (super::super::math::round(number * inverse) + 128) as u8;
        }
    }
    if finite { largest / 127.0 } else { f32::NAN }
}

pub(super) struct Tiles<'a> {
    pub(super) packed: &'a Packed,
    pub(super) x: &'a Activations,
    pub(super) isa: Isa,
}

impl super::Tiles for Tiles<'_> {
    const MOST: usize = 12;

    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>) {
        let x = self.x;
        let rows = &x.bytes[row * x.stride..(row + R - 1) * x.stride + x.width.next_multiple_of(4)];
        let scales = &self.packed.scales[panel * PANEL..(panel + 1) * PANEL];
        let input = Input {
            x: rows,
            stride: x.stride,
            codes: self.packed.panel(panel),
            scales,
            row_scales: &x.scales[row..row + R],
            sums: &x.sums[row..row + R],
        };
        match self.isa.level() {
            // SAFETY: such an `Isa` exists only on processors that have these instructions. `rows` reaches
            // to the last row's last step, as `codes` does: both have `k / 4` steps.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512::tile(&input, out) },
            _ => portable(self.isa, &input, out),
        }
    }
}

struct Input<'a> {
    /// The tile's rows, `stride` apart.
    x: &'a [i8],
    stride: usize,
    codes: &'a [u8],
    scales: &'a [f32],
    row_scales: &'a [f32],
    sums: &'a [f32],
}

impl Input<'_> {
    /// From exact sums to floats.
    #[inline(always)]
    fn finish(&self, r: usize, sums: &[i32; PANEL], out: &mut [f32; PANEL]) {
        let (scale, offset) = (self.row_scales[r], 128 * self.sums[r] as i32);
        for ((out, sum), column) in out.iter_mut().zip(sums).zip(self.scales) {
            *out = (sum - offset) as f32 * column * scale;
        }
    }
}

per_isa! {
    fn portable<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        for (r, out) in out.iter_mut().enumerate() {
            let x = &input.x[r * input.stride..];
            let mut sums = [0i32; PANEL];
            for (codes, x) in input.codes.chunks_exact(4 * PANEL).zip(x.chunks_exact(4)) {
                for (sum, codes) in sums.iter_mut().zip(codes.chunks_exact(4)) {
                    let pair = |i: usize| i32::from(i16::from(codes[i])) * i32::from(i16::from(x[i]));
                    *sum += pair(0) + pair(1) + pair(2) + pair(3);
                }
            }
            input.finish(r, &sums, out);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Input, PANEL, Tile};

    /// # Safety
    /// The processor has the instructions, and each of the `R` rows of `x` has four bytes for every step
    /// of `codes`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    pub(super) unsafe fn tile<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        let mut sums = [[_mm512_setzero_si512(); 2]; R];
        let (x, codes) = (input.x.as_ptr(), input.codes.as_ptr());
        for step in 0..input.codes.len() / (4 * PANEL) {
            // SAFETY: the step lies in `codes`.
            let (w0, w1) = unsafe {
                let at = codes.add(step * 4 * PANEL);
                (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()))
            };
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's word.
                let four = unsafe { x.add(r * input.stride + step * 4).cast::<i32>().read_unaligned() };
                let four = _mm512_set1_epi32(four);
                sums[0] = _mm512_dpbusd_epi32(sums[0], w0, four);
                sums[1] = _mm512_dpbusd_epi32(sums[1], w1, four);
            }
        }
        for (r, (sums, out)) in sums.iter().zip(out).enumerate() {
            let offset = _mm512_set1_epi32(128 * input.sums[r] as i32);
            let scale = _mm512_set1_ps(input.row_scales[r]);
            for half in 0..2 {
                let sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[half], offset));
                // SAFETY: `scales` and a row of `out` hold 32 floats each.
                unsafe {
                    let column = _mm512_loadu_ps(input.scales.as_ptr().add(16 * half));
                    let value = _mm512_mul_ps(_mm512_mul_ps(sum, column), scale);
                    _mm512_storeu_ps(out.as_mut_ptr().add(16 * half), value);
                }
            }
        }
    }
}
