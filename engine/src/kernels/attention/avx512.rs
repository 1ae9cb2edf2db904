//! The sums of a chunk in AVX-512: both products of bf16 and of 8-bit caches are dot products of
//! neighbours. Weights are rounded to the format of the values: bf16, or 8 bits with a scale per chunk.

#![expect(clippy::needless_range_loop, reason = "halves and rows are numbers of registers, in several arrays at once")]

use std::arch::x86_64::*;

use super::super::isa::{Isa, Level};
use super::super::kv::{KvFormat, KvShape};
use super::super::math::exp;
use super::{Chunk, MOST_DIM, Queries, ROWS, Sums};

/// Whether these kernels know the shape: tokens and numbers must fill vectors of 16.
pub(super) fn fits(isa: Isa, shape: KvShape) -> bool {
    let wide = shape.block.is_multiple_of(16) && shape.dim.is_multiple_of(16) && shape.dim <= MOST_DIM;
    isa.level() == Level::Avx512 && shape.format != KvFormat::F32 && wide
}

pub(super) fn add(isa: Isa, queries: &Queries, chunk: &Chunk<'_>, sums: &mut Sums) {
    debug_assert!(fits(isa, chunk.kv.shape()));
    // The processor finds the way within a page, not into the next block.
    if let Some(next) = chunk.next {
        for line in next.chunks(64) {
            // SAFETY: fetching ahead touches nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        }
    }
    // SAFETY: `fits` was asked: the processor has the instructions, and the shape is one of theirs. A chunk
    // has 16 or 32 tokens that lie in one block, from a multiple of 16 on.
    unsafe {
        match queries.rows {
            1 => rows::<1>(queries, chunk, sums),
            2 => rows::<2>(queries, chunk, sums),
            3 => rows::<3>(queries, chunk, sums),
            4 => rows::<4>(queries, chunk, sums),
            5 => rows::<5>(queries, chunk, sums),
            6 => rows::<6>(queries, chunk, sums),
            7 => rows::<7>(queries, chunk, sums),
            _ => rows::<ROWS>(queries, chunk, sums),
        }
    }
}

/// # Safety
/// As [`add`] has checked.
unsafe fn rows<const R: usize>(queries: &Queries, chunk: &Chunk<'_>, sums: &mut Sums) {
    // SAFETY: the caller's word.
    unsafe {
        match (chunk.kv.shape().format, chunk.tokens) {
            (KvFormat::Int8, 32) => int8::<R, 2>(queries, chunk, sums),
            (KvFormat::Int8, _) => int8::<R, 1>(queries, chunk, sums),
            (_, 32) => bf16::<R, 2>(queries, chunk, sums),
            _ => bf16::<R, 1>(queries, chunk, sums),
        }
    }
}

/// `exp` of 16 numbers that are not above 0; see [`exp`](super::super::math::exp).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx2,fma")]
#[inline]
fn exp16(x: __m512) -> __m512 {
    let x = _mm512_max_ps(x, _mm512_set1_ps(-87.0));
    let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693_359_4), x);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.121_944_4e-4), r);
    let mut p = _mm512_set1_ps(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    }
    let y = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0));
    _mm512_scalef_ps(y, n)
}

/// Which of 16 tokens a row sees, the first of them at `position`.
#[inline(always)]
fn mask(queries: &Queries, row: usize, position: usize) -> __mmask16 {
    let below = |end: usize| -> u32 { (1u32 << end.saturating_sub(position).min(16)) - 1 };
    (below(queries.to[row]) & !below(queries.from[row])) as __mmask16
}

/// Takes scores in: returns the weights, and what the sums so far are to be multiplied with.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx2,fma")]
#[inline]
unsafe fn soften<const W: usize>(
    queries: &Queries,
    chunk: &Chunk<'_>,
    row: usize,
    scores: [__m512; W],
    sums: &mut Sums,
) -> ([__m512; W], f32) {
    let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
    let (mut masks, mut largest) = ([0; W], lowest);
    for half in 0..W {
        masks[half] = mask(queries, row, chunk.position + 16 * half);
        largest = _mm512_mask_max_ps(largest, masks[half], largest, scores[half]);
    }
    let old = sums.most[row];
    let most = _mm512_reduce_max_ps(largest).max(old);
    // Nothing to be seen so far: scores are masked, and 0 keeps infinity from meeting itself.
    let base = if most == f32::NEG_INFINITY { 0.0 } else { most };
    let keep = if old == f32::NEG_INFINITY { 0.0 } else { exp(old - base) };
    let mut weights = [_mm512_setzero_ps(); W];
    // SAFETY: a row of totals holds 16 floats.
    let mut total = unsafe { _mm512_loadu_ps(sums.totals[row].as_ptr()) };
    total = _mm512_mul_ps(total, _mm512_set1_ps(keep));
    for half in 0..W {
        let weight = exp16(_mm512_sub_ps(scores[half], _mm512_set1_ps(base)));
        weights[half] = _mm512_maskz_mov_ps(masks[half], weight);
        total = _mm512_add_ps(total, weights[half]);
    }
    // SAFETY: as above.
    unsafe { _mm512_storeu_ps(sums.totals[row].as_mut_ptr(), total) };
    sums.most[row] = most;
    (weights, keep)
}

/// # Safety
/// The processor has the instructions; the chunk's `16 · W` tokens lie in one block of a bf16 cache whose
/// block and width are multiples of 16; there are `R` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx2,fma")]
unsafe fn bf16<const R: usize, const W: usize>(queries: &Queries, chunk: &Chunk<'_>, sums: &mut Sums) {
    let shape = chunk.kv.shape();
    let keys = chunk.unit.as_ptr().cast::<u16>();
    // SAFETY: bits of a vector are those of any other; all loads lie in the unit, by the caller's word.
    let (load, pair) = unsafe {
        let load = |at: *const u16| -> __m512bh { std::mem::transmute(_mm512_loadu_si512(at.cast())) };
        let pair =
            |at: *const u16| -> __m512bh { std::mem::transmute(_mm512_set1_epi32(at.cast::<i32>().read_unaligned())) };
        (load, pair)
    };
    let mut scores = [[_mm512_setzero_ps(); W]; R];
    for at in 0..shape.dim / 2 {
        // SAFETY: as above.
        unsafe {
            let row = keys.add((at * shape.block + chunk.slot) * 2);
            let mut k = [load(row); W];
            if W == 2 {
                k[1] = load(row.add(32));
            }
            for (r, scores) in scores.iter_mut().enumerate() {
                let q = pair(queries.halves[r].as_ptr().add(2 * at));
                for half in 0..W {
                    scores[half] = _mm512_dpbf16_ps(scores[half], k[half], q);
                }
            }
        }
    }
    let mut weights = [[0u16; 32]; R];
    let mut keeps = [0.0f32; R];
    for r in 0..R {
        // SAFETY: the processor has the instructions; a row of weights holds 32 halves.
        unsafe {
            let (soft, keep) = soften::<W>(queries, chunk, r, scores[r], sums);
            keeps[r] = keep;
            for half in 0..W {
                let narrow: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(soft[half]));
                _mm256_storeu_si256(weights[r].as_mut_ptr().add(16 * half).cast(), narrow);
            }
        }
    }
    // SAFETY: the values lie behind the keys.
    let values = unsafe { chunk.unit.as_ptr().add(shape.half_bytes()).cast::<u16>() };
    // Pairs beyond the last token that anybody sees may never have been written.
    let last = queries.to[R - 1].saturating_sub(chunk.position).min(16 * W).div_ceil(2);
    let mut at = 0;
    while at < shape.dim {
        let wide = shape.dim - at >= 32;
        let mut mixed = [[_mm512_setzero_ps(); 2]; R];
        // SAFETY: all loads and stores lie in the unit, in `weights`, and in rows of `mixed`, which are longer
        // than a head is wide.
        unsafe {
            for r in 0..R {
                let keep = _mm512_set1_ps(keeps[r]);
                let from = sums.mixed[r].as_ptr().add(at);
                mixed[r][0] = _mm512_mul_ps(keep, _mm512_loadu_ps(from));
                if wide {
                    mixed[r][1] = _mm512_mul_ps(keep, _mm512_loadu_ps(from.add(16)));
                }
            }
            for step in 0..last {
                let row = values.add(((chunk.slot / 2 + step) * shape.dim + at) * 2);
                let v0 = load(row);
                let v1 = if wide { load(row.add(32)) } else { v0 };
                for r in 0..R {
                    let p = pair(weights[r].as_ptr().add(2 * step));
                    mixed[r][0] = _mm512_dpbf16_ps(mixed[r][0], v0, p);
                    mixed[r][1] = _mm512_dpbf16_ps(mixed[r][1], v1, p);
                }
            }
            for r in 0..R {
                let to = sums.mixed[r].as_mut_ptr().add(at);
                _mm512_storeu_ps(to, mixed[r][0]);
                if wide {
                    _mm512_storeu_ps(to.add(16), mixed[r][1]);
                }
            }
        }
        at += if wide { 32 } else { 16 };
    }
}

/// # Safety
/// As for [`bf16`], of an 8-bit cache.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx512vnni,avx2,fma")]
unsafe fn int8<const R: usize, const W: usize>(queries: &Queries, chunk: &Chunk<'_>, sums: &mut Sums) {
    let shape = chunk.kv.shape();
    let keys = chunk.unit.as_ptr();
    let mut dots = [[_mm512_setzero_si512(); W]; R];
    for at in 0..shape.dim / 4 {
        // SAFETY: all loads lie in the unit and in rows of queries, by the caller's word.
        unsafe {
            let row = keys.add((at * shape.block + chunk.slot) * 4);
            let mut k = [_mm512_loadu_si512(row.cast()); W];
            if W == 2 {
                k[1] = _mm512_loadu_si512(row.add(64).cast());
            }
            for (r, dots) in dots.iter_mut().enumerate() {
                let q = queries.bytes[r].as_ptr().add(4 * at).cast::<i32>().read_unaligned();
                for half in 0..W {
                    dots[half] = _mm512_dpbusd_epi32(dots[half], k[half], _mm512_set1_epi32(q));
                }
            }
        }
    }
    // SAFETY: the scales of keys, then of values, lie behind the values.
    let scales = unsafe { keys.add(2 * shape.half_bytes()).cast::<f32>() };
    let mut codes = [[0u8; 32]; R];
    let (mut keeps, mut steps) = ([0.0f32; R], [0.0f32; R]);
    for r in 0..R {
        // SAFETY: a scale for each of the block's tokens lies there; `codes` has room for 32.
        unsafe {
            let mut scores = [_mm512_setzero_ps(); W];
            let offset = _mm512_set1_epi32(128 * queries.sums[r]);
            for half in 0..W {
                let key_scales = _mm512_loadu_ps(scales.add(chunk.slot + 16 * half));
                let dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(dots[r][half], offset));
                scores[half] = _mm512_mul_ps(_mm512_mul_ps(dot, key_scales), _mm512_set1_ps(queries.scales[r]));
            }
            let (soft, keep) = soften::<W>(queries, chunk, r, scores, sums);
            // Each value's scale goes into its weight, and the weights into 8 bits.
            let mut weights = [_mm512_setzero_ps(); W];
            let mut largest = _mm512_setzero_si512();
            for half in 0..W {
                let seen = mask(queries, r, chunk.position + 16 * half);
                let value_scales = _mm512_loadu_ps(scales.add(shape.block + chunk.slot + 16 * half));
                weights[half] = _mm512_maskz_mul_ps(seen, soft[half], value_scales);
                // As whole numbers, what is not a number is largest of all and does not get lost.
                largest = _mm512_max_epu32(largest, _mm512_castps_si512(weights[half]));
            }
            let most = f32::from_bits(_mm512_reduce_max_epu32(largest));
            let inverse = if most > 0.0 { 255.0 / most } else { 0.0 };
            let inverse = _mm512_set1_ps(if inverse.is_finite() { inverse } else { 0.0 });
            (keeps[r], steps[r]) = (keep, most / 255.0);
            for half in 0..W {
                let code = _mm512_cvtps_epi32(_mm512_mul_ps(weights[half], inverse));
                _mm_storeu_si128(codes[r].as_mut_ptr().add(16 * half).cast(), _mm512_cvtusepi32_epi8(code));
            }
        }
    }
    // SAFETY: the values lie behind the keys.
    let values = unsafe { keys.add(shape.half_bytes()) };
    let last = queries.to[R - 1].saturating_sub(chunk.position).min(16 * W).div_ceil(4);
    let mut at = 0;
    while at < shape.dim {
        let wide = shape.dim - at >= 32;
        let mut sum = [[_mm512_setzero_si512(); 2]; R];
        // SAFETY: as in `bf16`.
        unsafe {
            for step in 0..last {
                let row = values.add(((chunk.slot / 4 + step) * shape.dim + at) * 4);
                let v0 = _mm512_loadu_si512(row.cast());
                let v1 = if wide { _mm512_loadu_si512(row.add(64).cast()) } else { v0 };
                for r in 0..R {
                    let p = _mm512_set1_epi32(codes[r].as_ptr().add(4 * step).cast::<i32>().read_unaligned());
                    sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], p, v0);
                    sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], p, v1);
                }
            }
            for r in 0..R {
                let (keep, step) = (_mm512_set1_ps(keeps[r]), _mm512_set1_ps(steps[r]));
                let to = sums.mixed[r].as_mut_ptr().add(at);
                for half in 0..if wide { 2 } else { 1 } {
                    let to = to.add(16 * half);
                    let old = _mm512_mul_ps(keep, _mm512_loadu_ps(to));
                    _mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][half]), step, old));
                }
            }
        }
        at += if wide { 32 } else { 16 };
    }
}
