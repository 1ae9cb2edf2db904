//! 8-bit weights with a scale per column, times 8-bit activations with a scale per group of [`GROUP`].
//!
//! Packed `[n / 32][k / 4][32][4]`: four neighbours along `k` of one column lie together, as the dot
//! product instruction takes them. Weights are stored as `q + 128`, since one factor of it must be
//! unsigned; each dot product starts at minus 128 times the sum of the activations. Dot products of a
//! group are exact; they are scaled and added up in order.

use super::super::isa::Level;
use super::super::math::per_isa;
use super::super::rows::Activations;
use super::{Isa, OutOfMemory, PANEL, Pool, Tile, each_panel};
use crate::kernels::Buffer;

/// Activations that share a scale.
pub(super) const GROUP: usize = 32;

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
        let (panels, panel) = (n.div_ceil(PANEL), k.next_multiple_of(GROUP) * PANEL);
        let mut codes = pool.arena.zeroed(panels * panel)?;
        let mut scales = pool.arena.zeroed(panels * PANEL)?;
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
        let panel = self.k.next_multiple_of(GROUP) * PANEL;
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
    const MOST: usize = 6;

    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>) {
        let x = self.x;
        let groups = row * x.groups..(row + R) * x.groups;
        let input = Input {
            x: &x.bytes[row * x.stride..(row + R - 1) * x.stride + x.width.next_multiple_of(GROUP)],
            stride: x.stride,
            codes: self.packed.panel(panel),
            scales: &self.packed.scales[panel * PANEL..(panel + 1) * PANEL],
            row_scales: &x.scales[groups.clone()],
            offsets: &x.offsets[groups],
            groups: x.groups,
        };
        match self.isa.level() {
            // SAFETY: such an `Isa` exists only on processors that have these instructions. Rows, their groups
            // and the panel all have `k / GROUP` groups, rounded up.
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
    /// `[rows, groups]`.
    row_scales: &'a [f32],
    /// `[rows, groups]`.
    offsets: &'a [i32],
    groups: usize,
}

per_isa! {
    fn portable<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        for (r, out) in out.iter_mut().enumerate() {
            let x = &input.x[r * input.stride..];
            *out = [0.0; PANEL];
            let groups = input.codes.chunks_exact(GROUP * PANEL).zip(x.chunks_exact(GROUP));
            for (place, (codes, x)) in groups.enumerate() {
                let mut dots = [input.offsets[r * input.groups + place]; PANEL];
                for (codes, x) in codes.chunks_exact(4 * PANEL).zip(x.chunks_exact(4)) {
                    for (dot, codes) in dots.iter_mut().zip(codes.chunks_exact(4)) {
                        let pair = |i: usize| i32::from(i16::from(codes[i])) * i32::from(i16::from(x[i]));
                        *dot += pair(0) + pair(1) + pair(2) + pair(3);
                    }
                }
                let scale = input.row_scales[r * input.groups + place];
                for (out, dot) in out.iter_mut().zip(dots) {
                    *out += dot as f32 * scale;
                }
            }
            for (out, scale) in out.iter_mut().zip(input.scales) {
                *out *= scale;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{GROUP, Input, PANEL, Tile};

    /// # Safety
    /// The processor has the instructions, and each of the `R` rows of `x`, of scales and of offsets has as
    /// many whole groups as `codes`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    pub(super) unsafe fn tile<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        let mut totals = [[_mm512_setzero_ps(); 2]; R];
        let (mut x, mut codes) = (input.x.as_ptr(), input.codes.as_ptr());
        for place in 0..input.codes.len() / (GROUP * PANEL) {
            let mut dots = [[_mm512_setzero_si512(); 2]; R];
            // SAFETY: all loads lie in this group of the panel and of each row, which the caller vouches for.
            unsafe {
                for (r, dots) in dots.iter_mut().enumerate() {
                    *dots = [_mm512_set1_epi32(*input.offsets.as_ptr().add(r * input.groups + place)); 2];
                }
                for step in 0..GROUP / 4 {
                    let at = codes.add(step * 4 * PANEL);
                    let (w0, w1) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()));
                    for (r, dots) in dots.iter_mut().enumerate() {
                        let four = x.add(r * input.stride + step * 4).cast::<i32>().read_unaligned();
                        let four = _mm512_set1_epi32(four);
                        dots[0] = _mm512_dpbusd_epi32(dots[0], w0, four);
                        dots[1] = _mm512_dpbusd_epi32(dots[1], w1, four);
                    }
                }
                for (r, (totals, dots)) in totals.iter_mut().zip(&dots).enumerate() {
                    let scale = _mm512_set1_ps(*input.row_scales.as_ptr().add(r * input.groups + place));
                    totals[0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[0]), scale, totals[0]);
                    totals[1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[1]), scale, totals[1]);
                }
                x = x.add(GROUP);
                codes = codes.add(GROUP * PANEL);
            }
        }
        for (totals, out) in totals.iter().zip(out) {
            for (half, total) in totals.iter().enumerate() {
                // SAFETY: `scales` and a row of `out` hold 32 floats each.
                unsafe {
                    let column = _mm512_loadu_ps(input.scales.as_ptr().add(16 * half));
                    _mm512_storeu_ps(out.as_mut_ptr().add(16 * half), _mm512_mul_ps(*total, column));
                }
            }
        }
    }
}
