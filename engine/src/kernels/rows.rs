//! Activations as products want them: as they are, in bf16, or in 8 bits with a scale per group of neighbours.
//!
//! One scale for a whole row would lose what is not large: a few activations of a decoder are hundreds of
//! times the others. A group whose numbers are not all finite gets a scale that is not a number, so that
//! the fault reaches the logits instead of being rounded away.

use super::math::{per_isa, round, to_bf16};
use super::{Buffer, Isa, OutOfMemory, Pool};

/// Rows are padded with zeroes to a multiple of this at least, and of their groups.
pub(super) const PAD: usize = 32;
/// The widest group along a row, but for a whole row.
pub(super) const MOST_GROUP: usize = 128;

/// How the rows are to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// 32-bit floats.
    F32,
    /// Brain floating point.
    Bf16,
    /// Signed 8 bits, with a scale for so many neighbours.
    Int8 {
        /// Neighbours: 16, 32, 64 or 128.
        group: usize,
    },
}

/// Rows of activations, made ready for a product. The memory is reused.
#[derive(Debug)]
pub(crate) struct Activations {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) form: Form,
    /// Numbers from one row to the next.
    pub(super) stride: usize,
    pub(super) floats: Buffer<f32>,
    pub(super) halves: Buffer<u16>,
    pub(super) bytes: Buffer<i8>,
    /// Per row and group.
    pub(super) scales: Buffer<f32>,
    /// Per row and group: the sum of the numbers.
    pub(super) sums: Buffer<f32>,
    /// Per row and group: what weights that are stored 128 too high add to a dot product, taken away.
    pub(super) offsets: Buffer<i32>,
    pub(super) groups: usize,
    most_rows: usize,
}

/// A raw pointer that threads may share: what they write lies apart.
pub(super) struct Shared<T>(pub(super) *mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: whoever uses it writes to places that nobody else touches, and says so there.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// So many numbers from a place on.
    ///
    /// # Safety
    /// They lie in the allocation, live as long as the slice is used, and nobody else touches them meanwhile.
    #[inline(always)]
    pub(super) unsafe fn slice<'a>(self, at: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's word.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}

impl Activations {
    /// Memory for so many rows of such a width, in any form.
    pub(crate) fn new(rows: usize, width: usize) -> Result<Self, OutOfMemory> {
        let stride = stride(width);
        let (all, groups) = (rows * stride, stride.div_ceil(16));
        Ok(Self {
            rows: 0,
            width: 0,
            form: Form::F32,
            stride,
            floats: Buffer::zeroed(all)?,
            halves: Buffer::zeroed(all)?,
            bytes: Buffer::zeroed(all)?,
            scales: Buffer::zeroed(rows * groups)?,
            sums: Buffer::zeroed(rows * groups)?,
            offsets: Buffer::zeroed(rows * groups)?,
            groups: 0,
            most_rows: rows,
        })
    }

    /// Takes rows in: `x` is `[rows, width]`.
    ///
    /// # Panics
    /// If `x` is not of that shape, or larger than the memory.
    pub(crate) fn fill(&mut self, isa: Isa, pool: &Pool, form: Form, x: &[f32], width: usize) {
        let rows = x.len() / width.max(1);
        assert!(rows * width == x.len() && rows <= self.most_rows, "rows of {width} from {} numbers", x.len());
        let stride = stride(width);
        assert!(rows * stride <= self.floats.len(), "{rows} rows of {stride} are too many");
        let padded = match form {
            Form::Int8 { group } if group <= MOST_GROUP => width.next_multiple_of(group.max(PAD)),
            _ => width.next_multiple_of(PAD),
        };
        let groups = if let Form::Int8 { group } = form { padded.div_ceil(group) } else { 0 };
        (self.rows, self.width, self.stride, self.form, self.groups) = (rows, width, stride, form, groups);
        let (floats, halves, bytes) =
            (Shared(self.floats.as_mut_ptr()), Shared(self.halves.as_mut_ptr()), Shared(self.bytes.as_mut_ptr()));
        let (scales, sums) = (Shared(self.scales.as_mut_ptr()), Shared(self.sums.as_mut_ptr()));
        let offsets = Shared(self.offsets.as_mut_ptr());
        let work = |range: std::ops::Range<usize>| {
            for row in range {
                let Some(from) = x.get(row * width..(row + 1) * width) else { return };
                // SAFETY: each row's places are its own, and within the buffers: `row` is below `rows`, and
                // both products were checked above; `groups` is at most a 16th of the stride.
                unsafe {
                    match form {
                        Form::F32 => {
                            let to = floats.slice(row * stride, padded);
                            to[..width].copy_from_slice(from);
                            to[width..].fill(0.0);
                        }
                        Form::Bf16 => narrow(isa, from, halves.slice(row * stride, padded)),
                        Form::Int8 { group } => {
                            let (at, to) = (row * groups, bytes.slice(row * stride, padded));
                            let (sums, offsets) = (sums.slice(at, groups), offsets.slice(at, groups));
                            let mut out = Groups { scales: scales.slice(at, groups), sums, offsets };
                            quantise_groups(isa, from, group, to, &mut out);
                        }
                    }
                }
            }
        };
        // Waking threads costs more than a few rows.
        if rows * width < 16_384 { work(0..rows) } else { pool.share(rows, work) }
    }
}

#[cfg(test)]
impl Activations {
    /// A number as it is stored.
    pub(super) fn number(&self, row: usize, at: usize) -> f32 {
        let place = row * self.stride + at;
        match self.form {
            Form::F32 => self.floats[place],
            Form::Bf16 => super::math::from_bf16(self.halves[place]),
            Form::Int8 { group } => f32::from(self.bytes[place]) * self.scales[row * self.groups + at / group],
        }
    }
}

/// Rows that lie a multiple of 1 KiB apart would fall into the same few places of the cache.
fn stride(width: usize) -> usize {
    let padded = width.next_multiple_of(MOST_GROUP);
    if padded.is_multiple_of(512) { padded + 64 } else { padded }
}

per_isa! {
    /// Brain floating point, padded with zeroes.
    fn narrow(from: &[f32], to: &mut [u16]) {
        let (head, tail) = to.split_at_mut(from.len().min(to.len()));
        for (to, from) in head.iter_mut().zip(from) {
            *to = to_bf16(*from);
        }
        tail.fill(0);
    }
}

/// What is kept of a row beside its numbers: each one per group.
struct Groups<'a> {
    scales: &'a mut [f32],
    sums: &'a mut [f32],
    offsets: &'a mut [i32],
}

per_isa! {
    /// A row in 8 bits, padded with zeroes.
    fn quantise_groups(from: &[f32], group: usize, to: &mut [i8], out: &mut Groups<'_>) {
        let (head, tail) = to.split_at_mut(from.len().min(to.len()));
        tail.fill(0);
        out.scales.fill(0.0);
        for ((from, to), scale) in from.chunks(group).zip(head.chunks_mut(group)).zip(out.scales.iter_mut()) {
            // A fixed length is worth a copy of the code: nearly all groups are whole.
            if let (Some(from), Some(to)) = (from.first_chunk::<32>(), to.first_chunk_mut::<32>()) && group == 32 {
                *scale = narrow_group(from, to);
            } else {
                *scale = narrow_group(from, to);
            }
        }
        let sums = out.sums.iter_mut().zip(out.offsets.iter_mut()).zip(out.scales.iter());
        for (numbers, ((sum, offset), scale)) in to.chunks(group).zip(sums) {
            let total = numbers.iter().map(|number| i32::from(*number)).sum::<i32>();
            (*sum, *offset) = (total as f32 * scale, -128 * total);
        }
    }
}

per_isa! {
    /// 8 bits with one scale for all.
    pub(super) fn quantise(from: &[f32], to: &mut [i8], scale: &mut f32) {
        *scale = narrow_group(from, to);
    }
}

/// 8 bits and a scale, which is returned: `from ≈ to · scale`, the largest number becomes 127.
#[inline(always)]
fn narrow_group(from: &[f32], to: &mut [i8]) -> f32 {
    let largest = from.iter().fold(0, |most, x| (x.to_bits() & 0x7fff_ffff).max(most));
    let largest = f32::from_bits(largest);
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    // The inverse of a number close to zero is infinite: such a group counts as zeroes.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    for (to, from) in to.iter_mut().zip(from) {
        *to = round(from * inverse) as i8;
    }
    if largest.is_finite() { largest / 127.0 } else { f32::NAN }
}
