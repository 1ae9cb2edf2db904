//! Weights of 4 or 8 bits in groups along `k`, each with a scale and a minimum, times 8-bit activations
//! with a scale per group: `w = code · scale + minimum`.
//!
//! Packed `[n / 32][k / group]` of codes, 32 scales, 32 minima, so that one stream is read from end to
//! end. Codes of a group: 8 bits `[group / 4][32][4]`; 4 bits `[group / 8][32][4]`, where a byte holds
//! code `k` in its low and `k + 4` in its high bits. Scales and minima are halves where all of them can be
//! without loss, so GGUF's Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are held exactly; Q4_K, Q5_K and Q6_K are held
//! exactly with floats.
//!
//! An entry is the sum over groups, in order, of `dot · x_scale · scale + sum · minimum`.

use half::f16;

use super::super::isa::Level;
use super::super::math::per_isa;
use super::super::rows::Activations;
use super::{Isa, OutOfMemory, PANEL, Pool, Tile, each_panel};
use crate::kernels::Buffer;

mod quantise;

/// How groups are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupKind {
    /// 4 bits instead of 8.
    pub(crate) four: bool,
    /// Neighbours along `k`: 16, 32, 64 or 128.
    pub(crate) group: usize,
    /// Scales and minima in 16 bits instead of 32.
    pub(crate) half: bool,
}

impl GroupKind {
    fn code_bytes(self) -> usize {
        if self.four { self.group * PANEL / 2 } else { self.group * PANEL }
    }

    fn group_bytes(self) -> usize {
        self.code_bytes() + 2 * PANEL * if self.half { 2 } else { 4 }
    }

    pub(super) fn panel_bytes(self, k: usize) -> usize {
        k.div_ceil(self.group) * self.group_bytes()
    }

    /// The highest code.
    pub(crate) fn highest(self) -> u8 {
        if self.four { 15 } else { 255 }
    }
}

/// One row while it is packed.
#[derive(Debug)]
pub(crate) struct Codes<'a> {
    /// One per weight, at most [`GroupKind::highest`].
    pub(crate) codes: &'a mut [u8],
    /// One per group.
    pub(crate) scales: &'a mut [f32],
    /// One per group.
    pub(crate) minima: &'a mut [f32],
}

#[derive(Debug)]
pub(super) struct Packed {
    pub(super) kind: GroupKind,
    k: usize,
    bytes: Buffer<u8>,
}

impl Packed {
    pub(super) fn new(
        pool: &Pool,
        kind: GroupKind,
        n: usize,
        k: usize,
        row: &(impl Fn(usize, &mut Codes<'_>) + Sync),
    ) -> Result<Self, OutOfMemory> {
        let (groups, panel) = (k.div_ceil(kind.group), kind.panel_bytes(k));
        let mut bytes = pool.arena.zeroed(n.div_ceil(PANEL) * panel)?;
        each_panel(pool, &mut bytes, panel, |number, bytes| {
            let (mut codes, mut scales, mut minima) =
                (vec![0; groups * kind.group], vec![0.0; groups], vec![0.0; groups]);
            for lane in 0..PANEL.min(n - number * PANEL) {
                let mut all = Codes { codes: &mut codes[..k], scales: &mut scales, minima: &mut minima };
                row(number * PANEL + lane, &mut all);
                for (place, bytes) in bytes.chunks_exact_mut(kind.group_bytes()).enumerate() {
                    let codes = &codes[place * kind.group..(place + 1) * kind.group];
                    write(kind, bytes, lane, codes, (scales[place], minima[place]));
                }
            }
        });
        Ok(Self { kind, k, bytes })
    }

    fn panel(&self, number: usize) -> &[u8] {
        let panel = self.kind.panel_bytes(self.k);
        &self.bytes[number * panel..(number + 1) * panel]
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn unpack(&self, row: usize, out: &mut [f32]) {
        let lane = row % PANEL;
        let groups = self.panel(row / PANEL).chunks_exact(self.kind.group_bytes());
        for (bytes, out) in groups.zip(out.chunks_mut(self.kind.group)) {
            let (scale, minimum) = (number(self.kind, bytes, lane), number(self.kind, bytes, PANEL + lane));
            for (place, out) in out.iter_mut().enumerate() {
                *out = f32::from(code(self.kind, bytes, lane, place)) * scale + minimum;
            }
        }
    }
}

/// Where a code lies in its group, and by how many bits it is shifted.
#[inline(always)]
fn place_of(four: bool, lane: usize, place: usize) -> (usize, u32) {
    if four {
        let high = if place % 8 < 4 { 0 } else { 4 };
        (place / 8 * 4 * PANEL + 4 * lane + place % 4, high)
    } else {
        (place / 4 * 4 * PANEL + 4 * lane + place % 4, 0)
    }
}

fn code(kind: GroupKind, bytes: &[u8], lane: usize, place: usize) -> u8 {
    let (at, shift) = place_of(kind.four, lane, place);
    bytes[at] >> shift & kind.highest()
}

/// A scale (`0..32`) or a minimum (`32..64`).
#[inline(always)]
fn number(kind: GroupKind, bytes: &[u8], place: usize) -> f32 {
    let at = kind.code_bytes();
    if kind.half {
        let at = at + 2 * place;
        f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
    } else {
        let at = at + 4 * place;
        f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }
}

fn write(kind: GroupKind, bytes: &mut [u8], lane: usize, codes: &[u8], numbers: (f32, f32)) {
    for (place, code) in codes.iter().enumerate() {
        let (at, shift) = place_of(kind.four, lane, place);
        bytes[at] |= (code & kind.highest()) << shift;
    }
    for (place, number) in [(lane, numbers.0), (PANEL + lane, numbers.1)] {
        let at = kind.code_bytes() + place * if kind.half { 2 } else { 4 };
        if kind.half {
            bytes[at..at + 2].copy_from_slice(&f16::from_f32(number).to_le_bytes());
        } else {
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
    }
}

pub(super) struct Tiles<'a> {
    pub(super) packed: &'a Packed,
    pub(super) x: &'a Activations,
    pub(super) isa: Isa,
}

struct Input<'a> {
    kind: GroupKind,
    /// The tile's rows, `stride` apart.
    x: &'a [i8],
    stride: usize,
    panel: &'a [u8],
    /// `[rows, groups]`; groups beyond those of the panel are padding.
    row_scales: &'a [f32],
    /// `[rows, groups]`.
    sums: &'a [f32],
    groups: usize,
}

impl super::Tiles for Tiles<'_> {
    const MOST: usize = 6;

    fn tile<const R: usize>(&self, panel: usize, row: usize, out: &mut Tile<R>) {
        let (x, kind) = (self.x, self.packed.kind);
        let width = x.width.next_multiple_of(kind.group);
        let input = Input {
            kind,
            x: &x.bytes[row * x.stride..(row + R - 1) * x.stride + width],
            stride: x.stride,
            panel: self.packed.panel(panel),
            row_scales: &x.scales[row * x.groups..(row + R) * x.groups],
            sums: &x.sums[row * x.groups..(row + R) * x.groups],
            groups: x.groups,
        };
        match (self.isa.level(), kind.four, kind.half) {
            // SAFETY: such an `Isa` exists only on processors that have these instructions. The panel has
            // `k / group` groups, rounded up; rows and sums have them too: see `Activations::fill`.
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, true, true) => unsafe { avx512::tile::<R, true, true>(&input, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, true, false) => unsafe { avx512::tile::<R, true, false>(&input, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, false, true) => unsafe { avx512::tile::<R, false, true>(&input, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, false, false) => unsafe { avx512::tile::<R, false, false>(&input, out) },
            _ => portable(self.isa, &input, out),
        }
    }
}

per_isa! {
    fn portable<const R: usize>(input: &Input<'_>, out: &mut Tile<R>) {
        let kind = input.kind;
        for (r, out) in out.iter_mut().enumerate() {
            let x = &input.x[r * input.stride..];
            *out = [0.0; PANEL];
            let groups = input.panel.chunks_exact(kind.group_bytes()).zip(x.chunks_exact(kind.group));
            let numbers = input.sums[r * input.groups..].iter().zip(&input.row_scales[r * input.groups..]);
            for ((bytes, x), (sum, row_scale)) in groups.zip(numbers) {
                let mut dots = [0i32; PANEL];
                let steps = if kind.four { 8 } else { 4 };
                for (codes, x) in bytes[..kind.code_bytes()].chunks_exact(4 * PANEL).zip(x.chunks_exact(steps)) {
                    for (dot, codes) in dots.iter_mut().zip(codes.chunks_exact(4)) {
                        for (i, code) in codes.iter().enumerate() {
                            if kind.four {
                                *dot += i32::from(code & 15) * i32::from(x[i]);
                                *dot += i32::from(code >> 4) * i32::from(x[i + 4]);
                            } else {
                                *dot += i32::from(*code) * i32::from(x[i]);
                            }
                        }
                    }
                }
                for (lane, (out, dot)) in out.iter_mut().zip(dots).enumerate() {
                    *out += dot as f32 * row_scale * number(kind, bytes, lane);
                    *out += sum * number(kind, bytes, PANEL + lane);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{Input, PANEL, Tile};

    /// 16 scales or minima, `place` vectors behind the codes.
    ///
    /// # Safety
    /// They lie there.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    #[inline]
    unsafe fn numbers<const HALF: bool>(at: *const u8, place: usize) -> __m512 {
        // SAFETY: the caller's word.
        unsafe {
            if HALF {
                _mm512_cvtph_ps(_mm256_loadu_si256(at.add(32 * place).cast()))
            } else {
                _mm512_loadu_ps(at.add(64 * place).cast())
            }
        }
    }

    /// # Safety
    /// The processor has the instructions; the `R` rows of `x` and of `sums` have at least as many whole groups
    /// as `panel`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    pub(super) unsafe fn tile<const R: usize, const FOUR: bool, const HALF: bool>(
        input: &Input<'_>,
        out: &mut Tile<R>,
    ) {
        let low = _mm512_set1_epi8(15);
        let mut totals = [[_mm512_setzero_ps(); 2]; R];
        let (group, stride) = (input.kind.group, input.stride);
        let (group_bytes, code_bytes) = (input.kind.group_bytes(), input.kind.code_bytes());
        let mut bytes = input.panel.as_ptr();
        let mut x = input.x.as_ptr();
        for place in 0..input.panel.len() / group_bytes {
            let mut dots = [[_mm512_setzero_si512(); 2]; R];
            // SAFETY: all loads lie in this group of the panel and of each row, which the caller vouches for.
            unsafe {
                if FOUR {
                    for step in 0..group / 8 {
                        let at = bytes.add(step * 4 * PANEL);
                        let (c0, c1) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()));
                        let (l0, l1) = (_mm512_and_si512(c0, low), _mm512_and_si512(c1, low));
                        let h0 = _mm512_and_si512(_mm512_srli_epi16::<4>(c0), low);
                        let h1 = _mm512_and_si512(_mm512_srli_epi16::<4>(c1), low);
                        for (r, dots) in dots.iter_mut().enumerate() {
                            let eight = x.add(r * stride + step * 8).cast::<i32>();
                            let first = _mm512_set1_epi32(eight.read_unaligned());
                            dots[0] = _mm512_dpbusd_epi32(dots[0], l0, first);
                            dots[1] = _mm512_dpbusd_epi32(dots[1], l1, first);
                            let second = _mm512_set1_epi32(eight.add(1).read_unaligned());
                            dots[0] = _mm512_dpbusd_epi32(dots[0], h0, second);
                            dots[1] = _mm512_dpbusd_epi32(dots[1], h1, second);
                        }
                    }
                } else {
                    for step in 0..group / 4 {
                        let at = bytes.add(step * 4 * PANEL);
                        let (c0, c1) = (_mm512_loadu_si512(at.cast()), _mm512_loadu_si512(at.add(64).cast()));
                        for (r, dots) in dots.iter_mut().enumerate() {
                            let four = x.add(r * stride + step * 4).cast::<i32>().read_unaligned();
                            let four = _mm512_set1_epi32(four);
                            dots[0] = _mm512_dpbusd_epi32(dots[0], c0, four);
                            dots[1] = _mm512_dpbusd_epi32(dots[1], c1, four);
                        }
                    }
                }
                let behind = bytes.add(code_bytes);
                let scales = [numbers::<HALF>(behind, 0), numbers::<HALF>(behind, 1)];
                let minima = [numbers::<HALF>(behind, 2), numbers::<HALF>(behind, 3)];
                for (r, (totals, dots)) in totals.iter_mut().zip(&dots).enumerate() {
                    let sum = _mm512_set1_ps(*input.sums.as_ptr().add(r * input.groups + place));
                    let row_scale = _mm512_set1_ps(*input.row_scales.as_ptr().add(r * input.groups + place));
                    for half in 0..2 {
                        let dot = _mm512_mul_ps(_mm512_cvtepi32_ps(dots[half]), row_scale);
                        totals[half] = _mm512_fmadd_ps(dot, scales[half], totals[half]);
                        totals[half] = _mm512_fmadd_ps(sum, minima[half], totals[half]);
                    }
                }
                bytes = bytes.add(group_bytes);
                x = x.add(group);
            }
        }
        for (totals, out) in totals.iter().zip(out) {
            for (half, total) in totals.iter().enumerate() {
                // SAFETY: a row of `out` holds 32 floats.
                unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(16 * half), *total) };
            }
        }
    }
}
